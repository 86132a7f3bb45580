"""The long line of the benchmarks, through which a server that is near looks distant."""

from __future__ import annotations

import os
import socket
import threading

from benchmarks import line


def test_what_goes_in_comes_out() -> None:
    """All bytes, in their order, both ways; and who is done at one end is done at the other."""
    content = os.urandom(300_000)
    with socket.create_server((line.HOST, 0)) as door:

        def answer() -> None:
            with door.accept()[0] as far, far.makefile("rb") as said:
                far.sendall(said.read()[::-1])

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with line.to(f"http://{line.HOST}:{door.getsockname()[1]}") as near:
            port = int(near.url.rpartition(":")[2])
            with socket.create_connection((line.HOST, port)) as here, here.makefile("rb") as answered:
                here.sendall(content)
                here.shutdown(socket.SHUT_WR)
                assert answered.read() == content[::-1]
            assert near.used() > 0
        thread.join(20)
        assert not thread.is_alive()

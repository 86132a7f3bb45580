"""A real HTTP server on loopback that answers as a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass
class Server:
    """`answers` by path; each path's are used up in order, the last one stays. `asked` has path and headers."""

    port: int = 0
    answers: dict[str, list[Callable[[Any], None]]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def on(self, path: str, *answers: Callable[[Any], None]) -> str:
        """Answer so at `path`; gives the URL."""
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.port}{path}"

    def times(self, path: str) -> int:
        return sum(one == path for one, _ in self.asked)


def reply(status: int = 200, body: bytes = b"", **headers: str) -> Callable[[Any], None]:
    """A whole answer; names of headers with ``_`` for ``-``."""

    def answer(handler: Any) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if value:
                handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def raw(*pieces: bytes, pause: float = 0.0, endless: bool = False) -> Callable[[Any], None]:
    """Bytes as they are, headers and all, with a pause after each piece; the last again and again if `endless`."""

    def answer(handler: Any) -> None:
        over = handler.server.told.over
        for piece in pieces:
            handler.wfile.write(piece)
            over.wait(pause)
        while endless and not over.is_set():
            handler.wfile.write(pieces[-1])
            over.wait(pause)

    return answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        told = self.server.told  # type: ignore[attr-defined]
        told.asked.append((self.path, {name.title(): value for name, value in self.headers.items()}))
        answers = told.answers.get(self.path.partition("?")[0], [reply(404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        with contextlib.suppress(OSError):  # whoever asked has hung up
            answer(self)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `asked`."""


@contextlib.contextmanager
def serving(host: str = "127.0.0.1", certificate: Path | None = None) -> Iterator[Server]:
    """A server for as long as the block lasts; over TLS with a certificate."""
    told = Server()

    class Listening(ThreadingHTTPServer):
        daemon_threads = True
        address_family = 10 if ":" in host else 2  # AF_INET6, AF_INET

    with Listening((host, 0), _Handler) as http:
        http.told = told  # type: ignore[attr-defined]
        told.port = http.server_address[1]
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            http.socket = tls.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=http.serve_forever, args=[0.02])
        thread.start()
        try:
            yield told
        finally:
            told.over.set()
            http.shutdown()
            thread.join()

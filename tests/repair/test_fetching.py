"""Fetching from a real server: the right bytes or a reason, never a private address, never more than was wanted."""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit import __version__
from catalogkit.errors import InvalidInput, SourceError, StoreError
from catalogkit.fetching import CHUNK, Fetcher
from tests.plans.scene import digest_of
from tests.repair.server import Server, raw, reply, serving

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = b"what it was when it was downloaded first, " * 50
CERTIFICATE = Path(__file__).parents[1] / "data" / "tls" / "public.example.pem"
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the download goes."""
    return tmp_path / "download"


@pytest.fixture
def waits() -> list[float]:
    """How long a fetcher would have waited between its attempts."""
    return []


@pytest.fixture
def fetcher(waits: list[float]) -> Fetcher:
    """A fetcher that may ask loopback, in no time."""
    return Fetcher(private=True, per_second=1000, read_seconds=5, sleep=waits.append)


def fetch(fetcher: Fetcher, url: str, target: Path, content: bytes = CONTENT) -> bytes:
    fetcher(url, target, digest_of(content), len(content))
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    return target.read_bytes()


def why_not(fetcher: Fetcher, url: str, target: Path, content: bytes = CONTENT) -> str:
    """Why a URL cannot be fetched."""
    with pytest.raises(SourceError) as problem:
        fetch(fetcher, url, target, content)
    assert not list(target.parent.glob("*-plain"))
    return str(problem.value)


# -- what is right -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [CONTENT, b"", b"x" * (3 * CHUNK + 1)], ids=["some", "empty", "several chunks"])
def test_the_right_bytes(content: bytes, fetcher: Fetcher, server: Server, target: Path) -> None:
    """What hashes right is written to the file, whatever was in it; asked for once, as catalogkit."""
    target.write_bytes(b"from an earlier attempt")
    assert fetch(fetcher, server.on("/a", reply(body=content)), target, content) == content
    ((path, headers),) = server.asked
    assert path == "/a"
    assert headers["User-Agent"] == f"catalogkit/{__version__}"
    assert not {"Cookie", "Authorization", "Referer"} & set(headers)


@pytest.mark.parametrize("length", [True, False], ids=["with a length", "until the end"])
def test_compressed_on_the_wire(length: bool, fetcher: Fetcher, server: Server, target: Path) -> None:
    """Bytes that were stored unpacked, and bytes that were stored as they had been sent, are both found in gzip."""
    packed = gzip.compress(CONTENT)
    more = {} if length else {"Content_Length": ""}
    url = server.on("/a", reply(body=packed, Content_Encoding="gzip", **more))
    assert fetch(fetcher, url, target, CONTENT) == CONTENT
    assert fetch(fetcher, url, target, packed) == packed


def test_what_gzip_makes_larger(fetcher: Fetcher, server: Server, target: Path) -> None:
    """Bytes that cannot be compressed take more room on the wire than they have; an empty document does, too."""
    noise = b"".join(digest_of(b"%d" % n) for n in range(3000))
    for content in (noise, b""):
        packed = gzip.compress(content)
        assert len(packed) > len(content)
        url = server.on("/a", reply(body=packed, Content_Encoding="GZIP"))
        assert fetch(fetcher, url, target, content) == content


def test_sent_in_chunks(fetcher: Fetcher, server: Server, target: Path) -> None:
    """A body without a length, in chunks, is put together."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (CONTENT[:7], CONTENT[7:], b""))
    url = server.on("/a", raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks))
    assert fetch(fetcher, url, target) == CONTENT


# -- what is wrong -----------------------------------------------------------------------------------------------------


def test_other_bytes_now(fetcher: Fetcher, server: Server, target: Path, waits: list[float]) -> None:
    """Bytes of the right length and another digest are refused, and not asked for again."""
    url = server.on("/a", reply(body=CONTENT[::-1]))
    assert "has other bytes now" in why_not(fetcher, url, target)
    assert (server.times("/a"), waits) == (1, [])


@pytest.mark.parametrize(
    "body",
    [b"no gzip at all", gzip.compress(CONTENT)[:-9], gzip.compress(b"other")],
    ids=["no gzip", "cut off", "other bytes"],
)
def test_compressed_rubbish(body: bytes, fetcher: Fetcher, server: Server, target: Path) -> None:
    """What is called gzip and is none, is cut off, or has other bytes inside, is refused like other bytes."""
    url = server.on("/a", reply(body=body, Content_Encoding="gzip"))
    assert "has other bytes now" in why_not(fetcher, url, target)


def test_a_bomb(fetcher: Fetcher, server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small answer that unpacks to a gigabyte is unpacked no further than the bytes that are wanted."""
    bomb = gzip.compress(b"\0" * 50_000_000, 9)
    content = b"\0" * len(bomb)
    largest = 0
    unlink = os.unlink

    def watch(path: str) -> None:
        nonlocal largest
        largest = max(largest, os.path.getsize(path))
        unlink(path)

    monkeypatch.setattr("catalogkit.fetching.os.unlink", watch)
    url = server.on("/a", reply(body=bomb, Content_Encoding="gzip"))
    assert "has other bytes now" in why_not(fetcher, url, target, content)
    assert 0 < largest <= len(content) + CHUNK


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1, 10**15])
def test_a_length_that_cannot_be_right(size: int, fetcher: Fetcher, server: Server, target: Path) -> None:
    """A server that says it has more or less than is wanted is not listened to."""
    url = server.on("/a", raw(HEAD + b"Content-Length: %d\r\n\r\n" % size, b"x" * CHUNK, endless=True))
    assert f"{size:,} bytes, not the {len(CONTENT):,}" in why_not(fetcher, url, target)
    assert not target.stat().st_size


@pytest.mark.parametrize("encoding", [b"", b"Content-Encoding: gzip\r\n"])
def test_an_endless_body(encoding: bytes, fetcher: Fetcher, server: Server, target: Path) -> None:
    """Reading stops where the bytes must have ended, however many a server sends."""
    url = server.on("/a", raw(HEAD + encoding + b"\r\n", b"x" * CHUNK, endless=True))
    assert "more than the" in why_not(fetcher, url, target)
    assert target.stat().st_size <= len(CONTENT) + 1100


@pytest.mark.parametrize("start", [HEAD + b"\r\n" + CONTENT[:5], HEAD + b"X: ", b"HTT"], ids=["body", "head", "status"])
def test_a_server_that_drips(start: bytes, server: Server, target: Path, waits: list[float]) -> None:
    """A byte now and then keeps a time-out from coming, but not the end of the time that a document may take."""
    fetcher = Fetcher(private=True, per_second=1000, read_seconds=5, seconds=0.3, sleep=waits.append)
    url = server.on("/a", raw(start, b"x", pause=0.02, endless=True))
    assert "takes too long" in why_not(fetcher, url, target)
    assert (server.times("/a"), waits) == (1, [])


def test_a_cut_that_looks_like_an_end(server: Server, target: Path) -> None:
    """A body without a length that is cut off when its time is up is late, not wrong."""
    fetcher = Fetcher(private=True, per_second=1000, seconds=0.3)
    url = server.on("/a", raw(HEAD + b"\r\n" + CONTENT[:5], pause=2))
    assert "takes too long" in why_not(fetcher, url, target)


# -- what may pass -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        reply(503),
        reply(429),
        raw(HEAD + b"Content-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT[:9]),
        raw(b""),
        raw(b"rubbish\r\n\r\n"),
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n" + CONTENT[:9]),
    ],
    ids=["503", "429", "dropped in the body", "dropped at once", "no HTTP", "dropped in a chunk"],
)
def test_it_is_tried_again(
    first: Callable[[Any], None], fetcher: Fetcher, server: Server, target: Path, waits: list[float]
) -> None:
    """What may pass is tried again, from the beginning, after a while."""
    url = server.on("/a", first, reply(body=CONTENT))
    assert fetch(fetcher, url, target) == CONTENT
    assert server.times("/a") == 2
    assert len(waits) == 1 and waits[0] > 0


def test_it_is_not_tried_for_ever(fetcher: Fetcher, server: Server, target: Path, waits: list[float]) -> None:
    """After so many attempts the last reason is told."""
    assert why_not(fetcher, server.on("/a", reply(503)), target).endswith("/a answered 503")
    assert (server.times("/a"), len(waits)) == (4, 3)


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 404, 410, 451, 501])
def test_what_does_not_pass(status: int, fetcher: Fetcher, server: Server, target: Path, waits: list[float]) -> None:
    """An answer that will not change, or that is only a part, is told as it is."""
    url = server.on("/a", reply(status, CONTENT if status == 206 else b""))
    assert why_not(fetcher, url, target).endswith(f"/a answered {status}")
    assert (server.times("/a"), waits) == (1, [])


def test_a_server_says_when(fetcher: Fetcher, server: Server, target: Path, waits: list[float]) -> None:
    """A server's own word on when to come back is kept; too long a wait is left to the next run."""
    url = server.on("/a", reply(503, Retry_After="7"), reply(body=CONTENT))
    assert fetch(fetcher, url, target) == CONTENT
    assert 7 <= waits.pop() < 10
    assert "3,600 s of patience" in why_not(fetcher, server.on("/b", reply(503, Retry_After="3600")), target)
    assert not waits
    assert fetch(fetcher, server.on("/c", reply(503, Retry_After="soon"), reply(body=CONTENT)), target) == CONTENT


def test_nobody_listens(fetcher: Fetcher, target: Path, waits: list[float]) -> None:
    """A port where nobody listens, and a name that leads nowhere, may be otherwise in a while."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert "nobody takes the connection" in why_not(fetcher, f"http://127.0.0.1:{taken.getsockname()[1]}/", target)
    assert "cannot be found" in why_not(fetcher, "http://nowhere.invalid/", target)
    assert len(waits) == 6


def test_a_server_that_never_answers(server: Server, target: Path) -> None:
    """Silence ends with the time that a server has to say something."""
    fetcher = Fetcher(private=True, per_second=1000, read_seconds=0.1, attempts=2, sleep=lambda _: None)
    assert "did not answer in time" in why_not(fetcher, server.on("/a", raw(b"", pause=2)), target)
    assert server.times("/a") == 2


def test_no_more_requests_than_a_host_can_bear(
    server: Server, target: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests to one host wait for each other; those to another do not."""
    slept: list[float] = []
    monkeypatch.setattr("pyrate_limiter.limiter.sleep", slept.append)
    now = [0]
    monkeypatch.setattr("pyrate_limiter.clocks.MonotonicClock.now", lambda _: now[0])
    fetcher = Fetcher(private=True, per_second=2, sleep=waits.append)
    url = server.on("/a", reply(body=CONTENT))
    fetch(fetcher, url, target)
    assert not slept
    fetch(fetcher, url.replace("127.0.0.1", "localhost"), target)
    assert not slept
    fetch(fetcher, url, target)
    assert sum(slept) == pytest.approx(0.5, abs=0.05)
    now[0] = 10_000
    fetch(fetcher, url, target)
    assert sum(slept) == pytest.approx(0.5, abs=0.05)


# -- where it leads ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_it_moved(status: int, fetcher: Fetcher, server: Server, target: Path) -> None:
    """A redirect is followed, also a relative one."""
    server.on("/b/c", reply(body=CONTENT))
    url = server.on("/b/a", reply(status, b"moved", Location="c?x=1"))
    assert fetch(fetcher, url, target) == CONTENT
    assert [path for path, _ in server.asked] == ["/b/a", "/b/c?x=1"]


def test_it_moves_on_and_on(fetcher: Fetcher, server: Server, target: Path, waits: list[float]) -> None:
    """Redirects in a ring come to an end."""
    assert "on and on" in why_not(fetcher, server.on("/a", reply(302, Location="/a")), target)
    assert (server.times("/a"), waits) == (6, [])


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.org/", "http://[", "javascript:1"])
def test_it_moved_out_of_the_web(location: str, fetcher: Fetcher, server: Server, target: Path) -> None:
    """A redirect to anything but http and https goes nowhere."""
    url = server.on("/a", reply(302, Location=location))
    assert "not an address of the web" in (said := why_not(fetcher, url, target)) or "cannot be read" in said


PRIVATE = [
    "127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "0x7f000001", "0x7f.1", "017700000001", "localhost", "[::1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "0", "[::]", "127.0.0.1.",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_not_asked(host: str, server: Server, target: Path, waits: list[float]) -> None:
    """However loopback is written, nothing is sent there unless that is allowed."""
    server.on("/a", reply(body=CONTENT))
    said = why_not(Fetcher(sleep=waits.append, attempts=1), f"http://{host}:{server.port}/a", target)
    assert "private address" in said or "cannot be found" in said
    assert not server.asked


@pytest.mark.parametrize("host", PRIVATE)
def test_a_redirect_to_a_private_address(
    host: str, server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public server that sends us to a private address gets us to ask nothing there."""
    lookup = socket.getaddrinfo
    monkeypatch.setattr("catalogkit.fetching.is_public", lambda address: address == "127.0.0.2")
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda name, *more, **rest: lookup("127.0.0.2" if name == "public.example" else name, *more, **rest),
    )
    with serving("127.0.0.2") as public:
        public.on("/a", reply(302, Location=f"http://{host}:{server.port}/a"))
        said = why_not(Fetcher(attempts=1, per_second=1000), f"http://public.example:{public.port}/a", target)
        assert "private address" in said or "cannot be found" in said
        assert public.times("/a") == 1
    assert not server.asked


def test_a_name_that_changes_its_address(
    server: Server, target: Path, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is looked up once for each request, and what was looked at is what is connected to."""
    answers = ["127.0.0.1", "127.0.0.2"]
    asked = []
    lookup = socket.getaddrinfo

    def changing(name: Any, *more: Any, **rest: Any) -> Any:
        if name in ("127.0.0.1", "127.0.0.2"):
            return lookup(name, *more, **rest)
        asked.append(name)
        return lookup(answers[len(asked) - 1], *more, **rest)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    server.on("/a", reply(body=CONTENT))
    assert fetch(fetcher, f"http://rebinding.example:{server.port}/a", target) == CONTENT
    assert asked == ["rebinding.example"]
    assert server.asked[0][1]["Host"] == f"rebinding.example:{server.port}"


def test_one_private_address_among_others(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to a public and to a private address is not asked at all."""
    found = [(2, 1, 6, "", (address, server.port)) for address in ("93.184.215.14", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert "private address" in why_not(Fetcher(), f"http://both.example:{server.port}/a", target)
    assert not server.asked


def test_the_next_address_of_a_host(server: Server, target: Path, fetcher: Fetcher, monkeypatch: Any) -> None:
    """Where one address of a host does not take the connection, the next may."""
    found = [(2, 1, 6, "", (address, server.port)) for address in ("127.0.0.3", "127.0.0.1")]
    lookup = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, *m, **r: found if name == "two" else lookup(name, *m, **r))
    server.on("/a", reply(body=CONTENT))
    assert fetch(fetcher, f"http://two:{server.port}/a", target) == CONTENT


def test_over_ipv6(target: Path, fetcher: Fetcher) -> None:
    """An address in brackets is asked as it is."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving("::1"))
        server.on("/a", reply(body=CONTENT))
        assert fetch(fetcher, f"http://[::1]:{server.port}/a", target) == CONTENT
        assert server.asked[0][1]["Host"] == f"[::1]:{server.port}"


# -- what must not be told ---------------------------------------------------------------------------------------------


def test_credentials_go_home_only(fetcher: Fetcher, server: Server, target: Path) -> None:
    """A password in a URL is sent to its own host, and neither to another one nor to another port of it."""
    with serving() as other:
        last = other.on("/c", reply(body=CONTENT))
        server.on("/b", reply(302, Location=last))
        url = server.on("/a", reply(302, Location="/b")).replace("//", "//me:s%20cret@")
        assert fetch(fetcher, url, target) == CONTENT
        assert [headers.get("Authorization") for _, headers in server.asked] == ["Basic bWU6cyBjcmV0"] * 2
        assert "Authorization" not in other.asked[0][1]


def test_credentials_of_a_redirect_are_nobodys(fetcher: Fetcher, server: Server, target: Path) -> None:
    """A password that a server puts into a redirect is not sent."""
    there = server.on("/b", reply(body=CONTENT)).replace("//", "//you:secret@")
    assert fetch(fetcher, server.on("/a", reply(302, Location=there)), target) == CONTENT
    assert not any("Authorization" in headers for _, headers in server.asked)


@pytest.mark.parametrize(
    "answer",
    [reply(404), reply(503), reply(302, Location="ftp://me:secret@x/"), reply(body=b"x"), raw(b"secret"), raw(HEAD)],
    ids=["404", "503", "redirect", "other bytes", "no HTTP", "no body"],
)
def test_secrets_are_not_told(
    answer: Any, fetcher: Fetcher, server: Server, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What goes wrong is told, and logged, without passwords and queries; nor are they in what a fetcher looks like."""
    caplog.set_level(logging.DEBUG)
    url = server.on("/a", answer).replace("//", "//me:secret@") + "?token=secret"
    said = why_not(fetcher, url, target)
    assert "secret" not in said + caplog.text + repr(fetcher)


def test_no_proxy_from_the_environment(
    fetcher: Fetcher, server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that the environment names is not asked: it would look names up where nobody looks at addresses."""
    with serving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.on("/", reply(body=CONTENT)))
        assert fetch(fetcher, server.on("/a", reply(body=CONTENT)), target) == CONTENT
        assert not proxy.asked


def test_cookies_are_not_kept(fetcher: Fetcher, server: Server, target: Path) -> None:
    """What a server wants to be remembered is forgotten, on a redirect, too."""
    server.on("/b", reply(body=CONTENT))
    fetch(fetcher, server.on("/a", reply(302, Location="/b", Set_Cookie="a=b; Path=/")), target)
    assert not any("Cookie" in headers for _, headers in server.asked)


# -- TLS and the disk --------------------------------------------------------------------------------------------------


def test_over_tls(fetcher: Fetcher, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate must be the host's own, though it is its address that is connected to, and be trusted."""
    lookup = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda name, *more, **rest: lookup("127.0.0.1", *more, **rest))
    with serving(certificate=CERTIFICATE) as server:
        server.on("/a", reply(body=CONTENT))
        url = f"https://public.example:{server.port}/a"
        assert "no certificate that can be trusted" in why_not(fetcher, url, target)
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        assert fetch(fetcher, url, target) == CONTENT
        other = url.replace("public.example", "other.example")
        assert "no certificate that can be trusted" in why_not(fetcher, other, target)
        assert "no certificate that can be trusted" in why_not(
            fetcher, url.replace("public.example", "127.0.0.1"), target
        )
        assert [headers["Host"] for _, headers in server.asked] == [f"public.example:{server.port}"]


def test_what_speaks_no_tls(fetcher: Fetcher, server: Server, target: Path) -> None:
    """A server that answers https in plain text is not listened to."""
    said = why_not(fetcher, f"https://127.0.0.1:{server.port}/a", target)
    assert "certificate" in said or "broke the connection off" in said
    assert server.asked == []


def test_a_disk_without_room(fetcher: Fetcher, server: Server, tmp_path: Path, waits: list[float]) -> None:
    """What cannot be written is the disk's trouble, and no reason to ask the server again."""
    url = server.on("/a", reply(body=CONTENT))
    with pytest.raises(StoreError, match="cannot be written"):
        fetcher(url, tmp_path / "no folder" / "a", digest_of(CONTENT), len(CONTENT))
    assert (server.times("/a"), waits) == (1, [])


def test_asking_for_nothing_much(tmp_path: Path) -> None:
    """A rate or a number of attempts that makes no sense is refused."""
    with pytest.raises(InvalidInput, match="per_second"):
        Fetcher(per_second=0)
    with pytest.raises(InvalidInput, match="attempts"):
        Fetcher(attempts=0)


def test_only_who_fetches_pays_for_it() -> None:
    """Planning a repair, and applying one without fetching, needs none of the libraries that fetching does."""
    code = "import sys, catalogkit.apply, catalogkit.planning\nprint({'urllib3', 'tenacity'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"

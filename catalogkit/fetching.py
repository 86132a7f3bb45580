"""`Fetcher`: downloads a document again from its source, over http or https, and accepts only the expected bytes.

urllib3 speaks HTTP, because it can be told the address to connect to apart from the name to ask for, and neither reads
proxies from the environment nor keeps cookies; tenacity waits and tries again; pyrate-limiter has the token buckets.
What is ours is what none of them does: every address is looked at before anything is connected to it, on every
redirect anew, and reading stops where the expected bytes must have ended.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import socket
import ssl
import threading
import time
import zlib
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urljoin

import urllib3
from pyrate_limiter import Limiter, Rate, SingleBucketFactory, StateBucket, TokenBucket
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exception, wait_exponential_jitter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import make_headers, parse_url
from urllib3.util.ssl_match_hostname import CertificateError

from catalogkit import __version__
from catalogkit.addresses import SCHEMES, is_public, redacted
from catalogkit.errors import InvalidInput, SourceError, StoreError, StoreFull
from catalogkit.stores.files import out_of_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from urllib3.response import BaseHTTPResponse
    from urllib3.util.url import Url

    from catalogkit.model import Digest

USER_AGENT: Final = f"catalogkit/{__version__}"
REDIRECTS: Final = 5
CHUNK: Final = 1 << 16
# A document may take a minute, and longer where it is large: 50 kB/s is a slow line.
PATIENCE_SECONDS: Final = 60.0
SLOWEST_BYTES_PER_SECOND: Final = 50_000
# Whoever asks for more time than this gets it from the next run.
LONGEST_WAIT_SECONDS: Final = 60.0
_MOVED: Final = (301, 302, 303, 307, 308)
_PASSING: Final = (408, 425, 429, 500, 502, 503, 504)


class _Passing(SourceError):
    """Something that may be otherwise in a while; after `wait` seconds, where the server says so."""

    wait: float = 0.0


class _Home(NamedTuple):
    """Where a URL leads: credentials given for one go nowhere else."""

    scheme: str
    host: str
    port: int


@dataclass(slots=True)
class Fetcher:
    """Downloads a document whose size and digest are known.

    Parameters
    ----------
    private
        Whether hosts of private, loopback, link-local or multicast addresses may be asked.
    per_second
        Requests to one host, at most.
    attempts
        How often a document is tried for in all, where what goes wrong may pass.
    connect_seconds, read_seconds
        How long a server may take to answer, and to say anything more.
    seconds
        How long one attempt may take as a whole; by default a minute and the time that the bytes take at 50 kB/s.
    sleep
        Waits between attempts.
    """

    private: bool = False
    per_second: float = 1.0
    attempts: int = 4
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    seconds: float | None = None
    sleep: Callable[[float], None] = time.sleep
    _limiters: dict[str, Limiter] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("per_second", "attempts", "connect_seconds", "read_seconds"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"{name} must be more than 0, not {getattr(self, name)}")

    def __call__(self, url: str, target: Path | str, digest: Digest, size: int) -> None:
        """Download what `url` names to the file `target`, in the form that hashes right.

        Parameters
        ----------
        digest, size
            What the document must be, and its bytes. What a server sends compressed is right as it was sent, or as it
            is when unpacked.

        Raises
        ------
        SourceError
            If it is not there, not the same any more, or not to be had from an allowed address; `target` is nothing
            to rely on then.
        StoreFull, StoreError
            If it cannot be written.
        """
        first = _parsed(url)
        trying = Retrying(
            retry=retry_if_exception_type(_Passing),
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential_jitter(multiplier=0.5, max=30) + wait_exception(_asked_for),
            sleep=self.sleep,
            reraise=True,
        )
        trying(self._once, first, str(target), digest, size)

    def _once(self, first: Url, target: str, digest: Digest, size: int) -> None:
        seconds = self.seconds or PATIENCE_SECONDS + size / SLOWEST_BYTES_PER_SECOND
        deadline = time.monotonic() + seconds
        here = first
        for _ in range(REDIRECTS + 1):
            with self._asked(here, first, deadline) as response:
                if response.status not in _MOVED:
                    _take(_body(response, here, size, deadline), target)
                    break
                here = _parsed(response.headers.get("Location", ""), here.url)
        else:
            raise SourceError(f"{_shown(first)} leads on and on, over more than {REDIRECTS} redirects")
        if not _hashes_right(target, digest, size):
            raise SourceError(f"{_shown(here)} has other bytes now")

    @contextlib.contextmanager
    def _asked(self, here: Url, first: Url, deadline: float) -> Iterator[BaseHTTPResponse]:
        """The answer to a request for a URL, over a connection to an address that was looked at."""
        home = _home(here)
        headers = {"Host": here.netloc or "", "User-Agent": USER_AGENT, "Accept": "*/*", "Connection": "close"}
        # Asked for as gzip, because then both forms can be looked at: as it was sent, and unpacked.
        headers["Accept-Encoding"] = "gzip"
        if first.auth and home == _home(first):
            headers |= make_headers(basic_auth=unquote(first.auth))
        self._limiter(home.host).try_acquire(home.host)
        connection = self._connection(home, here)
        try:
            with _cut_off(connection, deadline):
                with _network(here, deadline):
                    connection.request(
                        "GET", here.request_uri, headers=headers, preload_content=False, decode_content=False
                    )
                    response = connection.getresponse()
                with contextlib.closing(response):
                    yield response
        finally:
            connection.close()

    def _limiter(self, host: str) -> Limiter:
        if host not in self._limiters:
            rate = Rate(1, max(1, round(1000 / self.per_second)))
            bucket = StateBucket([rate], algorithm=TokenBucket())
            self._limiters[host] = Limiter(SingleBucketFactory(bucket, schedule_leak=False), buffer_ms=0)
        return self._limiters[host]

    def _connection(self, home: _Home, here: Url) -> HTTPConnection:
        """A connection to the first address of a host that takes one.

        However the host is written, and whatever its name leads to a moment later: what was looked at is what is
        connected to. One address that is not allowed spoils them all.
        """
        try:
            found = socket.getaddrinfo(home.host, home.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise _Passing(f"{_shown(here)}: its host cannot be found") from None
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        if not self.private and not all(is_public(address) for address in addresses):
            raise SourceError(f"{_shown(here)} is at a private address, which is not allowed")
        for address in addresses:
            connection = _connection_to(address, home, self.connect_seconds)
            try:
                connection.connect()
            except (urllib3.exceptions.HTTPError, CertificateError, OSError) as failure:
                connection.close()
                problem: Exception = failure
            else:
                connection.timeout = self.read_seconds
                return connection
        raise _in_words(here, problem)


def _connection_to(address: str, home: _Home, seconds: float) -> HTTPConnection:
    if home.scheme == "http":
        return HTTPConnection(address, home.port, timeout=seconds)
    # The certificate must be the host's, not the address's.
    return HTTPSConnection(address, home.port, timeout=seconds, server_hostname=home.host, assert_hostname=home.host)


def _body(response: BaseHTTPResponse, here: Url, size: int, deadline: float) -> Iterator[bytes]:
    """The bytes of an answer as they were sent; never more than it takes to see that they are too many."""
    if response.status != 200:
        raise _refused(here, response)
    # What gzip cannot make smaller it makes a little larger: a header, and a few bytes for each block.
    packed = response.headers.get("Content-Encoding", "").strip().lower() in ("gzip", "x-gzip")
    limit = size + size // 1000 + 1024 if packed else size
    told = response.headers.get("Content-Length", "")
    count = int(told) if told.isdecimal() else 0
    if count > limit or (told.isdecimal() and not packed and count != size):
        raise SourceError(f"{_shown(here)} has {count:,} bytes, not the {size:,} that are wanted")
    count = 0
    with _network(here, deadline):
        while chunk := response.read1(CHUNK, decode_content=False):
            count += len(chunk)
            if count > limit:
                raise SourceError(f"{_shown(here)} has more than the {size:,} bytes that are wanted")
            yield chunk
        if time.monotonic() >= deadline:
            raise TimeoutError  # it was cut off, which may look like an end


def _take(body: Iterator[bytes], target: str) -> None:
    try:
        with open(target, "wb") as file:
            for chunk in body:
                file.write(chunk)
    except OSError as problem:
        kind = StoreFull if out_of_room(problem) else StoreError
        raise kind(f"{target} cannot be written: {problem.strerror}") from None


def _hashes_right(target: str, digest: Digest, size: int) -> bool:
    """Whether the file has the right bytes, as it came or, then it is unpacked, inside."""
    with open(target, "rb") as file:
        if hashlib.file_digest(file, "sha256").digest() == digest:
            return True
    found, count, plain = hashlib.sha256(), 0, f"{target}-plain"
    try:
        with gzip.open(target) as source, open(plain, "wb") as file:
            while count <= size and (chunk := source.read1(CHUNK)):
                count += len(chunk)
                found.update(chunk)
                file.write(chunk)
        if right := found.digest() == digest:
            os.replace(plain, target)
        return right
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(plain)


def _parsed(url: str, base: str = "") -> Url:
    try:
        parsed = parse_url(urljoin(base, url))
    except (urllib3.exceptions.LocationParseError, ValueError):
        raise SourceError("its URL cannot be read") from None
    if parsed.scheme not in SCHEMES or not parsed.host:
        raise SourceError(f"{_shown(parsed)} is not an address of the web: http and https are")
    return parsed


def _home(url: Url) -> _Home:
    """Whom a URL asks; of an address in brackets the address."""
    return _Home(url.scheme or "", (url.host or "").strip("[]"), url.port or (443 if url.scheme == "https" else 80))


def _shown(url: Url) -> str:
    return redacted(url.url)


@contextlib.contextmanager
def _cut_off(connection: HTTPConnection, deadline: float) -> Iterator[None]:
    """Shut the connection when the time is up: one that drips never runs into a time-out of its own."""
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), _shut, [connection.sock])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is over already
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's own, which would let go of what is being read


def _refused(url: Url, response: BaseHTTPResponse) -> SourceError:
    """What an answer means that is not the document."""
    text = f"{_shown(url)} answered {response.status}"
    if response.status not in _PASSING:
        return SourceError(text)
    passing = _Passing(text)
    if asked := response.headers.get("Retry-After"):
        with contextlib.suppress(urllib3.exceptions.InvalidHeader):
            passing.wait = urllib3.Retry().parse_retry_after(asked)
    if passing.wait > LONGEST_WAIT_SECONDS:
        return SourceError(f"{text} and asks for {passing.wait:,.0f} s of patience; try again then")
    return passing


@contextlib.contextmanager
def _network(url: Url, deadline: float) -> Iterator[None]:
    try:
        yield
    except (urllib3.exceptions.HTTPError, HTTPException, OSError) as problem:
        if time.monotonic() >= deadline:
            raise SourceError(f"{_shown(url)} takes too long") from None
        raise _in_words(url, problem) from None


def _in_words(url: Url, problem: Exception) -> SourceError:
    """What a failure of the connection means; a library's own words may name what must not be told."""
    if isinstance(problem, urllib3.exceptions.SSLError | ssl.SSLCertVerificationError | CertificateError):
        return SourceError(f"{_shown(url)} has no certificate that can be trusted")
    if isinstance(problem, urllib3.exceptions.NewConnectionError):
        return _Passing(f"{_shown(url)}: nobody takes the connection")
    late = isinstance(problem, TimeoutError | urllib3.exceptions.TimeoutError)
    return _Passing(f"{_shown(url)}: the server {'did not answer in time' if late else 'broke the connection off'}")


def _asked_for(problem: BaseException) -> float:
    """How long to wait, as the server said."""
    return problem.wait if isinstance(problem, _Passing) else 0.0

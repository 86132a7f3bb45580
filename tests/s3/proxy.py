"""A proxy before a real S3 server that spoils what it is told to: answers that get lost, storms, resets, lies.

It can also be the archive that the server has not: objects of such a class cannot be read until they were restored.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

# What a fault does to a request.
LOSE_ANSWER = "the request is carried out, its answer never arrives"
SPOIL = "one bit of the request's body is another one when it arrives"
TIME_OUT = "the request is carried out, and then there is silence"
STORM = "503 Slow Down, and nothing is carried out"
CUT_BODY = "half of the answer's body, and then a reset"
CUT_UPLOAD = "a reset in the middle of the request's body"
STALE = "the first answer to that request once more"
LOSE_PART = "200 with an ETag, and nothing is carried out"
CONFLICT = "409 Conditional Request Conflict"
PRECONDITION = "412 Precondition Failed"
SKEWED = "403 Request Time Too Skewed"
DEAF = "conditions on what is written or removed are not heard"
MEET = "nothing is carried out before so many requests are there"
# Longer than the tests' clients wait.
SILENCE_SECONDS = 3
# Long enough for a machine that is busy.
MEETING_SECONDS = 4
_TOLD = {
    STORM: (503, "SlowDown"),
    CONFLICT: (409, "ConditionalRequestConflict"),
    PRECONDITION: (412, "PreconditionFailed"),
    SKEWED: (403, "RequestTimeTooSkewed"),
}


@dataclass
class Fault:
    """What to do to the next `times` requests of a method whose path and query match."""

    kind: str
    method: str = "[A-Z]+"
    where: str = ""
    times: int = 1_000_000
    done: int = 0

    def fits(self, method: str, path: str) -> bool:
        """Whether a request is one of those."""
        return self.done < self.times and bool(re.fullmatch(self.method, method)) and bool(re.search(self.where, path))


@dataclass
class Proxy:
    """A running proxy: its address, its faults, and what went through."""

    url: str
    target: str
    client: Any
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    unpaid: list[tuple[str, str]] = field(default_factory=list)
    kept: dict[tuple[str, str], tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    archive: bool = False
    asked: set[str] = field(default_factory=set)
    restored: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    meeting: threading.Barrier | None = None

    def fault(self, kind: str, method: str = "[A-Z]+", where: str = "", times: int = 1_000_000) -> Fault:
        """Begin to spoil requests."""
        self.faults.append(Fault(kind, method, where, times))
        return self.faults[-1]

    def meet(self, count: int, method: str, where: str) -> Fault:
        """Hold such requests until so many of them are under way; break them off if there never are."""
        self.meeting = threading.Barrier(count)
        return self.fault(MEET, method, where, times=count)

    def thaw(self) -> None:
        """Hours later: what was asked for can be read."""
        self.restored |= self.asked
        self.asked.clear()

    def archived(self, method: str, path: str) -> tuple[int, str] | None:
        """What an archive answers where the server behind it, which has none, would do as it is told.

        Amazon S3 User Guide, "Restoring an archived object": 202 to the first asking, 409 while that is under way, 200
        later; and 403 to reading what nobody restored.
        """
        parts = urlsplit(path)
        bucket, _, key = unquote(parts.path).removeprefix("/").partition("/")
        if not self.archive or not key:
            return None
        if method == "POST" and parse_qsl(parts.query, keep_blank_values=True)[:1] == [("restore", "")]:
            if key in self.asked:
                return 409, "RestoreAlreadyInProgress"
            self.asked.add(key)
            return 202, ""
        if method == "GET" and not parts.query and key not in self.restored:
            try:
                told = self.client.head_object(Bucket=bucket, Key=key)
            except self.client.exceptions.ClientError:
                return None
            if told.get("StorageClass") in ("GLACIER", "DEEP_ARCHIVE"):
                return 403, "InvalidObjectState"
        return None

    def kind_of(self, method: str, path: str) -> str:
        """What is to be done to a request; nothing for most."""
        with self.lock:
            self.seen.append((method, path))
            for fault in self.faults:
                if fault.fits(method, path):
                    fault.done += 1
                    return fault.kind
        return ""


@contextlib.contextmanager
def proxied(target: str, client: Any) -> Iterator[Proxy]:
    """A proxy before the server at `target`, as long as this is open."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.proxy = Proxy(f"http://127.0.0.1:{server.server_port}", target, client)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.proxy  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that gives up
            super().handle()

    def _serve(self) -> None:
        proxy: Proxy = self.server.proxy  # type: ignore[attr-defined]
        if (
            "://" in self.path
        ):  # as programs ask that were told of a proxy: it leads to the server, whatever the host is
            proxy.hosts.add(urlsplit(self.path).netloc)
            self.path = "/" + self.path.split("/", 3)[3]
        kind, length = proxy.kind_of(self.command, self.path), int(self.headers.get("Content-Length") or 0)
        if self.headers.get("x-amz-request-payer") != "requester":
            proxy.unpaid.append((self.command, self.path))
        if kind == CUT_UPLOAD:
            self.rfile.read(length // 2)
            self._reset()
            return
        body = self.rfile.read(length)
        if kind == MEET and not self._met(proxy):
            self._reset()
            return
        told = _TOLD.get(kind) or proxy.archived(self.command, self.path)
        if told:
            status, code = told
            said = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
            self._answer(status, [("Content-Type", "application/xml")], b"" if self.command == "HEAD" else said)
            return
        if kind == LOSE_PART:
            self._answer(200, [("ETag", '"0123456789abcdef0123456789abcdef"')], b"")
            return
        conditional = self.headers.get("If-None-Match") or self.headers.get("If-Match")
        if kind == DEAF and conditional and self.command in ("PUT", "POST", "DELETE"):
            self._answer(*self._unconditionally(proxy.client, body))
            return
        if kind == SPOIL and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        place = (self.command, self.path)
        if kind == STALE and place in proxy.kept:
            self._answer(*proxy.kept[place])
            return
        answer = self._forward(proxy.target, body)
        proxy.kept.setdefault(place, answer)
        if kind == TIME_OUT:
            time.sleep(SILENCE_SECONDS)
        if kind in (LOSE_ANSWER, TIME_OUT):
            self._reset()
        elif kind == CUT_BODY:
            status, headers, content = answer
            self._head(status, headers, len(content))
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self._reset()
        else:
            self._answer(*answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _met(self, proxy: Proxy) -> bool:
        assert proxy.meeting is not None
        try:
            proxy.meeting.wait(MEETING_SECONDS)
        except threading.BrokenBarrierError:
            return False
        return True

    def _forward(self, target: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        parts = urlsplit(target)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # the Host with them: it is signed
                if name.lower() not in ("connection", "expect", "transfer-encoding"):
                    connection.putheader(name, value)
            connection.endheaders(body if body else None)
            told = connection.getresponse()
            content = told.read()
            headers = [(n, v) for n, v in told.getheaders() if n.lower() not in ("connection", "transfer-encoding")]
            return told.status, headers, content
        finally:
            connection.close()

    def _unconditionally(self, client: Any, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Do it, whatever the condition was; the headers are signed, so it is asked for anew."""
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).removeprefix("/").partition("/")
        at = {"Bucket": bucket, "Key": key}
        if self.command == "DELETE":
            client.delete_object(**at)
            return 204, [], b""
        if self.command == "PUT":
            return 200, [("ETag", client.put_object(**at, Body=body)["ETag"])], b""
        numbers = re.findall(rb"<PartNumber>(\d+)<", body)
        etags = re.findall(rb"<ETag>(?:&quot;|\")?([^<&\"]+)", body)
        listed = [{"PartNumber": int(n), "ETag": e.decode()} for n, e in zip(numbers, etags, strict=True)]
        upload = dict(parse_qsl(parts.query))["uploadId"]
        etag = client.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": listed})["ETag"]
        said = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        return 200, [("Content-Type", "application/xml")], said.encode()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self._head(status, headers, len(content))
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: int, headers: list[tuple[str, str]], length: int) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        of_head = {n.lower(): v for n, v in headers}.get("content-length")
        if status != 204:
            self.send_header("Content-Length", of_head if self.command == "HEAD" and of_head else str(length))
        self.end_headers()

    def _reset(self) -> None:
        """Close the connection so that the other side sees a reset, not an end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.rfile.close()

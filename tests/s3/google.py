"""A double of Google Cloud Storage, in memory.

No server of theirs runs without the cloud, and the free one, fake-gcs-server, takes no uploads through the XML
interface, which is the one that obstore speaks. What the double does is what their reference says of each request.

https://docs.cloud.google.com/storage/docs/xml-api/reference-methods
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import http.server
import itertools
import re
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape


class Kept(NamedTuple):
    """An object: its bytes, its number, and when it was written."""

    content: bytes
    generation: int
    at: float

    @property
    def etag(self) -> str:
        """What an object that was not composed has."""
        return f'"{hashlib.md5(self.content, usedforsecurity=False).hexdigest()}"'


@dataclass
class Google:
    """A running double: its address, who may enter, and what lies there."""

    url: str
    token: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    objects: dict[str, Kept] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to enter it."""
        return {"GOOGLE_BEARER_TOKEN": self.token}

    def write(self, name: str, content: bytes, condition: str | None) -> Kept | None:
        """Write an object, where the one that is there has that generation; None where it has another one."""
        with self.lock:
            there = self.objects.get(name)
            if condition is not None and int(condition) != (there.generation if there else 0):
                return None
            self.objects[name] = Kept(content, next(self.numbers), time.time())
            return self.objects[name]


@contextlib.contextmanager
def running() -> Iterator[Google]:
    """A double, as long as this is open."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.google = Google(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server.google  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def _serve(self) -> None:
        self.google: Google = self.server.google  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        bucket, _, key = unquote(parts.path).removeprefix("/").partition("/")
        if self.headers.get("Authorization") != f"Bearer {self.google.token}":
            self._fail(401, "AuthenticationRequired")
        elif not key and self.command == "GET" and query.get("list-type") == "2":
            self._list(bucket, query)
        elif self.command == "POST" and "uploads" in query:
            number = secrets.token_hex(8)
            self.google.uploads[number] = {}
            self._xml("InitiateMultipartUploadResult", f"<UploadId>{number}</UploadId>")
        elif "uploadId" in query:
            self._upload(f"{bucket}/{key}", query, body)
        elif self.command == "PUT":
            self._write(f"{bucket}/{key}", body)
        elif self.command == "DELETE":
            found = self.google.objects.pop(f"{bucket}/{key}", None)
            self._answer(204) if found else self._fail(404, "NoSuchKey")
        else:
            self._read(f"{bucket}/{key}")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _write(self, name: str, body: bytes) -> None:
        origin = self.headers.get("x-goog-copy-source")
        if origin is not None:
            found = self.google.objects.get(unquote(origin).removeprefix("/"))
            if found is None:
                self._fail(404, "NoSuchKey")
                return
            body = found.content
        kept = self.google.write(name, body, self.headers.get("x-goog-if-generation-match"))
        if kept is None:
            self._fail(412, "PreconditionFailed")
        elif origin is not None:
            self._xml("CopyObjectResult", f"<ETag>{escape(kept.etag)}</ETag>")
        else:
            self._answer(200, {"ETag": kept.etag, "x-goog-generation": str(kept.generation)})

    def _upload(self, name: str, query: dict[str, str], body: bytes) -> None:
        parts = self.google.uploads.get(query["uploadId"])
        if parts is None:
            self._fail(404, "NoSuchUpload")
        elif self.command == "PUT":
            parts[int(query["partNumber"])] = body
            self._answer(200, {"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'})
        elif self.command == "DELETE":
            del self.google.uploads[query["uploadId"]]
            self._answer(204)
        else:
            listed = [int(number) for number in re.findall(rb"<PartNumber>(\d+)<", body)]
            if any(number not in parts for number in listed):
                self._fail(400, "InvalidPart")
                return
            del self.google.uploads[query["uploadId"]]
            kept = self.google.write(name, b"".join(parts[number] for number in listed), None)
            assert kept is not None
            self._xml("CompleteMultipartUploadResult", f"<ETag>{escape(kept.etag)}</ETag>", kept)

    def _read(self, name: str) -> None:
        kept, wanted = self.google.objects.get(name), self.headers.get("If-Match")
        if kept is None:
            self._fail(404, "NoSuchKey")
            return
        if wanted is not None and wanted != kept.etag:
            self._fail(412, "PreconditionFailed")
            return
        headers = {"ETag": kept.etag, "x-goog-generation": str(kept.generation)}
        headers["Last-Modified"] = email.utils.formatdate(kept.at, usegmt=True)
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if asked is None:
            self._answer(200, headers, kept.content)
            return
        first, last = int(asked[1]), min(int(asked[2]), len(kept.content) - 1)
        if first > last:
            self._fail(416, "InvalidRange")
            return
        headers["Content-Range"] = f"bytes {first}-{last}/{len(kept.content)}"
        self._answer(206, headers, kept.content[first : last + 1])

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        prefix, most = f"{bucket}/{query.get('prefix', '')}", int(query.get("max-keys") or 1000)
        after, delimiter = query.get("continuation-token", ""), query.get("delimiter", "")
        names = sorted(one for one in self.google.objects if one.startswith(prefix) and one > after)
        folders, objects = set(), []
        for name in names:
            head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if found:
                folders.add(f"{prefix}{head}{delimiter}".partition("/")[2])
            else:
                objects.append(name)
        said = ""
        for name in objects[:most]:
            kept = self.google.objects[name]
            at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(kept.at))
            said += f"<Contents><Key>{escape(name.partition('/')[2])}</Key><Size>{len(kept.content)}</Size>"
            said += f"<LastModified>{at}</LastModified><ETag>{escape(kept.etag)}</ETag></Contents>"
        said += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders))
        if len(objects) > most:
            said += f"<NextContinuationToken>{escape(objects[most - 1])}</NextContinuationToken>"
        self._xml("ListBucketResult", said)

    def _xml(self, name: str, said: str, kept: Kept | None = None) -> None:
        headers = {"Content-Type": "application/xml"}
        if kept is not None:
            headers["x-goog-generation"] = str(kept.generation)
        self._answer(200, headers, f"<?xml version='1.0'?><{name}>{said}</{name}>".encode())

    def _fail(self, status: int, code: str) -> None:
        said = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
        self._answer(status, {"Content-Type": "application/xml"}, said.encode())

    def _answer(self, status: int, headers: dict[str, str] | None = None, content: bytes = b"") -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

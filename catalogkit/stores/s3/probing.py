"""Finds out by trying what an S3-compatible server can do, conditional writes above all."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import KeyTaken, StoreError
from catalogkit.stores.publishing import OWN
from catalogkit.stores.s3.bucket import bucket_of
from catalogkit.stores.s3.clouds import CloudBucket
from catalogkit.stores.s3.replication import replication_of
from catalogkit.stores.s3.rules import rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalogkit.stores.s3.bucket import Bucket
    from catalogkit.stores.s3.settings import S3Settings

OVERWRITES: Final = (
    "it overwrites where it was told not to. Say so in the URL (?conditional=false): then one looks first and writes"
    " then, which is safe where keys are content addresses, and is refused for readable paths"
)
_UNSENT: Final = "damage on the way is found by reading back only: `catalogkit verify` soon after taking in"
# What services say of themselves; nothing of it can be asked for.
_SWEPT: Final = {
    # Azure, "Put Block": blocks that were not committed are removed a week after the last of them came.
    "az": (True, "after a week, says Azure"),
    "gs": (None, "a lifecycle rule of the bucket does, with the action AbortIncompleteMultipartUpload"),
}


@dataclass(frozen=True, slots=True)
class Ability:
    """One thing that was tried: whether it worked (None: it cannot be told), and what that means."""

    name: str
    works: bool | None
    detail: str = ""
    needed: bool = False


@dataclass(slots=True)
class Abilities:
    """What a server can do; `refuse` raises where that is not enough."""

    place: str
    found: list[Ability] = field(default_factory=list)

    def refuse(self) -> None:
        """Raise `StoreError` for what a store cannot do without."""
        for one in self.found:
            if one.needed and not one.works:
                raise StoreError(f"{self.place} cannot hold a store: {one.name}: {one.detail}")

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        rows = [
            {"name": one.name, "works": one.works, "detail": one.detail, "needed": one.needed} for one in self.found
        ]
        return {"place": self.place, "usable": all(one.works for one in self.found if one.needed), "abilities": rows}


def probe(settings: S3Settings) -> Abilities:
    """Try out a bucket with a few small objects, which are removed again.

    Raises
    ------
    StoreUnreachable
        If it cannot be reached at all.
    """
    bucket, told = bucket_of(settings), Abilities(settings.place())
    key = f"{OWN}/probe-{uuid.uuid4().hex}"
    try:
        bucket.put(key, b"first", create=False)  # whoever cannot do this is told why
        for name, needed, attempt in _attempts(bucket, key):
            try:
                works, detail = attempt()
            except (StoreError, FileNotFoundError) as problem:
                works, detail = (False if needed else None), str(problem)
            told.found.append(Ability(name, works, detail, needed))
    finally:
        for one in (key, f"{key}-2"):
            with contextlib.suppress(StoreError):
                bucket.delete(one)
    return told


def _attempts(bucket: Bucket, key: str) -> Iterator[tuple[str, bool, Callable[[], tuple[bool | None, str]]]]:
    conditional, archive = bucket.settings.conditional, bucket.settings.archive
    yield "reads what was written", True, lambda: (bytes(bucket.get(key, 0, 5)) == b"first", "")
    yield "reads ranges", True, lambda: (bytes(bucket.get(key, 1, 3)) == b"irs", "")
    yield "lists at once what was written", True, lambda: (_listed(bucket, key), "")
    yield "creates without overwriting", conditional, lambda: _create_only(bucket, key)
    yield "completes uploads in parts without overwriting", conditional, lambda: _parts(bucket, key)
    yield "replaces only what was looked at", conditional, lambda: _compare_and_replace(bucket, f"{key}-2")
    yield "deletes only what was looked at", False, lambda: _compare_and_delete(bucket, f"{key}-2")
    if not bucket.settings.s3:
        yield "refuses bytes with a wrong SHA-256", False, lambda: (False, _UNSENT)
        yield "sweeps uploads in parts by itself", False, lambda: _SWEPT[bucket.settings.scheme]
        return
    yield "refuses bytes with a wrong SHA-256", archive, lambda: _checksum(bucket, key)
    yield "tells the SHA-256 it keeps", archive, lambda: _kept(bucket, key)
    yield "encrypts", bool(bucket.settings.sse), lambda: _encrypted(bucket, key)
    yield "sweeps uploads in parts by itself", False, lambda: _swept(bucket)
    yield "leaves objects as they are", False, lambda: _left_alone(bucket)
    yield "keeps no old versions", False, lambda: _versions(bucket)
    yield "is replicated elsewhere by its server", False, lambda: _replicated(bucket)


def _listed(bucket: Bucket, key: str) -> bool:
    return any(one.key == key for one in bucket.list(OWN))


def _create_only(bucket: Bucket, key: str) -> tuple[bool, str]:
    try:
        bucket.put(key, b"other", create=True)
    except KeyTaken:
        right = bytes(bucket.get(key, 0, 5)) == b"first"
        said = "" if bucket.settings.conditional else "by looking first, as the URL says"
        return right, said if right else OVERWRITES
    bucket.put(key, b"first", create=False)
    return False, OVERWRITES


def _parts(bucket: Bucket, key: str) -> tuple[bool, str]:
    if isinstance(bucket, CloudBucket):
        try:
            bucket.put_parts(key, [b"other"], 5 << 20, create=True)
        except KeyTaken:
            return True, "by a copy that the server makes"
        bucket.put(key, b"first", create=False)
        return False, OVERWRITES
    at = bucket.at(key)
    if not bucket.settings.conditional:
        return True, "by looking first, as the URL says"
    with bucket.asking(key):
        upload = bucket.api.create_multipart_upload(**at, **bucket.writing(key), **bucket.payer)["UploadId"]
        try:
            sent = bucket.api.upload_part(
                **at, UploadId=upload, PartNumber=1, Body=b"other", **bucket.reading, **bucket.payer
            )
            parts = {"Parts": [{"PartNumber": 1, "ETag": sent["ETag"]}]}
            bucket.api.complete_multipart_upload(
                **at, UploadId=upload, MultipartUpload=parts, IfNoneMatch="*", **bucket.reading, **bucket.payer
            )
        except Exception as problem:
            with contextlib.suppress(Exception):
                bucket.api.abort_multipart_upload(**at, UploadId=upload, **bucket.payer)
            if "PreconditionFailed" in str(problem):
                return True, ""
            raise
    bucket.put(key, b"first", create=False)
    return False, OVERWRITES


def _compare_and_replace(bucket: Bucket, key: str) -> tuple[bool, str]:
    bucket.put(key, b"second", create=False)
    seen = bucket.head(key)
    bucket.put(key, b"third", create=False, instead_of=seen)
    try:
        bucket.put(key, b"fourth", create=False, instead_of=seen)
    except KeyTaken:
        return True, "" if bucket.settings.conditional else "by looking first, as the URL says"
    return False, OVERWRITES


def _compare_and_delete(bucket: Bucket, key: str) -> tuple[bool, str]:
    fallback = "one looks just before; what comes in between is lost"
    if not bucket.settings.conditional or not bucket.settings.s3:
        return False, fallback
    bucket.put(key, b"second", create=False)
    bucket.delete(key, '"00000000000000000000000000000000"')
    there = bucket.head(key)
    if there is None:
        return False, fallback
    return bucket.delete(key, there.etag) and bucket.head(key) is None, ""


def _checksum(bucket: Bucket, key: str) -> tuple[bool, str]:
    wrong = base64.b64encode(hashlib.sha256(b"what was not sent").digest()).decode()
    try:
        with bucket.asking(key):
            bucket.api.put_object(
                **bucket.at(key), Body=b"first", ChecksumSHA256=wrong, **bucket.writing(key), **bucket.payer
            )
    except StoreError:
        return True, ""
    return False, _UNSENT


def _kept(bucket: Bucket, key: str) -> tuple[bool, str]:
    right = base64.b64encode(hashlib.sha256(b"first").digest()).decode()
    bucket.put(key, b"first", create=False)
    with bucket.asking(key):
        told = bucket.api.head_object(**bucket.at(key), ChecksumMode="ENABLED", **bucket.reading, **bucket.payer)
    found = told.get("ChecksumSHA256") == right
    return found, "" if found else "verification always reads objects back"


def _encrypted(bucket: Bucket, key: str) -> tuple[bool, str]:
    with bucket.asking(key):
        told = bucket.api.head_object(**bucket.at(key), **bucket.reading, **bucket.payer)
    said = told.get("ServerSideEncryption") or ("sse-c" if told.get("SSECustomerAlgorithm") else "")
    wanted = bucket.settings.sse
    if not wanted:
        return bool(said), said or "the URL does not ask for it (?sse=AES256)"
    return said == wanted, said or f"{wanted} was asked for, and the object is not encrypted"


def _swept(bucket: Bucket) -> tuple[bool, str]:
    said = "`catalogkit store lifecycle apply` writes a rule; `catalogkit ingest` sweeps as well"
    return (True, "") if rules_of(bucket).sweeps else (False, said)


def _left_alone(bucket: Bucket) -> tuple[bool, str]:
    behind = rules_of(bucket).behind
    return not behind, "; ".join(behind)


def _versions(bucket: Bucket) -> tuple[bool, str]:
    kept = bucket.versioning() == "Enabled"
    return not kept, "what is purged stays, and is paid for, as an old version" if kept else ""


def _replicated(bucket: Bucket) -> tuple[bool | None, str]:
    told = replication_of(bucket)
    return told.ready, f"to {', '.join(told.targets)}" if told.ready else "; ".join(told.problems)

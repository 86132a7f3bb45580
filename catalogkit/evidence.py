"""Takes checksums that a store's server computed (S3 Batch Operations) into the verification ledger.

Amazon S3's Batch Operations have an operation "Compute checksum", which reads objects where they are, also archived
ones, and reports a SHA-256 for each. Such a row is a check like any other, told by its method. What an uploader wrote
beside an object, and what a list says of it, is no evidence of its bytes and is not taken in.

A report is read twice, row by row: once to see that it is one, once to take it in; so nothing is noted of half of one,
and memory stays small whatever its length.
"""

from __future__ import annotations

import base64
import binascii
import csv
import itertools
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote_plus

from catalogkit.errors import InvalidInput
from catalogkit.model import Check, Outcome, to_us
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalogkit.audit import Copy
    from catalogkit.collection import Collection

METHOD: Final = "s3-batch"
# "Report_CSV_20180820", as Amazon's examples of completion reports have it; the report has no head line.
COLUMNS: Final = ("Bucket", "Key", "VersionId", "TaskStatus", "ErrorCode", "HTTPStatusCode", "ResultMessage")
PAGE: Final = 10_000
KEPT: Final = 1000
FAILED: Final = "its task failed"
NO_DIGEST: Final = "it has no SHA-256 of the whole object"


class Told(NamedTuple):
    """What a row of a report tells of an object: its SHA-256, or why it says nothing."""

    bucket: str
    key: str
    sha256: bytes
    why: str = ""


@dataclass(slots=True)
class EvidenceReport:
    """What came of a report: copies by outcome, and its rows that say nothing, by reason."""

    run_id: str
    ok: int = 0
    corrupt: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {"run_id": self.run_id, "ok": self.ok, "corrupt": self.corrupt, "left_out": dict(self.left_out),
                "findings": self.findings}  # fmt: skip

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        return facts("Evidence", {"ok": self.ok, "corrupt": self.corrupt, **self.left_out})


def import_checksums(
    collection: Collection, report: str | os.PathLike[str], *, checked_at: datetime | None = None
) -> EvidenceReport:
    """Take the completion report of a "Compute checksum" job into the ledger.

    Parameters
    ----------
    report
        The report, a CSV file, as S3 wrote it.
    checked_at
        When the checksums were computed; by default when the file was written. A copy that was checked since keeps
        that newer result.

    Raises
    ------
    InvalidInput
        If it is no such report, or of a time to come; nothing is noted then.
    """
    path = os.fspath(report)
    try:
        when = checked_at or datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
        for _ in _rows(path):
            pass
    except OSError as problem:
        raise InvalidInput(f"{path} cannot be read: {problem.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise InvalidInput(f"{path} is no completion report in CSV: {problem}") from None
    if when > collection.now():
        raise InvalidInput(f"{path} is of {when:%Y-%m-%d %H:%M} UTC, which is still to come; give the right time")
    found = EvidenceReport(f"{METHOD}-{when.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z")
    rows = _rows(path)
    while page := list(itertools.islice(rows, PAGE)):
        checks = list(_checks(collection, page, when, found))
        if checks:
            collection.catalog.record_checks(checks, run_id=found.run_id)
    return found


def _checks(collection: Collection, page: list[Told], when: datetime, found: EvidenceReport) -> Iterator[Check]:
    """A check for each copy that some rows tell of."""
    found.left_out.update(one.why for one in page if one.why)
    told = {(one.bucket, one.key): one.sha256 for one in page if not one.why}
    known = 0
    for store_id, store in collection.stores.items():
        if isinstance(store, S3Layout) and store.settings.s3:
            prefix = store.settings.key("")
            mine = {
                key.removeprefix(prefix): one
                for (bucket, key), one in told.items()
                if bucket == store.settings.bucket and key.startswith(prefix)
            }
            copies = collection.catalog.copies_at(store_id, list(mine))
            known += len(copies)
            for key, copy in copies.items():
                if copy.checked_us >= to_us(when):
                    found.left_out["checked since"] += 1
                else:
                    yield _check(store, copy, mine[key], when, found)
    if len(told) > known:
        found.left_out["no copy of ours"] += len(told) - known


def _check(store: S3Layout, copy: Copy, sha256: bytes, when: datetime, found: EvidenceReport) -> Check:
    right = sha256 == copy.digest
    detail = "" if right else f"the server computed SHA-256 {sha256.hex()}"
    if right:
        found.ok += 1
    else:
        found.corrupt += 1
        if len(found.findings) < KEPT:
            found.findings.append(f"{store.describe(copy.key)}: {detail}")
    return copy.check(when, Outcome.OK if right else Outcome.CORRUPT, METHOD, detail=detail)


def _rows(path: str | Path) -> Iterator[Told]:
    """What each row of a report tells."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if tuple(row) == COLUMNS or not row:
                continue
            if len(row) != len(COLUMNS):
                raise InvalidInput(f"{path}, line {number}: {len(row)} columns; a completion report has {len(COLUMNS)}")
            bucket, key, _, status, *_, message = row
            sha256 = _sha256(message) if status == "succeeded" else None
            why = FAILED if status != "succeeded" else NO_DIGEST if sha256 is None else ""
            yield Told(bucket, unquote_plus(key), sha256 or b"", why)


def _sha256(message: str) -> bytes | None:
    """The SHA-256 of a whole object that a row tells; None where it tells another checksum, or one made of parts'."""
    try:
        said = json.loads(message)
        if said["checksumAlgorithm"] != "SHA256" or said["checksumType"] != "FULL_OBJECT":
            return None
        found = base64.b64decode(said["checksum_base64"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
    return found if len(found) == 32 else None

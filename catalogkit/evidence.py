"""Evidence from elsewhere: checksums that a store's own server computed from what lies there, as rows of the ledger.

Amazon S3's Batch Operations have an operation "Compute checksum", which reads objects where they are, also archived
ones, and reports a SHA-256 for each. Such a row is a check like any other, told by its method. What an uploader wrote
beside an object, and what a list says of it, is no evidence of its bytes and is not taken in.
"""

from __future__ import annotations

import base64
import binascii
import csv
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from catalogkit.errors import InvalidInput
from catalogkit.model import Check, Digest, Outcome, to_us
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalogkit.collection import Collection

METHOD: Final = "s3-batch"
# "Report_CSV_20180820", as Amazon's examples of completion reports have it; the report has no head line.
COLUMNS: Final = ("Bucket", "Key", "VersionId", "TaskStatus", "ErrorCode", "HTTPStatusCode", "ResultMessage")
PAGE: Final = 10_000


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
        told, left_out = _read(path)
    except OSError as problem:
        raise InvalidInput(f"{path} cannot be read: {problem.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise InvalidInput(f"{path} is no completion report in CSV: {problem}") from None
    if when > collection.now():
        raise InvalidInput(f"{path} is of {when:%Y-%m-%d %H:%M} UTC, which is still to come; give the right time")
    found = EvidenceReport(f"{METHOD}-{when.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z", left_out=left_out)
    checks: list[Check] = []
    for store_id, store in collection.stores.items():
        if isinstance(store, S3Layout):
            mine = {key: one for (bucket, key), one in told.items() if bucket == store.settings.bucket}
            checks += _checks(collection, store_id, store, mine, when, found)
    found.left_out["no copy of ours"] += len(told) - found.ok - found.corrupt - found.left_out["checked since"]
    found.left_out += Counter()  # without those that are none
    if checks:
        collection.catalog.record_checks(checks, run_id=found.run_id)
    return found


def _checks(
    collection: Collection,
    store_id: int,
    store: S3Layout,
    told: dict[str, bytes],
    when: datetime,
    found: EvidenceReport,
) -> Iterator[Check]:
    """A check for each copy of a store that the report tells of."""
    after = (store_id, "")
    while page := collection.catalog.copies(after=after, limit=PAGE):
        after = (page[-1].store_id, page[-1].key)
        for copy in page:
            if copy.store_id != store_id:
                return
            sha256 = told.get(store.settings.key(copy.key))
            if sha256 is None:
                continue
            if copy.checked_us >= to_us(when):
                found.left_out["checked since"] += 1
                continue
            right = sha256 == copy.digest
            detail = "" if right else f"the server computed SHA-256 {sha256.hex()}"
            if right:
                found.ok += 1
            else:
                found.corrupt += 1
                found.findings.append(f"{store.describe(copy.key)}: {detail}")
            yield Check(
                location_id=copy.location_id,
                sha256=Digest(copy.digest),
                checked_at=when,
                outcome=Outcome.OK if right else Outcome.CORRUPT,
                method=METHOD,
                detail=detail,
            )


def _read(path: str | Path) -> tuple[dict[tuple[str, str], bytes], Counter[str]]:
    """The SHA-256 of each object of a report, by bucket and key; and how many rows have none, by reason."""
    told: dict[tuple[str, str], bytes] = {}
    left_out: Counter[str] = Counter()
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if tuple(row) == COLUMNS or not row:
                continue
            if len(row) != len(COLUMNS):
                raise InvalidInput(f"{path}, line {number}: {len(row)} columns; a completion report has {len(COLUMNS)}")
            bucket, key, _, status, *_, message = row
            sha256 = _sha256(message) if status == "succeeded" else None
            if status != "succeeded":
                left_out["its task failed"] += 1
            elif sha256 is None:
                left_out["it has no SHA-256 of the whole object"] += 1
            else:
                told[bucket, unquote_plus(key)] = sha256
    return told, left_out


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

"""Documents and copies as frames, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from catalogkit.model import Digest, DocumentRecord, schema
from catalogkit.policies.deciding import COPIES

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def sha(name: str) -> str:
    return name.encode().hex().ljust(64, "0")[:64]


def record(number: int = 1, **more: Any) -> DocumentRecord:
    """A document; whatever is not given is ordinary, and seen a year ago."""
    seen = more.get("seen_at", NOW - 365 * DAY)
    plain: dict[str, Any] = {
        "id": number,
        "tenant": "default",
        "artifact_id": f"a{number}",
        "source_url": f"https://example.org/{number}",
        "resolver": "",
        "variant": "",
        "sha256": Digest.parse(sha(f"content {number}")),
        "bytes": 100_000,
        "media_type": "text/html",
        "content_type": "",
        "run_id": "",
        "fetched_at": None,
        "created_at": seen,
        "changed_at": seen,
        "seen_at": seen,
        "metadata": {},
    }
    return DocumentRecord(**plain | more)


def documents(*records: DocumentRecord) -> pl.DataFrame:
    rows = [
        {name: getattr(one, name) for name in schema("documents")} | {"sha256": str(one.sha256), "metadata": "{}"}
        for one in records
    ]
    return pl.DataFrame(rows, schema=schema("documents"), orient="row")


def copies(*records: DocumentRecord, healthy: int | None = 1) -> pl.DataFrame:
    """So many healthy copies of each content."""
    rows = {str(one.sha256): (str(one.sha256), healthy, one.bytes) for one in records}
    return pl.DataFrame(list(rows.values()), schema=COPIES, orient="row")

"""Short questions that the tests of verify ask again and again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from catalogkit.collection import Collection
    from catalogkit.verify import VerifyReport


def copies(collection: Collection) -> list[Path]:
    """Where every copy lies, in the order of their keys."""
    rows = collection.frame("locations").sort("key").rows(named=True)
    return [Path(collection.stores[collection.store_id(row["store"])].path(row["key"])) for row in rows]


def ledger(collection: Collection) -> list[dict[str, Any]]:
    """Every entry of the ledger, oldest first."""
    return collection.frame("checks").rows(named=True)


def times_checked(collection: Collection) -> dict[int, int]:
    """How often each copy was checked."""
    times = dict.fromkeys(collection.frame("locations")["id"].to_list(), 0)
    for row in ledger(collection):
        times[row["location_id"]] += 1
    return times


def last_checked(collection: Collection) -> dict[int, datetime | None]:
    """When each copy was last checked."""
    return dict(collection.frame("locations").select("id", "checked_at").iter_rows())


def outcomes(report: VerifyReport) -> tuple[int, int, int, int]:
    """ok, corrupt, missing, unknown."""
    return report.ok, report.corrupt, report.missing, report.unknown

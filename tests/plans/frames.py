"""Plans and frames made by hand, for planners and plans that need no catalog."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from catalogkit.plan import SCHEMA, Head, Plan

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REASONS = {"why": "because", "other": "for another reason"}


def head(**more: Any) -> Head:
    return Head(**{"kind": "gc", "catalog": "c" * 32, "as_of": NOW, "expires_at": NOW + timedelta(days=7), **more})


def sha(name: str) -> str:
    """A digest that begins with `name` (hex digits)."""
    return name.ljust(64, "0")


def frame(schema: pl.Schema, *rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of some columns; what is not given is null."""
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row")


def plan(*rows: dict[str, Any], **more: Any) -> Plan:
    """A plan of these steps, each its own unit unless it says otherwise."""
    usual = {"step": 0, "kind": "condemn", "reason": "why", "bytes": 0, "last_copy": False}
    steps = [{"unit": number, **usual, **row} for number, row in enumerate(rows)]
    return Plan(head(**{"reasons": REASONS, **more}), frame(SCHEMA, *steps))

"""Which tables keep every version of their rows, and which changes make a version; engines generate the triggers."""

from __future__ import annotations

from typing import Final

# Table -> columns whose change is worth a version; None means any. What a table says of its last check or sighting
# is left out: the ledger and the access log have it, and a scrub of a million copies is no million changes.
TRACKED: Final[dict[str, tuple[str, ...] | None]] = {
    "documents": (
        "tenant", "artifact_id", "source_url", "resolver", "variant", "sha256",
        "content_type", "run_id", "fetched_us", "metadata",
    ),
    "blobs": ("state",),
    "locations": ("store_id", "key", "layout", "sha256", "inode", "mtime_ns"),
    "holds": None,
}  # fmt: skip
# An incoming blob is no fact yet: its intents tell of it, and the time it becomes live begins its first version.
BORN: Final = {"blobs": "OLD.state <> 'incoming'"}
# Tables in which a row may come back under its old key; that it was away must not be forgotten.
RETURNING: Final = ("documents",)
OWN: Final = ("hid", "op", "ended_us", "operation", "by_run")

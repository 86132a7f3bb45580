"""Shared SQL: ends a conflict between sites by writing the chosen value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catalogkit.catalog.sql.records import IDENTITY, KNOWN, Records, record_of
from catalogkit.catalog.sql.sites import Here
from catalogkit.catalog.sql.stamping import note_changes
from catalogkit.federation import merging
from catalogkit.federation.merging import Life

if TYPE_CHECKING:
    from catalogkit.catalog.sql.base import Session

CHANGED = "its values are not those that the plan is about; make a new one"


def resolve(db: Session, sequence: str, document_id: int, group: str, chosen: str, values: str, at_us: int) -> str:
    """Write one of the values of a group (its dot, of all dots) in the knowledge of all; says why not."""
    here = Here(db)
    note_changes(db, here, sequence)
    row = db.execute(
        f"SELECT {KNOWN}, {', '.join(f'd.{name}' for name in IDENTITY)} FROM records r"
        " JOIN documents d ON d.id = r.document_id JOIN blobs b ON b.sha256 = d.sha256 WHERE d.id = ?",
        (document_id,),
    ).fetchone()
    if row is None:
        return "it is gone"
    record, identity = record_of(row[:13], here), tuple(row[13:])
    found: dict[str, Any] = {dot_text(one.dot): one.value for one in getattr(record, group)}
    if ",".join(sorted(found)) != values or chosen not in found:
        return CHANGED
    value = found[chosen]
    if group == "life":
        value = Life(live=value.live, seen_us=record.seen_us if not value.live else 0)
        if not value.live and isinstance(why := db.attempt("DELETE FROM documents WHERE id = ?", (document_id,)), str):
            return why
    number = here.next()
    changes: dict[str, Any] = {group: value}
    after = merging.written(record, (here.site, number), at_us, **changes)
    if merging.shown(after).live:
        shown = merging.shown(after)
        content, notes = shown.content.value, shown.notes.value
        why = db.attempt(
            "UPDATE documents SET sha256 = ?, content_type = ?, run_id = ?, fetched_us = ?, metadata = ?,"
            " changed_us = CASE WHEN sha256 <> ? OR metadata <> ? THEN ? ELSE changed_us END WHERE id = ?",
            (content.sha256, content.content_type, content.run_id, content.fetched_us, notes.metadata,
             content.sha256, notes.metadata, at_us, document_id),
        )  # fmt: skip
        if isinstance(why, str):
            return why
    records = Records(db, here)
    records.put(document_id, identity, after, seq=number, before=document_id)
    records.write()
    here.stand(db, sequence)
    return ""


def dot_text(dot: tuple[str, int]) -> str:
    """Which change, as text."""
    return f"{dot[0]}:{dot[1]}"

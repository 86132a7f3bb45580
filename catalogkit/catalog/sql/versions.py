"""Shared SQL: a new version of a known document: it becomes current, or history if it came late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from catalogkit.model import json_text, to_us

if TYPE_CHECKING:
    from catalogkit.catalog.rows import Registration
    from catalogkit.catalog.sql.base import Session

# What a version says, beside what identifies its document.
FACTS: Final = ("sha256", "content_type", "run_id", "fetched_us", "metadata")
Facts = tuple[Any, str, str, int | None, str]


def facts_of(entry: Registration) -> Facts:
    """The columns of `FACTS`."""
    arrival = entry.arrival
    fetched_us = None if arrival.fetched_at is None else to_us(arrival.fetched_at)
    metadata = json_text(arrival.metadata) if arrival.metadata else "{}"
    return entry.digest, arrival.content_type, arrival.run_id, fetched_us, metadata


def put_version(
    db: Session, entry: Registration, facts: Facts, known: tuple[int, int | None, int], overtaken: bool | None,
    at_us: int,
) -> str:  # fmt: skip
    """Write other content of a document down: "changed", "older", or "same" where it is known to be older already.

    `known` is its id, when what it is now was fetched, and since when it is so. Where nobody says which came first,
    what was there already when this one's ingest began did; one without a beginning is compared by time.
    """
    document_id, known_fetched_us, known_changed_us = known
    fetched_us = facts[3]
    dated = fetched_us is not None and known_fetched_us is not None
    by_order = at_us < known_changed_us if overtaken is None else overtaken
    late = fetched_us < known_fetched_us if dated else by_order  # type: ignore[operator]
    if late and not entry.in_order:
        return "older" if _keep_older(db, document_id, facts, at_us) else "same"
    db.execute(
        "UPDATE documents SET sha256 = ?1, content_type = ?2, run_id = ?3, fetched_us = ?4, metadata = ?5,"
        " changed_us = ?6, seen_us = CASE WHEN seen_us < ?6 THEN ?6 ELSE seen_us END WHERE id = ?7",
        (*facts, at_us, document_id),
    )
    return "changed"


def _keep_older(db: Session, document_id: int, facts: Facts, at_us: int) -> bool:
    """Keep a version that arrived late, as history that never was current; False where it is known already."""
    # Nothing refers to its bytes, unless another document has them: they count as garbage from the first day.
    db.execute(
        "UPDATE blobs SET garbage_since_us = ? WHERE sha256 = ? AND refs = 0 AND garbage_since_us IS NULL",
        (at_us, facts[0]),
    )
    added = db.execute(
        "INSERT INTO documents_history (op, ended_us, operation, by_run, id, tenant, artifact_id, source_url,"
        " resolver, variant, sha256, content_type, run_id, fetched_us, metadata, created_us, changed_us, seen_us)"
        " SELECT 'older', now.at_us, now.operation, now.run_id, id, tenant, artifact_id, source_url, resolver,"
        " variant, ?1, ?2, ?3, ?4, ?5, created_us, now.at_us, now.at_us FROM documents d, now WHERE id = ?6"
        " AND NOT EXISTS (SELECT 1 FROM documents_history h WHERE h.id = d.id AND h.sha256 = ?1)",
        (*facts, document_id),
    )
    return bool(added.rowcount)

"""Writes the documents of an ingest: looks them up by identity, decides, adds them by COPY."""

from __future__ import annotations

from hashlib import sha256
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalogkit.catalog.sql.versions import FACTS, facts_of, put_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from catalogkit.catalog.postgres.session import Session
    from catalogkit.catalog.rows import Registration
    from catalogkit.model import Arrival

_DOCUMENT: Final = (
    "id", "tenant", "artifact_id", "source_url", "resolver", "variant", *FACTS, "created_us", "changed_us", "seen_us",
)  # fmt: skip
_DOCUMENT_TYPES: Final = (
    *("int8", "text", "text", "text", "text", "text"), *("bytea", "text", "text", "int8", "text"),
    *("int8", "int8", "int8"),
)  # fmt: skip
_KNOWN: Final = "SELECT d.tenant, d.identity, d.id, d.sha256, d.fetched_us, d.changed_us FROM documents d WHERE "
# Of some tenants, documents with some of these digests as identity; and one alone, which is asked for most.
KNOWN: Final = f"{_KNOWN}d.tenant = ANY(?::text[]) AND d.identity = ANY(?::bytea[])"
KNOWN_ONE: Final = f"{_KNOWN}d.tenant = ? AND d.identity = ?"


_IN_ORDER: Final = itemgetter(1, 2, 3, 4, 5)


class Put(NamedTuple):
    """A document to be written: what identifies it, what is new about it."""

    identity: tuple[str, bytes]
    entry: Registration
    overtaken: bool | None


def next_ids(db: Session, table: str, count: int) -> list[int]:
    """The next ids of a table."""
    rows = db.execute(f"SELECT nextval('{table}_id_seq') FROM generate_series(1, ?)", (count,)).fetchall()
    return [number for (number,) in rows]


def identity_of(arrival: Arrival) -> tuple[str, bytes]:
    """The key of a document: its tenant, and the digest that the column ``identity`` has."""
    tenant, artifact, url, resolver = arrival.tenant, arrival.artifact_id, arrival.source_url, arrival.resolver
    text = (
        f"{len(tenant)}:{tenant}{len(artifact)}:{artifact}{len(url)}:{url}{len(resolver)}:{resolver}{arrival.variant}"
    )
    return tenant, sha256(text.encode()).digest()


def wanted(identities: Sequence[tuple[str, bytes]]) -> tuple[list[str], list[bytes]]:
    """The parameters of `KNOWN`."""
    return list({tenant for tenant, _ in identities}), [digest for _, digest in identities]


def documents_of(db: Session, identities: Sequence[tuple[str, bytes]]) -> dict[tuple[str, bytes], tuple[Any, ...]]:
    """Documents by their identity: id, content, when fetched, since when they are so; locked until the end."""
    rows = db.execute(f"{KNOWN} ORDER BY d.id FOR NO KEY UPDATE OF d", wanted(identities)).fetchall()
    return {(row[0], row[1]): row[2:] for row in rows}


def put_documents(
    db: Session, puts: Sequence[Put], known: dict[tuple[str, bytes], tuple[Any, ...]], at_us: int
) -> Iterator[tuple[int, str]]:
    """Write documents down, in the sequence they came, which of two about the same document is the order of versions.

    `known` is what there was of each before, and is kept up to date.
    """
    seen: list[int] = []
    added: list[tuple[Any, ...]] = []
    told: list[tuple[int, str]] = []
    ids = iter(next_ids(db, "documents", len({put.identity for put in puts} - set(known))))
    for put in puts:
        row = known.get(put.identity)
        if row is None:
            number = next(ids)
            facts = facts_of(put.entry)
            added.append((number, *put.entry.arrival.identity, *facts, at_us, at_us, at_us))
            known[put.identity] = (number, put.entry.digest, facts[3], at_us)
            told.append((number, "new"))
            continue
        document_id, content, known_fetched_us, known_changed_us = row
        if content == put.entry.digest:
            seen.append(document_id)
            told.append((document_id, "same"))
            continue
        # What is already written of this batch must be there before it can be changed.
        added = _add(db, added)
        facts = facts_of(put.entry)
        became = put_version(
            db, put.entry, facts, (document_id, known_fetched_us, known_changed_us), put.overtaken, at_us
        )
        if became == "changed":
            known[put.identity] = (document_id, put.entry.digest, facts[3], at_us)
        told.append((document_id, became))
    _add(db, added)
    note_seen(db, seen, at_us)
    return iter(told)


def _add(db: Session, documents: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Add new documents in the order of their keys, in which everybody adds them; nothing is left of the list."""
    if documents:
        db.copy("documents", _DOCUMENT, _DOCUMENT_TYPES, sorted(documents, key=_IN_ORDER))
    return []


def note_seen(db: Session, document_ids: Sequence[int], at_us: int) -> None:
    """These documents were seen again at a time."""
    if document_ids:
        db.execute(
            "UPDATE documents d SET seen_us = ?1 FROM (SELECT id FROM documents WHERE id = ANY(?2::bigint[])"
            " AND seen_us < ?1 ORDER BY id FOR NO KEY UPDATE) w WHERE d.id = w.id",
            (at_us, list(document_ids)),
        )

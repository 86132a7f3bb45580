"""Shared SQL: documents as of a time or a position, differences between two, and one document's history."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalogkit.catalog.sql.base import LAST, Database, framed
from catalogkit.catalog.sql.moments import CHANGED, FACTS, at
from catalogkit.catalog.sql.queries import record
from catalogkit.model import from_us, schema, to_us

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from catalogkit.catalog.contract import Position
    from catalogkit.model import DocumentRecord

_OWN: Final = (
    "id, tenant, artifact_id, source_url, resolver, variant, sha256, content_type, run_id, fetched_us, created_us,"
    " changed_us, seen_us, metadata"
)
_RECORD: Final = (
    "SELECT d.id, d.tenant, d.artifact_id, d.source_url, d.resolver, d.variant, d.sha256, b.bytes, b.media_type,"
    " d.content_type, d.run_id, d.fetched_us, d.created_us, d.changed_us, {seen}, d.metadata"
    " FROM ({rows}) d JOIN blobs b ON b.sha256 = d.sha256"
)
_SEEN: Final = "CASE WHEN d.seen_us <= :when THEN d.seen_us ELSE d.changed_us END"
_WHAT: Final = {"delete": "forgotten", "recall": "recalled", "older": "came late"}
# Versions that held at :when, each with the number of the change that ended it.
_HELD: Final = (
    f"SELECT {_OWN}, hid FROM documents_history WHERE (op = 'update' OR op = 'delete')"
    " AND changed_us <= :when AND ended_us > :when"
)


class Past(Database):
    """The catalog's memory of documents."""

    def document_at(self, document_id: int, when: datetime) -> DocumentRecord | None:
        """One document as it was at a time; None if there was none then."""
        rows = (
            f"{_HELD} AND id = :id UNION ALL SELECT {_OWN}, {LAST} FROM documents WHERE changed_us <= :when"
            " AND id = :id ORDER BY hid DESC LIMIT 1"
        )
        found = self._named(_RECORD.format(seen=_SEEN, rows=rows), {"id": document_id, "when": to_us(when)})
        return record(found[0]) if found else None

    def document_then(self, document_id: int, position: Position) -> DocumentRecord | None:
        """One document as it was at a position; None if there was none then."""
        rows = at(":changes", ":last_id", _OWN, " AND id = :id")
        names = {"id": document_id, "changes": position.changes, "last_id": position.last_id}
        found = self._named(_RECORD.format(seen="d.seen_us", rows=rows), names)
        return record(found[0]) if found else None

    def documents_at(self, when: datetime | Position, *, ids: tuple[int, int] | None = None) -> pl.DataFrame:
        """Documents as they were at a time or a position, all or those of a range of ids, as a frame."""
        among = " AND id BETWEEN :first AND :last" if ids else ""
        names: dict[str, Any] = dict(zip(("first", "last"), ids or (), strict=False))
        if isinstance(when, datetime):
            # Clocks that went backwards leave versions that overlap: of these the one that was written last counts.
            rows = (
                f"SELECT {_OWN} FROM documents WHERE changed_us <= :when{among}"
                f" UNION ALL SELECT {_OWN} FROM ({_HELD}{among}) h"
                " WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.id = h.id AND d.changed_us <= :when)"
                " AND NOT EXISTS (SELECT 1 FROM documents_history l WHERE l.id = h.id AND l.hid > h.hid"
                " AND (l.op = 'update' OR l.op = 'delete') AND l.changed_us <= :when AND l.ended_us > :when)"
            )
            sql, names = _RECORD.format(seen=_SEEN, rows=rows), names | {"when": to_us(when)}
        else:
            rows = at(":changes", ":last_id", _OWN, among)
            sql = _RECORD.format(seen="d.seen_us", rows=rows)
            names |= {"changes": when.changes, "last_id": when.last_id}
        with self.read() as db:
            return framed(db.stream(sql, names), schema("documents")).sort("id")

    def changed_ids(self, before: Position, after: Position) -> list[int]:
        """Documents that something happened to between two positions; among them all that differ."""
        return [row[0] for row in self._named(CHANGED, _span(before, after))]

    def differences(self, before: Position, after: Position) -> pl.DataFrame:
        """Documents that differ between two positions: a frame ``differences``, by id."""
        import polars as pl

        names = _span(before, after)
        columns = {name: pl.Binary() if name == "sha256" else pl.String() for name in FACTS}
        kinds: dict[str, Any] = columns | {name: pl.Int64() for name in ("id", "fetched_us", "created_us", "bytes")}
        sides = []
        with self.read() as db:
            for changes, last_id in ((":changes", ":last_id"), (":to_changes", ":to_id")):
                rows = at(changes, last_id, ", ".join(FACTS), " AND id IN (SELECT id FROM changed)")
                cursor = db.stream(
                    f"WITH changed AS MATERIALIZED ({CHANGED})"
                    f" SELECT d.*, b.bytes FROM ({rows}) d JOIN blobs b ON b.sha256 = d.sha256",
                    names,
                )
                sides.append(framed(cursor, kinds | {"sha256": pl.String()}))
        facts = [name for name in kinds if name != "id"]
        both = sides[0].join(sides[1], on="id", how="full", coalesce=True, suffix="_after", maintain_order="none")
        gone, new = pl.col("sha256_after").is_null(), pl.col("sha256").is_null()
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_after")) for name in facts)
        told = pl.when(gone).then(pl.lit("forgotten")).when(new).then(pl.lit("added")).otherwise(pl.lit("changed"))
        about = [pl.coalesce(f"{name}_after", name).alias(name) for name in facts[:4]]
        return (
            both.filter(~same)
            .sort("id")
            .select(
                pl.col("id").alias("document_id"),
                told.alias("difference"),
                *about,
                pl.col("sha256").alias("sha256_before"),
                pl.col("sha256_after").alias("sha256"),
                pl.col("bytes").alias("bytes_before"),
                pl.col("bytes_after").alias("bytes"),
            )
            .cast(schema("differences"))  # type: ignore[arg-type]
        )

    def ended_versions(self, after: datetime) -> pl.DataFrame:
        """Versions of documents that held until some time after that one, and hold no more, by id and age."""
        return self.frame_of(
            "SELECT h.id, h.tenant, h.artifact_id, h.source_url, h.resolver, h.variant, h.sha256, b.bytes,"
            " b.media_type, h.content_type, CASE h.op WHEN 'older' THEN h.op ELSE h.operation END,"
            " h.changed_us, h.ended_us, h.seen_us"
            " FROM documents_history h LEFT JOIN blobs b ON b.sha256 = h.sha256"
            " WHERE h.op <> 'recall' AND h.ended_us > ? ORDER BY h.id, h.hid",
            schema("document_versions"),
            (to_us(after),),
        )

    def history(self, document_id: int) -> pl.DataFrame:
        """All that happened to a document, in the sequence it did: a frame ``history``."""
        import polars as pl

        facts = f"{', '.join(FACTS)}, changed_us"
        rows = self._named(
            "SELECT h.hid, h.op, h.ended_us, h.operation, h.by_run, h.changed_us, b.bytes, p.id,"
            f" json_extract(p.approval, '$.approved_by'), {', '.join(f'h.{name}' for name in FACTS)}"
            f" FROM (SELECT hid, op, ended_us, operation, by_run, {facts} FROM documents_history WHERE id = :id"
            f" UNION ALL SELECT {LAST}, 'now', NULL, '', '', {facts} FROM documents WHERE id = :id) h"
            " JOIN blobs b ON b.sha256 = h.sha256 LEFT JOIN plans p ON p.id = h.by_run ORDER BY h.hid",
            {"id": document_id},
        )
        versions = [_Version._make((*row[:9], dict(zip(FACTS, row[9:], strict=True)))) for row in rows]
        return pl.DataFrame(list(_told(versions)), schema=schema("history"), orient="row")

    def _named(self, sql: str, names: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self.read() as db:
            return db.execute(sql, names).fetchall()


def _span(before: Position, after: Position) -> dict[str, Any]:
    return {
        "changes": before.changes, "last_id": before.last_id, "to_changes": after.changes, "to_id": after.last_id,
    }  # fmt: skip


class _Version(NamedTuple):
    """A version of a document and how it ended, or what the document is now."""

    change: int
    op: str
    ended_us: int
    operation: str
    by_run: str
    since_us: int
    bytes: int
    plan_id: str | None
    by: str | None
    facts: dict[str, Any]


def _told(versions: list[_Version]) -> Iterator[tuple[Any, ...]]:
    """What happened, from the versions it left behind: each is ended by the change that made the next one."""

    def row(
        change: int, us: int, what: str, who: tuple[Any, ...], about: _Version, fields: str = ""
    ) -> tuple[Any, ...]:
        content = (about.facts["sha256"].hex(), about.bytes)
        return (about.facts["id"], change, from_us(us), what, *who, *content, fields)

    known = [version for version in versions if version.op != "older"]
    if known:
        # The first version came with the run that brought it.
        yield row(0, known[0].since_us, "arrived", ("ingest", known[0].facts["run_id"], None, None), known[0])
    for version in versions:
        run_id = version.by_run if version.plan_id is None else ""
        who = (version.operation, run_id, version.plan_id, version.by)
        if version.op == "update":
            new = known[known.index(version) + 1]
            fields = [name.removesuffix("_us") for name in FACTS if new.facts[name] != version.facts[name]]
            yield row(version.change, version.ended_us, "changed", who, new, ", ".join(fields))
        elif version.op in _WHAT:
            yield row(version.change, version.ended_us, _WHAT[version.op], who, version)

"""What recovery needs from catalog files: what would change, and what of the old catalog is still true."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.sqlite.base import driver_errors
from catalogkit.catalog.sqlite.images import connect
from catalogkit.errors import CatalogBusy, CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPLACED: Final = "replaced"
_SAME: Final = (
    "d.source_url = b.source_url AND d.artifact_id = b.artifact_id AND d.resolver = b.resolver"
    " AND d.variant = b.variant AND d.tenant = b.tenant"
)
_WHO: Final = "{0}.tenant, {0}.artifact_id, {0}.source_url, {0}.resolver, {0}.variant"
# Documents by who they are; what was seen when is no difference.
DIFFERENCES: Final = (
    f"SELECT 'only in the backup', {_WHO.format('b')}, lower(hex(b.sha256)), NULL, b.changed_us, NULL"
    f" FROM was.documents b WHERE NOT EXISTS (SELECT 1 FROM main.documents d WHERE {_SAME})"
    f" UNION ALL SELECT 'only in the catalog', {_WHO.format('d')}, NULL, lower(hex(d.sha256)), NULL, d.changed_us"
    f" FROM main.documents d WHERE NOT EXISTS (SELECT 1 FROM was.documents b WHERE {_SAME})"
    f" UNION ALL SELECT 'changed', {_WHO.format('d')}, lower(hex(b.sha256)), lower(hex(d.sha256)), b.changed_us,"
    f" d.changed_us FROM was.documents b JOIN main.documents d ON {_SAME}"
    " WHERE d.sha256 <> b.sha256 OR d.metadata <> b.metadata OR d.content_type <> b.content_type"
    " OR d.run_id <> b.run_id OR d.fetched_us IS NOT b.fetched_us"
)

# Holds in force, and how one of a document finds the same one elsewhere; none is placed twice.
_HOLDS: Final = (
    "SELECT document_id, sha256, reason, placed_by, placed_us, expires_us FROM holds"
    " WHERE released_us IS NULL AND (expires_us IS NULL OR expires_us > ?)"
)
_IDENTITY: Final = "SELECT source_url, artifact_id, resolver, variant, tenant FROM documents WHERE id = ?"
_DOCUMENT: Final = (
    "SELECT id FROM documents WHERE source_url = ? AND artifact_id = ? AND resolver = ? AND variant = ? AND tenant = ?"
)
_HOLD: Final = (
    "INSERT INTO holds (document_id, sha256, reason, placed_by, placed_us, expires_us) SELECT ?1, ?2, ?3, ?4, ?5, ?6"
    " WHERE NOT EXISTS (SELECT 1 FROM holds WHERE document_id IS ?1 AND sha256 IS ?2 AND reason = ?3"
    " AND placed_us = ?5 AND released_us IS NULL)"
)


def identity_of(path: str | os.PathLike[str]) -> str:
    """Whose catalog a file is.

    Raises
    ------
    CatalogError
        If it is damaged, or no catalog.
    """
    _not_empty(path)
    with contextlib.closing(connect(Path(path), "rw")) as db, driver_errors(Path(path)):
        row = db.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
        if row is None:
            raise CatalogError(f"{path} has no identity; it is not a whole catalog")
        # All of it is looked at: a file of which only the first page is there would be compared otherwise. The quick
        # check sees damage where there is none (SQLite 3.40: any row of a strict table without row ids).
        if problem := next((row[0] for row in db.execute("PRAGMA integrity_check(1)") if row[0] != "ok"), ""):
            raise CatalogError(f"{path} is damaged: {problem}")
        return str(row[0])


def differences(live: str | os.PathLike[str], image: str | os.PathLike[str]) -> Iterator[tuple[Any, ...]]:
    """Documents that an image and the catalog do not have alike: change, who, both digests, both times of change."""
    with _beside(live, image) as db:
        yield from db.execute(DIFFERENCES)


def gone_since(live: str | os.PathLike[str], image: str | os.PathLike[str]) -> list[tuple[str, str, int]]:
    """Blobs that documents of an image have, and that were condemned or purged since: digest, state, bytes."""
    with _beside(live, image) as db:
        return db.execute(
            "SELECT lower(hex(b.sha256)), l.state, b.bytes FROM was.blobs b JOIN main.blobs l ON l.sha256 = b.sha256"
            " WHERE b.refs > 0 AND l.state IN ('condemned', 'purged')"
        ).fetchall()


@contextlib.contextmanager
def _beside(live: str | os.PathLike[str], image: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(connect(Path(live), "rw")) as db, driver_errors(Path(live)):
        db.execute("ATTACH ? AS was", (f"{Path(image).absolute().as_uri()}?mode=ro&immutable=1",))
        yield db


@contextlib.contextmanager
def taken(path: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    """A catalog in one file, its log folded in, that nobody else can open while this is open.

    Raises
    ------
    CatalogBusy
        If somebody has it open, in this process or another one.
    CatalogError
        If it is damaged.
    """
    _not_empty(path)
    with contextlib.closing(connect(Path(path), "rw", timeout=0.0)) as db:
        try:
            # Leaving write-ahead mode takes that nobody else has the file open, and copies the log back.
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as problem:
            if "locked" not in str(problem) and "busy" not in str(problem):
                raise CatalogError(f"{path}: {problem}") from problem
            raise CatalogBusy(
                f"{path} is open elsewhere; close the programs and notebooks that use it, and try again"
            ) from problem
        except sqlite3.DatabaseError as problem:
            raise CatalogError(f"{path} is damaged: {problem}") from problem
        with driver_errors(Path(path)):
            yield db
            db.execute("ROLLBACK")


def _not_empty(path: str | os.PathLike[str]) -> None:
    """SQLite removes the log of an empty file when it opens it, and with it all that is left of the last changes."""
    if os.path.getsize(path) == 0:
        raise CatalogError(f"{path} is empty")


def carry_from(image: str, new: str, kind: str, name: str, as_of_us: int) -> int:
    """The same as `carry_over`, from a catalog's file."""
    with contextlib.closing(connect(Path(image), "ro&immutable=1")) as old, driver_errors(Path(image)):
        return carry_over(old, new, kind, name, as_of_us)


def carry_over(old: sqlite3.Connection, new: str | os.PathLike[str], kind: str, name: str, as_of_us: int) -> int:
    """Take over where bytes lie by now, from the catalog that is replaced; how many blobs were unknown before.

    A backup does not know what came after it. Its bytes must not become strays, for the replaced catalog, which is
    kept, and later backups have documents for them: they are blobs that nothing refers to, with a root in the name of
    the replaced catalog. Holds that came after it are in force still.
    """
    with contextlib.closing(connect(Path(new), "rw")) as db, driver_errors(Path(new)):
        db.execute("PRAGMA recursive_triggers = ON")
        db.execute("PRAGMA foreign_keys = ON")
        stores = dict(db.execute("SELECT token, id FROM stores").fetchall())
        for token, store, sort in old.execute("SELECT token, name, kind FROM stores").fetchall():
            if token not in stores:
                row = db.execute(
                    "INSERT INTO stores (name, kind, token) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
                    (store, sort, token),
                ).fetchone()
                if row:
                    stores[token] = row[0]
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE txn SET at_us = ?, operation = 'recover', run_id = ?", (as_of_us, name))
        carried = 0
        for digest, size, media_type in old.execute("SELECT sha256, bytes, media_type FROM blobs WHERE state = 'live'"):
            places = old.execute(
                "SELECT s.token, l.key, l.layout, l.fold, l.inode, l.mtime_ns, l.checked_us, l.outcome"
                " FROM locations l JOIN stores s ON s.id = l.store_id WHERE l.sha256 = ?",
                (digest,),
            ).fetchall()
            row = db.execute("SELECT state FROM blobs WHERE sha256 = ?", (digest,)).fetchone()
            if row is None or row[0] == "purged":
                db.execute(
                    "INSERT INTO blobs (sha256, bytes, media_type, state, created_us, changed_us)"
                    " VALUES (?1, ?2, ?3, 'incoming', ?4, ?4)"
                    " ON CONFLICT (sha256) DO UPDATE SET state = 'incoming', changed_us = ?4",
                    (digest, size, media_type, as_of_us),
                )
            for token, *place in places:
                if token in stores:
                    db.execute(
                        "INSERT INTO locations (store_id, key, layout, fold, inode, mtime_ns, checked_us, outcome,"
                        " sha256, created_us, changed_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)"
                        " ON CONFLICT DO NOTHING",
                        (stores[token], *place, digest, as_of_us),
                    )
            if row is None or row[0] != "live":
                alive = db.execute(
                    "UPDATE blobs SET state = 'live', changed_us = ?1, garbage_since_us = ?1 WHERE sha256 = ?2"
                    " AND EXISTS (SELECT 1 FROM locations l WHERE l.sha256 = ?2)",
                    (as_of_us, digest),
                ).rowcount
                if alive:
                    db.execute("INSERT OR IGNORE INTO roots VALUES (?, ?, ?)", (kind, name, digest))
                    carried += 1
        for document, digest, *hold in old.execute(_HOLDS, (as_of_us,)).fetchall():
            identity = old.execute(_IDENTITY, (document,)).fetchone()
            here = db.execute(_DOCUMENT, identity).fetchone() if identity else None
            if here or digest:
                db.execute(_HOLD, (here and here[0], digest, *hold))
        db.execute(
            "DELETE FROM blobs WHERE state = 'incoming' AND NOT EXISTS"
            " (SELECT 1 FROM locations l WHERE l.sha256 = blobs.sha256)"
            " AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.sha256 = blobs.sha256)"
        )
        db.execute("UPDATE txn SET at_us = NULL, operation = NULL, run_id = NULL")
        db.execute("COMMIT")
    return carried


@contextlib.contextmanager
def places(live: str | os.PathLike[str], readable: bool) -> Iterator[Callable[[bytes], list[tuple[str, str]]]]:
    """Where a blob lies by what the catalog says now: store token and key; nowhere, where it cannot be asked."""
    if not readable:
        yield lambda digest: []
        return
    sql = "SELECT s.token, l.key FROM locations l JOIN stores s ON s.id = l.store_id WHERE l.sha256 = ?"
    with contextlib.closing(connect(Path(live), "rw")) as db, driver_errors(Path(live)):
        yield lambda digest: db.execute(sql, (digest,)).fetchall()


def image_copies(path: str | os.PathLike[str]) -> Iterator[tuple[bytes, int, int, str, str]]:
    """Each blob that documents of a catalog's file have: digest, bytes, how many documents, and its copies' places."""
    with contextlib.closing(connect(Path(path), "ro&immutable=1")) as db, driver_errors(Path(path)):
        yield from db.execute(
            "SELECT b.sha256, b.bytes, b.refs, s.token, l.key FROM blobs b"
            " LEFT JOIN locations l ON l.sha256 = b.sha256 LEFT JOIN stores s ON s.id = l.store_id"
            " WHERE b.refs > 0 ORDER BY b.sha256, l.id"
        )


def image_sample(
    path: str | os.PathLike[str], count: int, start: bytes
) -> list[tuple[bytes, int, list[tuple[str, str]]]]:
    """Some blobs that documents of a catalog's file have: digest, bytes, and token and key of each copy.

    Digests are spread evenly, so those that follow any digest, and from the beginning again, are a fair draw.
    """
    sql = "SELECT sha256, bytes FROM blobs WHERE refs > 0 AND sha256 {} ? ORDER BY sha256 LIMIT ?"
    places = "SELECT s.token, l.key FROM locations l JOIN stores s ON s.id = l.store_id WHERE l.sha256 = ?"
    with contextlib.closing(connect(Path(path), "ro&immutable=1")) as db, driver_errors(Path(path)):
        rows = db.execute(sql.format(">="), (start, count)).fetchall()
        rows += db.execute(sql.format("<"), (start, count - len(rows))).fetchall()
        return [(digest, size, db.execute(places, (digest,)).fetchall()) for digest, size in rows]

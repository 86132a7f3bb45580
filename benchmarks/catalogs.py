"""A large synthetic catalog, written straight into SQLite, without triggers and indexes, which follow.

Three in five documents have a content of their own, the others share those of a hot tenth, the first of which more than
the last. Every content has one copy, which was checked once within the last 900 days.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.corpus import wipe

LATER: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAY_US: Final = 86_400_000_000
BEGAN_US: Final = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
TYPES: Final = ("application/pdf", "text/html", "application/xml", "application/epub+zip")


def catalog(bench: Bench, count: int) -> Path:
    """A collection of so many documents; it stays for the next run."""
    home = bench.folder / f"catalog-{count}"
    if not (home / ".filled").exists():
        wipe(home)
        ours.init(home)
        fill(home, count)
        (home / ".filled").touch()
    return home


def fill(home: Path, count: int) -> None:
    """Write so many documents straight into the catalog of a collection."""
    with opened(home) as collection:
        store_id = collection.store_id(collection.store.name)
        db = collection.catalog._db  # type: ignore[attr-defined]
        later = [
            row[0]
            for row in db.execute("SELECT sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql <> ''")
        ]
        for kind, name in db.execute(
            "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql <> ''"
        ).fetchall():
            db.execute(f"DROP {kind} {name}")
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF", "cache_size = -1000000"):
            db.execute(f"PRAGMA {pragma}")
        users = [0] * count
        for number in range(count):
            users[content_of(number, count)] += 1
        db.execute("BEGIN")
        blobs = sorted((_digest(content), content) for content in range(count) if users[content])
        db.executemany(
            "INSERT INTO blobs VALUES (?, ?, ?, 'live', ?, NULL, ?, ?)",
            ((d, _bytes(c), TYPES[c % 4], users[c], BEGAN_US, BEGAN_US) for d, c in blobs),
        )
        db.executemany(
            "INSERT INTO locations (store_id, key, layout, sha256, created_us, changed_us, checked_us, outcome)"
            " VALUES (?, ?, 'cas', ?, ?, ?, ?, 'ok')",
            (
                (store_id, f"cas/{(text := d.hex())[:2]}/{text}", d, BEGAN_US, BEGAN_US, BEGAN_US + c % 900 * DAY_US)
                for d, c in blobs
            ),
        )
        db.executemany(
            "INSERT INTO documents (tenant, artifact_id, source_url, resolver, variant, sha256, content_type, run_id,"
            " fetched_us, created_us, changed_us, seen_us) VALUES ('default', ?, ?, ?, '', ?, '', ?, ?, ?, ?, ?)",
            (_document(number, count) for number in range(count)),
        )
        db.execute(
            "INSERT INTO checks (location_id, sha256, checked_us, outcome, bytes, method, detail, run_id)"
            " SELECT l.id, l.sha256, l.checked_us, l.outcome, b.bytes, 'read', '', 'check-1'"
            " FROM locations l JOIN blobs b USING (sha256) ORDER BY l.id"
        )
        db.execute("UPDATE locations SET check_id = id")
        db.execute("COMMIT")
        for sql in later:
            db.execute(sql)
        db.execute("PRAGMA journal_mode = WAL")


def content_of(number: int, count: int) -> int:
    """Which content a document has: its own, or one of the hot tenth."""
    if number % 5 < 3:
        return number
    share = (number * 2_654_435_761 % 2**32) / 2**32
    return int(share**3 * count / 10)


def _bytes(content: int) -> int:
    return 2_000 + content * 7_919 % 3_000_000


def _digest(content: int) -> bytes:
    return sha256(content.to_bytes(8)).digest()


def _document(number: int, count: int) -> tuple[Any, ...]:
    at_us = BEGAN_US + number * 1000 * DAY_US // count
    name = f"10.5555/{number:08d}"
    # In the order of numbers: scattered over an index that does not fit into memory, rows would take hours.
    url = f"https://example.org/{number:08d}"
    digest = _digest(content_of(number, count))
    return (name, url, f"resolver-{number % 7}", digest, f"run-{number // 5000:04d}", *[at_us] * 4)


def opened(home: Path):  # type: ignore[no-untyped-def]
    """The collection, at a time after all that is in it."""
    from catalogkit.collection import open_collection

    return open_collection(home, clock=lambda: LATER)


def look_inside(home: Path) -> None:
    """Note what is inside every content, once: a title for most, pages, a language, here and there a warning."""
    with opened(home) as collection, collection.catalog.write("extract", int(LATER.timestamp() * 1e6)) as db:
        if db.execute("SELECT count(*) FROM contents").fetchone()[0] == 0:
            db.execute(
                "INSERT INTO contents (sha256, extractor, version, reason, detail, media_type, title, authors,"
                " language, detected_language, page_count, encrypted, text_chars, warnings, preview, more,"
                " extracted_us)"
                " SELECT sha256, CASE media_type WHEN 'application/pdf' THEN 'pdf' ELSE 'web' END, 1,"
                " CASE WHEN bytes % 97 = 0 THEN 'damaged' ELSE '' END, '', media_type,"
                " CASE WHEN bytes % 11 THEN 'A document of ' || bytes || ' bytes' END, '[\"A. Author\"]',"
                " 'en', CASE WHEN bytes % 5 THEN 'en' ELSE 'de' END, bytes % 40 + 1, 0, bytes % 13 * 1000,"
                " CASE WHEN bytes % 17 THEN '[]' ELSE '[\"truncated\"]' END, 'How it begins', '{}', ?"
                " FROM blobs WHERE state = 'live'",
                (int(LATER.timestamp() * 1e6),),
            )


def ask_again(home: Path) -> None:
    """Note requests, once: for one document in ten, two of them three months and one month ago."""
    with opened(home) as collection, collection.catalog.write("access", int(LATER.timestamp() * 1e6)) as db:
        if db.execute("SELECT count(*) FROM accesses").fetchone()[0] == 0:
            for days in (90, 30):
                db.execute(
                    "INSERT INTO accesses (document_id, at_us, kind) SELECT id, ? - id * 7919 % 900 * 86400000000 / 30,"
                    " 'read' FROM documents WHERE id % 10 = 0",
                    (int(LATER.timestamp() * 1e6) - days * DAY_US,),
                )


def change(home: Path) -> None:
    """Change one document in a hundred, others each time, all over the catalog."""
    now = time.time()
    with opened(home) as collection, collection.catalog.write("change", int(LATER.timestamp() * 1e6)) as db:
        db.execute(
            "UPDATE documents SET metadata = json_object('turn', ?) WHERE id % 100 = ?", (now, int(now * 1000) % 100)
        )

"""How a catalog on a PostgreSQL server grows: room, rates and waiting times of one with a million documents, or ten.

Rows are made by the server itself, as `benchmarks.catalogs` makes them, without triggers and with most indexes later;
then statistics are taken, and everything else is asked of the catalog as programs ask it.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.bench import Bench
from benchmarks.postgres import AS_OF, BATCH, DURABLE, _child, _opened, busy
from benchmarks.race import Goal, Race, Sample
from catalogkit.backups.making import backup_catalog
from catalogkit.collection import init, open_collection

if TYPE_CHECKING:
    from tests.pg import Server

COUNTS, QUICK_COUNTS = (1_000_000, 10_000_000), (100_000,)
ASKED: Final = 2_000
MORE: Final = 20 * BATCH
ROOM: Final = 1_000  # bytes of a document, its content and its copy, with all their indexes
# Within so many seconds half of the answers come, however large the catalog is.
WITHIN: Final = {
    "find by id": 0.01, "find by digest": 0.01, "page of 100 by key": 0.05, "page of 100 of one resolver": 0.05,
    "copies due": 0.1,
}  # fmt: skip
_SIZES: Final = (
    "SELECT relname, pg_total_relation_size(oid), pg_relation_size(oid) FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC"
)
_FILL: Final = Path(__file__).with_suffix(".sql")
_LATER: Final = (
    "SELECT 'ALTER TABLE ' || conrelid::regclass || ' DROP CONSTRAINT ' || conname, 'ALTER TABLE '"
    " || conrelid::regclass || ' ADD CONSTRAINT ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE conrelid::regclass::text IN ('documents', 'locations', 'checks') AND contype = 'u'"
    " UNION ALL SELECT 'DROP INDEX ' || indexname, indexdef FROM pg_indexes WHERE tablename IN ('documents',"
    " 'locations', 'checks') AND indexname NOT IN (SELECT conname FROM pg_constraint)"
)


def run(bench: Bench) -> Iterator[Race]:
    """One catalog after the other, each twice: empty space is given back in between."""
    from tests import pg

    counts = (bench.count,) if bench.count else QUICK_COUNTS if bench.quick else COUNTS
    server = pg.launch(**DURABLE | {"fsync": "off", "max_wal_size": "2GB", "maintenance_work_mem": "1GB"})
    try:
        for count in counts:
            url, home = server.database(), bench.scratch() / "collection"
            init(home, catalog=url).close()
            yield _measured(server, url, count, home)
            server.drop(url)
    finally:
        server.stop()


def fill(server: Server, url: str, count: int) -> None:
    """Let the server make so many documents."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as db:
        later = db.execute(_LATER).fetchall()
        for drop, _ in later:
            db.execute(drop)
        db.execute("SET session_replication_role = replica")
        db.execute("SET work_mem = '512MB'")
        for sql in _FILL.read_text().replace("{count}", str(count)).split(";\n"):
            db.execute(sql)
        for _, make in later:
            db.execute(make)
        db.execute("VACUUM (ANALYZE)")


def _measured(server: Server, url: str, count: int, home: Path) -> Race:
    result = Race(f"a catalog of {count:,} documents", {"documents": count}, {"fill": []})

    def tell(text: str, found: str) -> None:
        result.goals.append(Goal(text, found, "told"))
        print(f"{text}: {found}", file=sys.stderr, flush=True)

    def claim(text: str, found: str, met: bool) -> None:
        tell(text, found)
        result.goals[-1] = Goal(text, found, "met" if met else "NOT MET")

    before, began = busy(server), time.perf_counter()
    fill(server, url, count)
    result.samples["fill"].append(Sample(time.perf_counter() - began, busy(server) - before, "", None))
    name = url.partition("?")[0].rpartition("/")[2]
    sizes = server.run(_SIZES, database=name)
    whole = sum(size for _, size, _ in sizes)
    tell("room", f"{whole / 1e9:.2f} GB")
    claim(f"room: less than {ROOM:,} bytes a document", f"{whole / count:.0f} bytes", whole < ROOM * count)
    for table, size, rows in sizes[:4]:
        tell(f"room of {table}", f"{size / 1e6:,.0f} MB, of them rows {rows / 1e6:,.0f} MB")
    before = busy(server)
    said = _child("commit", url, MORE, str(10 * count))
    used = said["cpu"] + busy(server) - before
    tell(
        "taking in", f"{MORE / used:,.0f} documents a second of processor time, {MORE / said['wall']:,.0f} on the wall"
    )
    for text, asked, median in _questions(url, count):
        if limit := WITHIN.get(text):
            claim(f"{text}: half of the answers within {limit * 1e3:.0f} ms", asked, median <= limit)
        else:
            tell(text, asked)
    tell("plan of garbage", _plan(server, url))
    tell("mirror", _mirror(server, url, home))
    first, said_first = _backup(server, home)
    tell("a first backup", said_first)
    with open_collection(home) as collection, collection.catalog.write("change", int(AS_OF.timestamp() * 1e6)) as db:  # type: ignore[attr-defined]
        db.execute("UPDATE documents SET metadata = '{\"turn\": 1}' WHERE id % 100 = 7")
    later, said_later = _backup(server, home)
    tell("a backup after 1 % changed", said_later)
    text = "a backup after 1 % changed: at least 5x fewer bytes written than in full"
    claim(text, f"{first / later:.1f}x fewer", first >= 5 * later)
    return result


def _backup(server: Server, home: Path) -> tuple[int, str]:
    """The bytes that a backup of the collection wrote, and what it cost, in words."""
    with open_collection(home) as collection:
        before, began, used = busy(server), time.perf_counter(), _used()
        made = backup_catalog(home.parent / "backups", collection=collection)
        seconds, used = time.perf_counter() - began, _used() - used + busy(server) - before
    size = f"{made.written_bytes / 1e6:,.1f} MB written of an image of {made.image_bytes / 1e6:,.0f} MB"
    return made.written_bytes, f"{size}, in {used:.1f} s of processor time ({seconds:.0f} s)"


def _used() -> float:
    """The processor time of this program and its children so far."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _questions(url: str, count: int) -> Iterator[tuple[str, str, float]]:
    """What was asked, how long answers took in words, and half of them at most."""
    import random

    catalog, chance = _opened(url), random.Random(1)
    some = [catalog.document(chance.randrange(count) + 1) for _ in range(ASKED)]
    digests = [one.sha256 for one in some if one]
    asks: dict[str, tuple[int, Callable[[], object]]] = {
        "find by id": (ASKED, lambda: catalog.document(chance.randrange(count) + 1)),
        "find by digest": (ASKED, lambda: catalog.find(sha256=chance.choice(digests), limit=10)),
        "page of 100 by key": (500, lambda: catalog.find(after_id=chance.randrange(count), limit=100)),
        "page of 100 of one resolver": (
            200,
            lambda: catalog.find(resolver="resolver-3", after_id=chance.randrange(count)),
        ),
        "counts and bytes by resolver": (3, lambda: _by_resolver(catalog)),
        "totals": (3, catalog.totals),
        "copies due": (50, lambda: catalog.due(before=AS_OF, limit=1000, up_to_check=1 << 60)),
        "recorded share of the last 30 days": (3, lambda: catalog.coverage(as_of=AS_OF)),
    }
    for text, (times, ask) in asks.items():
        ask()
        took = []
        for _ in range(times):
            began = time.perf_counter()
            ask()
            took.append(time.perf_counter() - began)
        many = len(took) >= 20
        p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[-1] if many else max(took)
        yield text, f"p50 {p50 * 1e3:,.2f} ms, {'p95' if many else 'at most'} {p95 * 1e3:,.2f} ms", p50
    catalog.close()


def _by_resolver(catalog: Any) -> object:
    return catalog.rows(
        "SELECT resolver, count(*), sum(b.bytes) FROM documents d JOIN blobs b ON b.sha256 = d.sha256 GROUP BY 1"
    )


def _plan(server: Server, url: str) -> str:
    catalog, before, began = _opened(url), busy(server), time.perf_counter()
    used = time.process_time()
    found = catalog.garbage(as_of=AS_OF + timedelta(days=365))
    catalog.close()
    used = time.process_time() - used + busy(server) - before
    return f"{found.height:,} blobs found in {used:.1f} s of processor time ({time.perf_counter() - began:.1f} s)"


def _mirror(server: Server, url: str, folder: Path) -> str:
    from catalogkit.catalog.mirror import Mirror

    catalog, before, began, used = _opened(url), busy(server), time.perf_counter(), time.process_time()
    mirror = Mirror(catalog, folder / f"mirror-{time.time_ns()}")
    mirror.refresh(as_of=AS_OF)
    said = mirror.sql("SELECT count(*) AS n FROM documents", refresh=False, as_of=AS_OF).frame["n"].item()
    catalog.close()
    used = time.process_time() - used + busy(server) - before
    return f"{said:,} documents in {used:.0f} s of processor time ({time.perf_counter() - began:.0f} s)"

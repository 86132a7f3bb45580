"""A catalog on a PostgreSQL server beside the bare server: rows by COPY, single rows by psycopg, eight at once.

The server is one of our own, with the settings of a durable one (`fsync` and all); its processor time counts with that
of the program that asked, on either side. Each program makes what it is going to say before its clock starts.
"""

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.catalogs import TYPES, _bytes, _digest, content_of
from benchmarks.race import Failed, Goal, Race, Sample, Untrue, environment
from catalogkit.batching import BATCH_FILES

if TYPE_CHECKING:
    from catalogkit.catalog.contract import Registration
    from catalogkit.catalog.postgres import PostgresCatalog
    from tests.pg import Server

COUNT, QUICK_COUNT = 200_000, 20_000
LOOKUPS: Final = 5_000
PROGRAMS, MIXED_SECONDS, QUICK_SECONDS = 8, 20, 4
BATCH: Final = BATCH_FILES  # as many as a batch of ingest has
AS_OF: Final = datetime(2026, 1, 1, tzinfo=UTC)
DURABLE: Final = {
    "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "shared_buffers": "1GB",
    "max_wal_size": "8GB", "checkpoint_timeout": "15min",
}  # fmt: skip


def run(bench: Bench) -> Iterator[Race]:
    """Bulk ingest of metadata, point lookups, and a mixed load."""
    from tests import pg

    count = bench.count or (QUICK_COUNT if bench.quick else COUNT)
    rounds = min(bench.rounds, 3)
    server = pg.launch(**DURABLE)
    try:
        fresh = _template(server)
        # Not measured: who is first has the server make its log files and take its memory, which the next finds there.
        first = server.database(fresh)
        _child("copy", first, count)
        server.drop(first)
        names = ["commit", "copy", "copy unguarded"]
        result = _race(server, f"metadata of {count:,} documents", names, rounds, count, lambda: server.database(fresh))
        result.expect_speed("copy", 0.5, "bulk ingest of metadata: at least half as fast as a raw COPY of its rows")
        yield result
        names = ["stage and commit", "copy"]
        result = _race(server, "the same, promised before", names, rounds, count, lambda: server.database(fresh))
        yield result

        full = server.database(fresh)
        _child("copy", full, count)
        name = full.partition("?")[0].rpartition("/")[2]
        server.run("VACUUM ANALYZE", database=name)
        for table in (
            "documents",
            "locations",
        ):  # COPY gave numbers of its own; what is taken in later goes on from there
            server.run(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))", database=name)
        for what in ("document", "identity", "digest"):
            names = [f"find {what}", f"bare {what}"]
            result = _race(server, f"{LOOKUPS:,} lookups by {what}", names, rounds, count, lambda: full, drop=False)
            result.expect_share(f"bare {what}", "cpu", 1.5, f"lookups by {what}: within 1.5x of bare psycopg")
            yield result
        yield _mixed(server, full, QUICK_SECONDS if bench.quick else MIXED_SECONDS, count)
    finally:
        server.stop()


def _template(server: Server) -> str:
    """The name of a database with the schema and one store."""
    url = server.database()
    _opened(url).close()
    return url.partition("?")[0].rpartition("/")[2]


def _race(
    server: Server,
    title: str,
    names: list[str],
    rounds: int,
    count: int,
    place: Callable[[], str],
    *,
    drop: bool = True,
) -> Race:
    """Each contender once a round, in a database of its own; the server's processor time counts with its own."""
    result = Race(title, {"documents": count}, {name: [] for name in names})
    for number in range(rounds):
        print(f"{title}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            url = place()
            server.run("CHECKPOINT")
            before = busy(server)
            said = _child(name, url, count)
            used = said["cpu"] + said.get("session", busy(server) - before)
            result.samples[name].append(Sample(said["wall"], used, "", None))
            result.load = max(result.load, os.getloadavg()[0])
            if drop:
                server.drop(url)
    return result


def busy(server: Server) -> float:
    """Seconds of processor time that the server and its sessions, ended ones included, have used so far."""
    assert server.process
    root = server.process.pid

    def ticks(fields: list[str], last: int) -> int:
        return sum(map(int, fields[11:last]))

    while True:
        before = ticks(_stat(root), 15)
        there = sum(
            ticks(fields, 13)
            for stat in Path("/proc").glob("[0-9]*/stat")
            if (fields := _stat(int(stat.parent.name))) and int(fields[1]) == root
        )
        # A session that ended meanwhile counts with its parent, where it had not been counted yet.
        if ticks(_stat(root), 15) == before:
            return (before + there) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """What /proc says of a process after its name; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def session_seconds(pid: int) -> float:
    """Seconds of processor time of one session, which ticks of the clock would miss or count twice in short turns."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _child(name: str, url: str, count: int, *more: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "benchmarks.postgres", name, url, str(count), *more]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment(ours.ENV), cwd=ours.ROOT)
    if done.returncode:
        raise Failed(f"{name} ended with {done.returncode}: {done.stderr[-1000:]}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _mixed(server: Server, url: str, seconds: int, count: int) -> Race:
    """Eight programs that take in, look up, verify and forget in one catalog; what they did together."""
    before, began = busy(server), time.perf_counter()
    with ThreadPoolExecutor(PROGRAMS) as pool:
        said = list(pool.map(lambda n: _child("mixed", url, count, str(n), str(seconds)), range(PROGRAMS)))
    wall, used = time.perf_counter() - began, sum(one["cpu"] for one in said) + busy(server) - before
    rates = {name: sum(one["done"][name] for one in said) / seconds for name in said[0]["done"]}
    result = Race(f"{PROGRAMS} programs at once for {seconds} s", {"documents": count}, {"all": []})
    result.samples["all"].append(Sample(wall, used, "", None))
    result.load = os.getloadavg()[0]
    found = ", ".join(f"{rate:,.0f} {name}" for name, rate in rates.items())
    result.goals.append(Goal("each second, of all programs together", found, "told"))
    errors = [text for one in said for text in one["errors"]]
    verdict = "met" if not errors else "NOT MET"
    result.goals.append(Goal("no error reaches a program", "; ".join(errors[:3]) or "none", verdict))
    return result


# -- what the programs do ------------------------------------------------------------------------------------------


def _opened(url: str) -> PostgresCatalog:
    from catalogkit.catalog.postgres import PostgresCatalog

    catalog = PostgresCatalog(url, create=True, as_of=AS_OF)
    if not catalog.stores():
        catalog.add_store("main", "local", "a token")
    return catalog


def entries(count: int, first: int = 0, of: int | None = None) -> list[Registration]:
    """What an ingest of so many files tells the catalog."""
    from catalogkit.catalog.contract import Registration, SourceStat
    from catalogkit.model import Arrival, Digest, Layout

    made = []
    for number in range(first, first + count):
        content = content_of(number, of or count)
        digest = Digest(_digest(content))
        text = str(digest)
        arrival = Arrival(
            artifact_id=f"10.5555/{number:08d}",
            source_url=f"https://example.org/{number:08d}",
            resolver=f"resolver-{number % 7}",
            tenant="default",
            run_id=f"run-{number // 5000:04d}",
            fetched_at=AS_OF - timedelta(seconds=number),
        )
        source = SourceStat("/downloads", f"{number:08d}.pdf", _bytes(content), number, number, number)
        made.append(
            Registration(
                arrival, digest, _bytes(content), TYPES[content % 4], 1, f"cas/{text[:2]}/{text}", Layout.CAS,
                inode=content, mtime_ns=content, source=source,
            )
        )  # fmt: skip
    return made


def _commit(url: str, count: int, *, staged: bool, first: int = 0) -> Callable[[], None]:
    told = entries(count, first)
    catalog = _opened(url)

    def work() -> None:
        for start in range(0, count, BATCH):
            some = told[start : start + BATCH]
            intents: list[int] | list[None] = [None] * len(some)
            if staged:
                intents = catalog.stage(some, owner="me", expires_at=AS_OF + timedelta(minutes=30), as_of=AS_OF)
            done = catalog.commit(list(zip(intents, some, strict=True)), as_of=AS_OF, run_id="run")
            if any(one.outcome != "new" for one in done):
                raise Untrue("not every document was new")

    return work


def _copy(url: str, count: int, *, guarded: bool = True) -> Callable[[], None]:
    """The same rows in one COPY for each table, without our triggers; constraints and indexes as they are.

    Without constraints, too, where it is not `guarded`.
    """
    import psycopg

    from catalogkit.catalog.postgres.documents import _DOCUMENT
    from catalogkit.model import to_us

    at_us = to_us(AS_OF)
    told = entries(count)
    users: dict[bytes, int] = {}
    for one in told:
        users[one.digest] = users.get(one.digest, 0) + 1
    unique = {one.digest: one for one in told}
    blobs = [(d, e.bytes, e.media_type, "live", users[d], at_us, at_us) for d, e in unique.items()]
    places = [
        (n, 1, e.key, "cas", d, e.inode, e.mtime_ns, at_us, at_us) for n, (d, e) in enumerate(unique.items(), start=1)
    ]
    documents = [
        (n, *e.arrival.identity, e.digest, "", e.arrival.run_id, to_us(e.arrival.fetched_at), "{}", at_us, at_us, at_us)
        for n, e in enumerate(told, start=1)
        if e.arrival.fetched_at
    ]
    sources = [
        (s.folder, s.name, s.bytes, s.mtime_ns, s.ctime_ns, s.inode, e.digest, n)
        for n, e in enumerate(told, start=1)
        if (s := e.source)
    ]
    number, text, digest = "int8", "text", "bytea"
    tables: dict[str, tuple[str, list[str], list[Any]]] = {
        "blobs": (
            "sha256, bytes, media_type, state, refs, created_us, changed_us",
            [digest, number, text, text, number, number, number], blobs,
        ),
        "locations": (
            "id, store_id, key, layout, sha256, inode, mtime_ns, created_us, changed_us",
            [number, number, text, text, digest, number, number, number, number], places,
        ),
        "documents": (
            ", ".join(_DOCUMENT),
            [number, *[text] * 5, digest, text, text, number, text, number, number, number], documents,
        ),
        "sources": (
            "folder, name, bytes, mtime_ns, ctime_ns, inode, sha256, document_id",
            [text, text, number, number, number, number, digest, number], sources,
        ),
    }  # fmt: skip
    _opened(url).close()

    def work() -> None:
        with psycopg.connect(url) as db:
            if not guarded:
                db.execute("SET session_replication_role = replica")
            for table, (names, kinds, rows) in tables.items():
                if guarded:
                    db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                with db.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT binary)") as copy:
                    copy.set_types(kinds)
                    for row in rows:
                        copy.write_row(row)
                if guarded:
                    db.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    return work


def _lookups(url: str, count: int, how: str, what: str) -> tuple[Callable[[], None], int]:
    """Single documents by their id, by what identifies them, by their content; and the session that answers."""
    import psycopg

    from catalogkit.catalog.postgres.documents import identity_of

    numbers = random.Random(0).choices(range(count), k=LOOKUPS)
    some = {number: entries(1, number, count)[0] for number in set(numbers)}
    catalog, db = _opened(url), psycopg.connect(url, autocommit=True)
    columns = (
        "d.id, tenant, artifact_id, source_url, resolver, variant, d.sha256, b.bytes, content_type, b.media_type,"
        " run_id, fetched_us, metadata, d.created_us, d.changed_us, d.seen_us"
    )
    asked = f"SELECT {columns} FROM documents d JOIN blobs b ON b.sha256 = d.sha256 WHERE "

    def find() -> None:
        for number in numbers:
            entry = some[number]
            if what == "document":
                found: Any = catalog.document(number + 1)
            elif what == "identity":
                found = catalog.current([entry.arrival])[0]
            else:
                found = catalog.find(sha256=entry.digest, limit=1)
            if not found:
                raise Untrue(f"document {number} is not found")

    def bare() -> None:
        for number in numbers:
            entry = some[number]
            if what == "document":
                row = db.execute(f"{asked} d.id = %s", [number + 1]).fetchone()
            elif what == "identity":
                sql = "SELECT id, sha256 FROM documents WHERE tenant = %s AND identity = %s"
                row = db.execute(sql, identity_of(entry.arrival)).fetchone()
            else:
                row = db.execute(f"{asked} d.sha256 = %s ORDER BY d.id LIMIT 1", [entry.digest]).fetchone()
            if not row:
                raise Untrue(f"document {number} is not found")

    ((session,),) = catalog.rows("SELECT pg_backend_pid()")
    return (find, session) if how == "find" else (bare, db.info.backend_pid)


def _load(url: str, count: int, number: int, seconds: float) -> dict[str, Any]:
    """What one of the programs of the mixed load did in its time."""
    from catalogkit.errors import CatalogKitError
    from catalogkit.model import Check, Outcome

    catalog, chance = _opened(url), random.Random(number)
    done = {"taken in": 0, "looked up": 0, "verified": 0, "forgotten": 0}
    errors: list[str] = []
    base = count * 10 + number * 10_000_000 + time.time_ns() % 1_000_000 * 10
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        act = chance.random()
        try:
            if act < 0.3:
                some = entries(100, base, base)
                base += 100
                intents = catalog.stage(some, owner="me", expires_at=AS_OF + timedelta(minutes=30), as_of=AS_OF)
                catalog.commit(list(zip(intents, some, strict=True)), as_of=AS_OF)
                done["taken in"] += len(some)
            elif act < 0.8:
                for _ in range(20):
                    catalog.document(chance.randrange(count) + 1)
                done["looked up"] += 20
            elif act < 0.95:
                due = catalog.due(before=AS_OF + timedelta(days=1), limit=100, up_to_check=catalog.last_check_id())
                checks = [
                    Check(
                        location_id=one.location_id, sha256=one.digest, checked_at=AS_OF, outcome=Outcome.OK,
                        bytes=one.bytes,
                    )
                    for one in due
                ]  # fmt: skip
                catalog.record_checks(checks)
                done["verified"] += len(checks)
            else:
                plan = os.urandom(32).hex()
                catalog.begin_plan(plan, "forget", {}, {}, as_of=AS_OF)
                with catalog.hand(plan, as_of=AS_OF) as hand:
                    some_ids = [chance.randrange(count) + 1 for _ in range(10)]
                    for document_id in some_ids:
                        row = catalog.document(document_id)
                        if row is not None:
                            done["forgotten"] += not hand.forget(document_id, row.sha256)
                catalog.end_plan(plan, as_of=AS_OF)
        except CatalogKitError as problem:
            errors.append(str(problem))
    return {"done": done, "errors": errors}


def main(words: list[str]) -> None:
    """What a child does; it says what it took."""
    name, url, count, *more = words
    said: dict[str, Any] = {}
    session = 0
    if name == "mixed":

        def work() -> None:
            said.update(_load(url, int(count), int(more[0]), float(more[1])))

    elif name in ("commit", "stage and commit"):
        work = _commit(url, int(count), staged=name != "commit", first=int((more or ["0"])[0]))
    elif name in ("copy", "copy unguarded"):
        work = _copy(url, int(count), guarded=name == "copy")
    else:
        work, session = _lookups(url, int(count), *name.split())
    gc.freeze()  # what was made before the clock starts is not looked through again and again
    there = session_seconds(session) if session else 0.0
    began, used = time.perf_counter(), time.process_time()
    work()
    said |= {"wall": time.perf_counter() - began, "cpu": time.process_time() - used}
    if session:
        said["session"] = session_seconds(session) - there
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1:])

"""What the wall between tenants of a shared catalog costs: a reader's lookups beside the owner's, on one server.

Both ask the same, of documents of one tenant among many, over one connection each; the server leaves others'
rows out for the reader (row-level security) and for the owner nothing. The processor time is that of both ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.bench import Bench
from benchmarks.postgres import session_seconds
from benchmarks.race import Race, Sample, Untrue
from catalogkit.catalog.passfiles import make_password
from catalogkit.catalog.postgres import PostgresCatalog
from catalogkit.catalog.postgres.readers import add_reader
from catalogkit.catalog.postgres.roles import address, new_name
from catalogkit.model import Digest

COUNT, QUICK_COUNT = 1_000_000, 50_000
TENANTS: Final = 20
WHO: Final = "tenant-3"
LOOKUPS: Final = 4_000
TURN: Final = 50  # so many questions at a time, so that whatever else the machine does weighs on both alike
AS_OF: Final = datetime(2026, 1, 1, tzinfo=UTC)
# A third of the contents is shared with other tenants; what a catalog's rules would count is counted here.
FILL: Final = """
    SET session_replication_role = replica;
    INSERT INTO blobs SELECT sha256(n::text::bytea), 1000000 + n, 'application/pdf', 'live', 1, NULL, 0, 0
        FROM generate_series(0, {count} - 1) n;
    INSERT INTO documents (tenant, artifact_id, source_url, resolver, variant, sha256, content_type, run_id,
        created_us, changed_us, seen_us)
        SELECT 'tenant-' || n % {tenants}, 'artifact-' || n, 'https://example.org/' || n, 'resolver-' || n % 7, '',
        sha256((CASE WHEN n % 3 = 0 THEN n / 2 ELSE n END)::text::bytea), '', 'run-' || n / 5000, 0, 0, 0
        FROM generate_series(0, {count} - 1) n;
    UPDATE blobs b SET refs = d.n FROM (SELECT sha256, count(*) AS n FROM documents GROUP BY sha256) d
        WHERE d.sha256 = b.sha256;
    RESET session_replication_role;
"""
_BARE: Final = "SELECT id, tenant, artifact_id, source_url, sha256, metadata FROM documents WHERE "
# Question -> the column it is asked by, and how: of a catalog, or of the bare database.
ASKED: Final[dict[str, tuple[str, Callable[[PostgresCatalog, Any], Any]]]] = {
    "records by number": ("id", lambda catalog, key: catalog.document(key)),
    "records by artifact": ("artifact_id", lambda catalog, key: catalog.find(artifact_id=key)),
    "records by digest": ("sha256", lambda catalog, key: catalog.find(sha256=Digest(key), tenant=WHO)),
    "pages of a hundred records": ("id", lambda catalog, key: catalog.find(after_id=key, tenant=WHO)),
    "rows by number": ("id", lambda catalog, key: catalog.rows(f"{_BARE} id = ?", (key,))),
    "rows by digest": ("sha256", lambda catalog, key: catalog.rows(f"{_BARE} sha256 = ? AND tenant = '{WHO}'", (key,))),
}


def run(bench: Bench) -> Iterator[Race]:
    """Each question, by the owner and by a reader."""
    from tests import pg

    count = bench.count or (QUICK_COUNT if bench.quick else COUNT)
    server = pg.launch(shared_buffers="512MB")
    try:
        url, role = server.database(), new_name()
        database = urlsplit(url).path[1:]
        password = make_password(bench.scratch() / "passwords", role, "*")
        # No superuser, of whom the server asks no rights at all.
        server.run("CREATE ROLE operator LOGIN CREATEROLE PASSWORD 'x'", f"ALTER DATABASE {database} OWNER TO operator")
        with closing(PostgresCatalog(address(url, user="operator"), password="x", create=True, as_of=AS_OF)) as owner:
            server.run(FILL.format(count=count, tenants=TENANTS), database=database)
            add_reader(owner, WHO, role, password)
            server.run("VACUUM ANALYZE", database=database)
            theirs = address(url, user=role)
            with closing(PostgresCatalog(theirs, password=password, reader=True, as_of=AS_OF)) as reader:
                for title, (column, ask) in ASKED.items():
                    some = f"SELECT {column} FROM documents WHERE tenant = ? ORDER BY random() LIMIT {LOOKUPS}"
                    keys = [key for (key,) in owner.rows(some, (WHO,))]
                    if "pages" in title:
                        keys = keys[: max(len(keys) // 20, 1)]
                    yield _race(bench, f"{title}, {count:,} documents", ask, keys, owner, reader)
    finally:
        server.stop()


def _race(
    bench: Bench, title: str, ask: Callable[[PostgresCatalog, Any], Any], keys: list[Any], owner: PostgresCatalog,
    reader: PostgresCatalog,
) -> Race:  # fmt: skip
    """In turns, some questions each; what is answered must be the same."""
    samples: dict[str, list[Sample]] = {"with the wall": [], "without": []}
    for number in range(bench.rounds + 1):
        spent = {name: [0.0, 0.0] for name in samples}
        for start in range(0, len(keys), TURN):
            pair = [("with the wall", reader), ("without", owner)]
            found = []
            for name, catalog in pair if start // TURN % 2 else reversed(pair):
                wall, cpu, answers = _ask(catalog, ask, keys[start : start + TURN])
                spent[name][0] += wall
                spent[name][1] += cpu
                found.append(answers)
            if found[0] != found[1]:
                raise Untrue(f"{title}: the reader was told something else")
        if number:  # the first round warms both up
            for name, (wall, cpu) in spent.items():
                samples[name].append(Sample(wall, cpu))
    race = Race(title, {"lookups": len(keys), "tenants": TENANTS}, samples, load=os.getloadavg()[0])
    race.expect_share("without", "cpu", 1.1, f"{title}: the wall costs less than a tenth")
    return race


def _ask(
    catalog: PostgresCatalog, ask: Callable[[PostgresCatalog, Any], Any], keys: list[Any]
) -> tuple[float, float, list[Any]]:
    ((pid,),) = catalog.rows("SELECT pg_backend_pid()")
    there, here, clock = session_seconds(pid), time.process_time(), time.perf_counter()
    found = [ask(catalog, key) for key in keys]
    wall, cpu = time.perf_counter() - clock, time.process_time() - here
    if catalog.rows("SELECT pg_backend_pid()") != [(pid,)]:
        raise Untrue("another session answered")
    return wall, cpu + session_seconds(pid) - there, found

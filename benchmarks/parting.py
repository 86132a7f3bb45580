"""Whether documents in parts would serve a catalog on a server better: one table beside one that is parted by identity.

Both have the rows, columns and keys of the catalog's own table. What must be unique has to have what parts are made by
in it, so the parted one is parted by the hash of a document's identity, and its ids are unique only by their sequence.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from benchmarks.bench import Bench
from benchmarks.postgres import DURABLE, busy
from benchmarks.race import Race, Sample

if TYPE_CHECKING:
    from tests.pg import Server

COUNT, QUICK_COUNT = 1_000_000, 100_000
PARTS: Final = 16
ASKED: Final = 2_000
_COLUMNS: Final = (
    "id bigint NOT NULL, tenant text NOT NULL, artifact_id text NOT NULL, source_url text NOT NULL, sha256 bytea NOT"
    " NULL, run_id text NOT NULL, seen_us bigint NOT NULL, identity bytea NOT NULL"
)
_TABLES: Final = {
    "whole": [f"CREATE TABLE whole ({_COLUMNS}, PRIMARY KEY (id), UNIQUE (tenant, identity))"],
    "parted": [
        (f"CREATE TABLE parted ({_COLUMNS}, PRIMARY KEY (id, identity), UNIQUE (tenant, identity))"
         " PARTITION BY HASH (identity)"),
        *(f"CREATE TABLE parted_{n} PARTITION OF parted FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {n})"
          for n in range(PARTS)),
    ],
}  # fmt: skip
_ROWS: Final = (
    "INSERT INTO {table} SELECT n, 'default', '10.5555/' || n, 'https://example.org/' || n, sha256(int8send(n)),"
    " 'run-' || n / 5000, 0, sha256(int8send(n + 1000000000)) FROM generate_series({first}, {last}::bigint) n"
)


def run(bench: Bench) -> Iterator[Race]:
    """Taking in, single rows, pages, and cleaning up after rows that changed."""
    from tests import pg

    count = bench.count or (QUICK_COUNT if bench.quick else COUNT)
    server = pg.launch(**DURABLE)
    try:
        url = server.database()
        name = url.partition("?")[0].rpartition("/")[2]
        for table, made in _TABLES.items():
            keys = [f"CREATE INDEX ON {table} ({column})" for column in ("sha256", "run_id", "artifact_id")]
            server.run(*made, *keys, _ROWS.format(table=table, first=1, last=count), database=name)
            server.run(f"VACUUM ANALYZE {table}", database=name)
        for title, act in _acts(count).items():
            yield _race(server, url, f"{title}, {count:,} documents", act, rounds=min(bench.rounds, 3))
    finally:
        server.stop()


def _acts(count: int) -> dict[str, Callable[[Any, str, int], None]]:
    def asked(where: str) -> Callable[[Any, str, int], None]:
        def ask(db: Any, table: str, number: int) -> None:
            chance = random.Random(number)
            for _ in range(ASKED):
                db.execute(f"SELECT * FROM {table} WHERE {where}", [chance.randrange(1, count)]).fetchall()

        return ask

    def more(db: Any, table: str, number: int) -> None:
        first = count * 2 + number * count
        for start in range(first, first + count // 10, 2000):
            db.execute(_ROWS.format(table=table, first=start, last=start + 1999))

    def clean(db: Any, table: str, number: int) -> None:
        db.execute(f"UPDATE {table} SET seen_us = seen_us + 1 WHERE id %% 100 = %s", [number])
        db.execute(f"VACUUM {table}")

    return {
        f"{ASKED:,} by id": asked("id = %s"),
        f"{ASKED:,} by identity": asked("tenant = 'default' AND identity = sha256(int8send(%s::bigint + 1000000000))"),
        f"{ASKED:,} by digest": asked("sha256 = sha256(int8send(%s::bigint))"),
        f"{ASKED:,} pages of ten by key": asked("id > %s ORDER BY id LIMIT 10"),
        "a tenth more, by 2,000": more,
        "one in a hundred changed, then VACUUM": clean,
    }


def _race(server: Server, url: str, title: str, act: Callable[[Any, str, int], None], rounds: int) -> Race:
    import psycopg

    race = Race(title, {"parts": PARTS}, {table: [] for table in _TABLES})
    with psycopg.connect(url, autocommit=True) as db:
        for number in range(rounds):
            for table in list(_TABLES)[:: 1 if number % 2 else -1]:
                server.run("CHECKPOINT")
                used, began = busy(server) + time.process_time(), time.perf_counter()
                act(db, table, number)
                used, wall = busy(server) + time.process_time() - used, time.perf_counter() - began
                race.samples[table].append(Sample(wall, used))
    race.load = os.getloadavg()[0]
    race.expect_share("parted", "cpu", 1.0, f"{title}: one table costs no more than {PARTS} parts")
    return race

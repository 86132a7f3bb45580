"""Spoiled files: plans, approvals, manifests, logs, settings, notebooks. Read or refused; a refusal changes nothing."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogkit.access_logs import import_accesses
from catalogkit.approval import Approval, approve_plan
from catalogkit.backups.making import backup_catalog
from catalogkit.backups.recovering import recover_from_backup
from catalogkit.collection import open_collection
from catalogkit.config import CONFIG_NAME
from catalogkit.errors import CatalogKitError
from catalogkit.params import declared
from catalogkit.plan import Plan
from catalogkit.planning import plan_gc
from catalogkit.planning.retention import read_policy
from catalogkit.sources import About, from_manifest
from tests.conftest import NOON, Clock, read_tree
from tests.fuzz.mangling import mangled
from tests.plans.scene import forget, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection

ABOUT = About(resolver="test", run_id="r")
WEB = b"".join(
    b'10.0.0.1 - - [01/Mar/2026:1%d:00:00 +0000] "GET /%c HTTP/1.1" 200 5 "-" "curl"\n' % (hour, name)
    for hour, name in enumerate(b"abc")
)
S3 = (
    b'79a5 bucket [06/Feb/2026:00:00:38 +0000] 192.0.2.3 79a5 3E57 REST.GET.OBJECT a "GET /bucket/a HTTP/1.1" 200 - 5 5'
    b' 4 3 "-" "curl" - id SigV4 ECDHE AuthHeader host TLSv1.2 - -\n'
)


@dataclass
class Door:
    """A good file, and what reads it."""

    path: Path
    read: Callable[[], Any]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> tuple[Collection, dict[str, Door]]:
    """A collection with a plan, a backup and what can be brought into it; each good file is accepted."""
    from catalogkit.collection import init

    top = tmp_path_factory.mktemp("fuzz")
    c = init(top / "home", clock=Clock(NOON))
    kept, gone = put(c, "a", b"a"), put(c, "b", b"b")
    forget(c, gone)
    plan = plan_gc(c)
    folder = plan.save(c.path / "plans")
    approve_plan(plan, approved_by="somebody", as_of=NOON).save(folder)
    backup = backup_catalog(top / "backups", collection=c, as_of=NOON)
    manifest, table, csv = top / "m.jsonl", top / "m.parquet", top / "log.csv"
    rows = [{"path": "x.txt", "artifact_id": "x", "source_url": "https://example.org/x", "sha256": "ab" * 32}]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows * 3))
    pl.DataFrame(rows).write_parquet(table)
    csv.write_text(f"time,document_id,count\n2026-03-01T10:00:00Z,{kept.id},3\n")
    (top / "web.log").write_bytes(WEB)
    (top / "web.log.gz").write_bytes(gzip.compress(WEB))
    times = pl.Series([NOON]).cast(pl.Datetime("us", "UTC"))
    pl.DataFrame({"time": times, "document_id": [kept.id], "bytes": [5]}).write_parquet(top / "log.parquet")
    (top / "s3.log").write_bytes(S3)
    (top / "policy.toml").write_text('age_days = 90\ncontent_type_rules = { "text/html" = 10 }\n')
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    cell = {
        "cell_type": "code",
        "source": "top: int = 20  # how many",
        "metadata": {"tags": ["parameters"]},
        "outputs": [],
    }
    (top / "n.ipynb").write_text(json.dumps(notebook | {"cells": [cell | {"execution_count": None, "id": "a"}]}))

    def settings_file() -> None:
        shutil.copy(top / "catalogkit.toml", copy / CONFIG_NAME)
        open_collection(copy, clock=Clock(NOON)).close()

    copy = top / "copy"
    shutil.copytree(c.path, copy)
    (top / "catalogkit.toml").write_bytes(
        (c.path / CONFIG_NAME).read_bytes()
        + b'\n[retention]\nage_days = 9\n[dedup]\ncosts = { per_gb_month = "0.1" }\n'
    )
    about = f"{backup.name}/manifest.json"
    return c, {
        "plan": Door(folder / "plan.json", lambda: Plan.load(folder)),
        "steps": Door(folder / "plan.parquet", lambda: Plan.load(folder)),
        "approval": Door(folder / "approval.json", lambda: Approval.load(folder)),
        "manifest": Door(manifest, lambda: list(from_manifest(manifest, ABOUT))),
        "manifest table": Door(table, lambda: list(from_manifest(table, ABOUT))),
        "backup": Door(
            top / "backups" / about,
            lambda: recover_from_backup(top / "backups" / backup.name, c.path / "catalog.sqlite"),
        ),
        "settings": Door(top / "catalogkit.toml", settings_file),
        "policy": Door(top / "policy.toml", lambda: read_policy(top / "policy.toml")),
        "notebook": Door(top / "n.ipynb", lambda: declared(top / "n.ipynb")),
        "web log": Door(top / "web.log", lambda: import_accesses(c, top / "web.log")),
        "packed log": Door(top / "web.log.gz", lambda: import_accesses(c, top / "web.log.gz")),
        "log as Parquet": Door(top / "log.parquet", lambda: import_accesses(c, top / "log.parquet")),
        "s3 log": Door(top / "s3.log", lambda: import_accesses(c, top / "s3.log")),
        "table log": Door(csv, lambda: import_accesses(c, csv)),
    }


NAMES = (
    "plan", "steps", "approval", "manifest", "manifest table", "backup", "settings", "policy", "notebook", "web log",
    "packed log", "log as Parquet", "s3 log", "table log",
)  # fmt: skip
FOREIGN = ("manifest table", "log as Parquet")


def test_each_good_file_is_accepted(doors: tuple[Collection, dict[str, Door]]) -> None:
    """What is spoiled below is read as it is."""
    _, every = doors
    assert set(every) == set(NAMES)
    for door in every.values():
        door.read()


@pytest.mark.parametrize("name", NAMES)
def test_a_spoiled_file_is_read_or_refused(doors: tuple[Collection, dict[str, Door]], name: str) -> None:
    """Wherever a file was changed, it is read, or refused with one of our errors, and then nothing was changed."""
    c, every = doors
    door = every[name]
    good = door.path.read_bytes()
    # Of tables that others wrote only the end is cut off: a byte changed within can end the process in Polars.
    other = st.integers(0, len(good)).map(lambda size: good[:size]) if name in FOREIGN else mangled(good)

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(data=other | st.binary(max_size=40))
    def spoiled(data: bytes) -> None:
        door.path.write_bytes(data)
        before = _state(c)
        try:
            door.read()
        except CatalogKitError as refused:
            assert str(refused)
            assert _state(c) == before

    try:
        spoiled()
    finally:
        door.path.write_bytes(good)


def _state(collection: Collection) -> tuple[Any, ...]:
    return collection.catalog.totals(), collection.frame("accesses").height, read_tree(collection.path / "store")

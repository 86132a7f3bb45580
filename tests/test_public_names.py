"""The public door of the package: these names and no others, each documented, typed, and where it should be."""

from __future__ import annotations

import ast
import asyncio
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import catalogkit as ck

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection

PUBLIC = [
    "AuditReport",
    "BackupMetadata",
    "CatalogConsistencyChecker",
    "CatalogSnapshot",
    "CatalogStore",
    "CatalogWithHistory",
    "Checkup",
    "Collection",
    "ConflictReport",
    "ContentMetadata",
    "DataIssue",
    "DedupAnalytics",
    "DedupOpportunities",
    "DedupPolicy",
    "DocumentRecord",
    "EnrichedDocumentRecord",
    "EvictionCandidate",
    "EvictionPolicy",
    "FederatedCatalog",
    "Fetcher",
    "FolderPreview",
    "HashMismatch",
    "Maintenance",
    "MetadataExtractor",
    "MigrationReport",
    "MissingFile",
    "MultiTenantCatalog",
    "NearDuplicates",
    "OrphanFile",
    "Plan",
    "PostgresCatalog",
    "ReconcilePolicy",
    "RepairPolicy",
    "RetentionDecision",
    "RetentionPolicy",
    "S3Layout",
    "SQLiteCatalog",
    "SmartEvictionPolicy",
    "Status",
    "StorageLayout",
    "SyncReport",
    "TenantReader",
    "TenantSettings",
    "TierPolicy",
    "Tiering",
    "__version__",
    "add_store",
    "adopt_store",
    "analyze_dedup_opportunities",
    "apply",
    "approve",
    "audit",
    "backtest_retention",
    "backup_catalog",
    "conflicts",
    "demo_collection",
    "diff_snapshots",
    "doctor",
    "drill",
    "drop_reader",
    "drop_snapshot",
    "eviction_promises",
    "eviction_regret",
    "extract",
    "follow",
    "gc_incremental",
    "give_up",
    "import_accesses",
    "ingest",
    "init",
    "is_demo",
    "list_backups",
    "list_snapshots",
    "maintain",
    "make_views",
    "migrate_to_cas_gradual",
    "near_duplicates",
    "open",
    "open_reader",
    "plan_dedup",
    "plan_evict",
    "plan_fetch",
    "plan_forget",
    "plan_gc",
    "plan_migrate",
    "plan_near",
    "plan_purge",
    "plan_reconcile",
    "plan_relocate",
    "plan_repair",
    "plan_retention",
    "plan_tier",
    "plan_undo",
    "preview",
    "query_at",
    "rebuild_catalog",
    "recover_from_backup",
    "register_or_get",
    "repair_report",
    "retention_decisions",
    "review",
    "rollback_migration",
    "start_telemetry",
    "status",
    "sync",
    "take_snapshot",
    "use_store",
    "verify",
    "verify_batch",
    "why",
]
NAMES = [name for name in PUBLIC if name != "__version__"]
ROOT = Path(__file__).parents[1]


def test_the_list_is_complete() -> None:
    """`__all__` and `dir()` are exactly the names above: a name comes or goes here, too, or not at all."""
    assert sorted(ck.__all__) == PUBLIC
    assert dir(ck) == PUBLIC


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_there_and_says_what_it_is(name: str) -> None:
    """Every public name can be had, and has a docstring that begins with a sentence."""
    thing = getattr(ck, name)
    first = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    assert first.endswith((".", ":")), (name, first)


def signatures(name: str) -> list[tuple[str, inspect.Signature]]:
    """The signature of a public function, or of each public method of a class and of making one."""
    thing = getattr(ck, name)
    if not inspect.isclass(thing):
        return [(name, inspect.signature(thing))]
    ours = [base for base in reversed(thing.__mro__) if base.__module__.startswith("catalogkit")]
    own = {key: value for base in ours for key, value in vars(base).items() if not key.startswith("_")}
    if not getattr(thing, "_is_protocol", False):  # a protocol is never made
        own |= {"__init__": thing.__init__}
    methods = {key: getattr(value, "__func__", value) for key, value in own.items()}
    return [(f"{name}.{key}", inspect.signature(call)) for key, call in methods.items() if inspect.isfunction(call)]


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_typed(name: str) -> None:
    """Every argument and result of what is public has a type."""
    found = signatures(name)
    assert found
    for where, signature in found:
        given = [one for one in signature.parameters.values() if one.name not in ("self", "cls")]
        untyped = [one.name for one in given if one.annotation is inspect.Parameter.empty]
        assert not untyped, (where, untyped)
        assert signature.return_annotation is not inspect.Signature.empty, where


def test_the_package_says_that_it_is_typed() -> None:
    """Type checkers read the package's types only where this marker lies."""
    assert (ROOT / "catalogkit" / "py.typed").is_file()


def test_what_a_type_checker_sees_is_what_is_loaded() -> None:
    """The imports for type checkers and the table of lazy names say the same."""
    source = ast.parse((ROOT / "catalogkit" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in source.body if isinstance(node, ast.If)]
    told = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names:
            assert alias.asname, "a re-export for type checkers is written `x as x`"
            told[alias.asname] = (node.module, alias.name)
    table = {}
    for name, where in ck._WHERE.items():
        module, _, attribute = where.partition(":")
        table[name] = (f"catalogkit.{module}", attribute or name)
    assert told == table


@pytest.mark.parametrize("name", [name for name in NAMES if ck._WHERE[name].partition(":")[0] == name])
@pytest.mark.parametrize("how", ["import catalogkit.{0}", "from catalogkit.{0} import {0}", "import catalogkit.cli"])
def test_a_module_never_hides_a_verb(name: str, how: str) -> None:
    """`catalogkit.verify` is the function, whichever import of the module of that name came first."""
    code = f"{how.format(name)}\nimport catalogkit as ck\nprint(callable(ck.{name}), ck.{name}.__name__)"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", name]


def test_a_name_that_is_not_there() -> None:
    """An unknown name is the usual AttributeError, which names it."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ck.nothing  # noqa: B018 - asking is the point


def test_errors_have_a_module_of_their_own() -> None:
    """Errors are imported from `catalogkit.errors`, each with a docstring, all under one base."""
    errors = import_module("catalogkit.errors")
    classes = [thing for thing in vars(errors).values() if inspect.isclass(thing)]
    assert len(classes) > 5
    for error in classes:
        assert issubclass(error, errors.CatalogKitError) and error.__doc__


# -- as the first sketch of the project promised them ----------------------------------------------------------------


@pytest.fixture
def stocked(make_collection: Callable[..., Collection], source: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    """A collection at $CATALOGKIT_HOME: three documents, two of which share their bytes."""
    for name, content in {"a.txt": b"same" * 1000, "b.txt": b"same" * 1000, "c.txt": b"other"}.items():
        (source / name).write_bytes(content)
    collection = make_collection("cas")
    assert ck.ingest(collection, source, resolver="unpaywall").ingested == 3
    monkeypatch.setenv("CATALOGKIT_HOME", str(collection.path))
    return collection


def parameters(thing: Any) -> dict[str, Any]:
    """Name and default of the arguments that can be given by place, in their order."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = inspect.signature(thing).parameters.values()
    return {one.name: one.default for one in found if one.kind in kinds and one.name != "self"}


def test_verify_batch_as_sketched(stocked: Collection) -> None:
    """`await verify_batch(record_ids, max_concurrent=5)` works with no more than that."""
    assert parameters(ck.verify_batch) == {"record_ids": inspect.Parameter.empty, "max_concurrent": 5}
    assert inspect.iscoroutinefunction(ck.verify_batch)

    async def as_typed() -> ck.verify.VerifyReport:  # type: ignore[name-defined]
        return await ck.verify_batch([1, 2, 3], max_concurrent=5)

    assert asyncio.run(as_typed()).ok == 2


def test_dedup_analytics_as_sketched(stocked: Collection) -> None:
    """`DedupAnalytics` answers the five questions of the sketch, in its types."""
    analytics = ck.DedupAnalytics(stocked)
    assert analytics.storage_saved_gb() == pytest.approx(4000 / 1e9)
    assert 0 < analytics.dedup_ratio() < 1
    (group,) = analytics.top_duplicates(n=10)
    assert type(group).__name__ == "DedupGroup" and group.documents == 2
    assert list(analytics.dedup_by_resolver()) == ["unpaywall"]
    assert all(isinstance(share, float) for share in analytics.dedup_by_resolver().values())
    assert all(isinstance(line, str) for line in analytics.recommendations())


def test_gc_incremental_as_sketched(stocked: Collection) -> None:
    """`gc_incremental(batch_size=100, dry_run=True)` needs no more than that, and changes nothing by itself."""
    assert parameters(ck.gc_incremental) == {"batch_size": 100, "dry_run": True}
    before = stocked.catalog.totals()
    assert ck.gc_incremental(100, True).head.kind == "gc"
    assert stocked.catalog.totals() == before


def test_the_consistency_checker_as_sketched(stocked: Collection) -> None:
    """`CatalogConsistencyChecker` has the five methods of the sketch, in its types; it finds what was planted."""
    assert parameters(ck.CatalogConsistencyChecker.run_full_audit) == {"sample_rate": 0.1}
    checker = ck.CatalogConsistencyChecker()
    lists = (checker.check_orphans(), checker.check_missing_files(), checker.check_hash_mismatches())
    assert lists == ([], [], []) and checker.check_referential_integrity() == []
    copy = stocked.catalog.locations_of(stocked.catalog.digests_of([3])[3])[0]
    path = Path(stocked.store.path(copy.key))
    Path(stocked.store.root, "docs").mkdir()
    path.rename(Path(stocked.store.root, "docs", "orphan.txt"))
    (orphan,), (missing,) = checker.check_orphans(), checker.check_missing_files()
    assert isinstance(orphan, ck.OrphanFile) and orphan.path.endswith("/docs/orphan.txt")
    assert isinstance(missing, ck.MissingFile) and missing.path == str(path)
    report = checker.run_full_audit(sample_rate=0.1)
    assert isinstance(report, ck.AuditReport) and not report.clean


def test_backup_and_recovery_as_sketched(stocked: Collection, tmp_path: Path) -> None:
    """`backup_catalog(destination, include_storage_uri=False)` and `recover_from_backup(..., dry_run=True)`."""
    empty = inspect.Parameter.empty
    assert parameters(ck.backup_catalog) == {"destination": empty, "include_storage_uri": False}
    assert parameters(ck.recover_from_backup) == {"backup_path": empty, "catalog_db": empty, "dry_run": True}
    made = ck.backup_catalog(tmp_path / "backups")
    assert isinstance(made, ck.BackupMetadata) and made.record_count == 3
    stocked.close()
    catalog = stocked.path / "catalog.sqlite"
    assert not ck.recover_from_backup(Path(made.path), catalog).applied
    catalog.unlink()
    assert ck.recover_from_backup(Path(made.path), catalog, False).applied
    with ck.open() as again:
        assert again.catalog.totals()["documents"] == 3

"""The examples in the docstrings of the public names run, each on a collection of its own."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path
from typing import Any

import pytest

import catalogkit as ck

# What the fixture below shows (`init`), results of what has an example, and what takes long, a server or a person.
WITHOUT = {
    "__version__", "AuditReport", "BackupMetadata", "CatalogSnapshot", "Collection", "ConflictReport",
    "ContentMetadata", "DataIssue", "SyncReport",
    "DedupOpportunities", "demo_collection", "drill", "drop_reader", "EnrichedDocumentRecord", "EvictionCandidate",
    "Fetcher", "HashMismatch", "init", "maintain", "Maintenance", "MigrationReport", "MissingFile", "NearDuplicates",
    "open_reader", "OrphanFile", "plan_relocate", "rebuild_catalog", "recover_from_backup", "RetentionDecision",
    "review", "rollback_migration", "S3Layout", "start_telemetry", "TenantReader", "TenantSettings", "use_store",
    "CatalogStore", "DocumentRecord", "PostgresCatalog", "SQLiteCatalog", "StorageLayout",
}  # fmt: skip


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`ck`, and `c`: three documents of arxiv, two of which share their bytes; at $CATALOGKIT_HOME."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "downloads").mkdir()
    for name, text in {"a.txt": "same" * 1000, "b.txt": "same" * 1000, "c.txt": "other"}.items():
        (tmp_path / "downloads" / name).write_text(text)
    with ck.init("papers") as c:
        ck.ingest(c, "downloads", resolver="arxiv")
        monkeypatch.setenv("CATALOGKIT_HOME", str(c.path))
        yield {"ck": ck, "c": c}


@pytest.mark.parametrize("name", sorted(set(ck.__all__) - WITHOUT))
def test_the_example_runs(name: str, names: dict[str, Any]) -> None:
    """Line by line it answers what the docstring says; every name that is not left out on purpose has one."""
    text = inspect.getdoc(getattr(ck, name)) or ""
    example = doctest.DocTestParser().get_doctest(text, names, name, None, None)
    assert [one for one in example.examples if not one.options.get(doctest.SKIP)], f"{name} has no example"
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=said.append, clear_globs=False)
    assert not result.failed, "".join(said)

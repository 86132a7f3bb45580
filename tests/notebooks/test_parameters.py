"""Every notebook under papermill with other parameters than its own, and over a collection that has nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import nbformat
import pytest

from catalogkit.collection import init
from catalogkit.params import declared
from catalogkit.reports import find_report, list_reports, run_report
from tests.notebooks.conftest import AS_OF, complaints, outputs

EARLY: Final = "2026-01-20T00:00Z"  # when the demo's story had just begun
MATRIX: Final[list[tuple[str, dict[str, Any]]]] = [
    ("audit_report", {"sample": 1.0, "days": 1, "top": 1}),
    ("conflict_review", {"prefer": "berlin", "deletions": True, "rows": 2}),
    ("content_quality", {"top": 1}),
    ("dedup_analytics", {"top": 1, "every": "1d", "as_of": EARLY}),
    ("eviction_scoring", {"top": 1, "aim": "refetch", "as_of": EARLY}),
    ("gc_review", {"limit": 1, "as_of": EARLY}),
    ("migration_review", {"to": "cas", "views": False}),
    ("migration_review", {"keep": True, "limit": 3}),
    ("recovery_drill", {"sample": 1}),
    ("retention_review", {"backtest_days": 8, "step_days": 7, "limit": 1, "as_of": EARLY}),
    ("storage_overview", {"every": "1w", "top": 1, "promise_days": 365}),
    ("storage_overview", {"every": "1q", "promise_days": 1, "as_of": EARLY}),
    ("verification_coverage", {"promise_days": 1, "ledger_days": 1, "top": 1}),
    ("verification_coverage", {"promise_days": 3650, "ledger_days": 400, "as_of": EARLY}),
]
# The drill of a collection without a backup fails, as it should; the tour makes a collection of its own.
ANYWHERE: Final = sorted(set(list_reports()) - {"recovery_drill", "tour", "tenant_billing"})


@pytest.fixture(scope="module", autouse=True)
def demo_of_its_own(surroundings: None, shared: Path) -> Iterator[None]:
    """Plans that are made here for other times are earlier plans to nobody else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared / "other cache"))
        yield


def is_whole(name: str, given: dict[str, Any], out: Path, collection: str | None = None) -> dict[str, Any]:
    """Run it; there is no error and no warning, nothing is too large; what it recorded comes back."""
    made = run_report(name, given, out, collection=collection, as_of=AS_OF)
    assert complaints(made) == []
    assert max(len(json.dumps(one)) for one in outputs(made.ipynb)) < 200_000
    assert made.html.stat().st_size < 1_000_000
    told: dict[str, Any] = json.loads(made.json.read_text())
    assert given.items() <= told["parameters"].items()
    return told


@pytest.mark.parametrize(("name", "given"), MATRIX)
def test_other_parameters(tmp_path: Path, name: str, given: dict[str, Any]) -> None:
    """They are taken as they are given, and the page says them."""
    assert set(given) <= {parameter.name for parameter in declared(find_report(name))}
    assert is_whole(name, given, tmp_path)["figures"]


@pytest.mark.parametrize("name", ANYWHERE)
def test_a_collection_without_a_document(tmp_path: Path, name: str) -> None:
    """There is a page all the same, on which every chart says in words why it is not there."""
    init(tmp_path / "empty").close()
    told = is_whole(name, {}, tmp_path / "reports", str(tmp_path / "empty"))
    sizes = [value for key, value in told["figures"].items() if key.endswith("bytes")]
    assert not any(sizes)
    [notebook] = (tmp_path / "reports").glob("*/*.ipynb")
    for cell in nbformat.read(notebook, 4).cells:
        for output in cell.get("outputs", ()):
            if "title" in output.metadata.get("catalogkit", {}):
                assert "ck-empty" in output.data["text/html"] or "<svg" in output.data["text/html"]

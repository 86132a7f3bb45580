"""What results look like in a notebook: a table of words, for everything a public function gives back."""

from __future__ import annotations

from pathlib import Path

import catalogkit as ck
from catalogkit.reprs import brief


def test_results_are_tables_of_words(tmp_path: Path) -> None:
    """Backups, drills, recoveries, rebuilds, views and migrations show facts, not what Python calls them."""
    (tmp_path / "a.txt").write_text("a")
    with ck.init(tmp_path / "papers") as c:
        ck.ingest(c, tmp_path / "a.txt")
        made = ck.backup_catalog(tmp_path / "backups", collection=c)
        drilled = ck.drill(tmp_path / "backups", collection=c)
        results = [made, drilled, ck.make_views(c), ck.migrate_to_cas_gradual(collection=c)]
    results.append(ck.recover_from_backup(tmp_path / "backups", tmp_path / "papers" / "catalog.sqlite"))
    results.append(ck.rebuild_catalog(tmp_path / "papers"))
    for result in results:
        shown = result._repr_mimebundle_()  # type: ignore[attr-defined]
        assert shown["text/html"].startswith("<table"), result
        assert not any(word in shown["text/plain"] for word in ("True", "False", "None", "{}", "[]")), shown
    assert "documents" in results[1]._repr_mimebundle_()["text/plain"]  # type: ignore[attr-defined]


def test_a_closed_collection_shows_itself(tmp_path: Path) -> None:
    """A cell that shows a collection after it was closed does not fail."""
    c = ck.init(tmp_path / "papers")
    c.close()
    assert "closed" in c._repr_mimebundle_()["text/plain"]


def test_brief_leaves_out_what_is_empty_or_nested() -> None:
    """Zero and no are facts; empty text, lists and tables are left out."""
    shown = brief("Title", {"count": 0, "fine": False, "why": "", "plans": [], "table": {"a": 1}})["text/plain"]
    assert [line.split() for line in shown.splitlines()] == [["Title"], ["count", "0"], ["fine", "no"]]

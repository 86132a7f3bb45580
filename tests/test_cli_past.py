"""History, snapshots and SQL on the command line: real processes, exit codes, one JSON object."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_cli import answer, run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A collection of three documents, two of them with equal bytes."""
    pile, home = tmp_path / "pile", tmp_path / "home"
    pile.mkdir()
    for name, text in {"a.txt": "first", "b.txt": "more", "twin.txt": "first"}.items():
        (pile / name).write_text(text)
    run("init", home)
    run("-C", home, "ingest", pile, "--resolver", "r", "--run-id", "night")
    return home


def test_snapshots_from_the_beginning_to_the_end(home: Path) -> None:
    """Created, listed, shown, compared, heeded by garbage collection, dropped."""
    made = answer("-C", home, "snapshot", "create", "may")
    assert (made["record_count"], made["storage_size"], made["protected"]) == (3, len("firstmore"), True)
    assert answer("-C", home, "snapshot", "create", "week", "--keep-for", "7d")["protected"] is False
    assert "already" in answer("-C", home, "snapshot", "create", "may", code=1)["error"]
    (gone,) = [one["id"] for one in answer("-C", home, "find")["documents"] if one["artifact_id"] == "b.txt"]
    plan = answer("-C", home, "forget", gone, code=2)
    run("-C", home, "approve", plan["path"], "--where", "")
    assert answer("-C", home, "apply", plan["path"])["done"] == 1
    differ = answer("-C", home, "snapshot", "diff", "may")
    assert (differ["forgotten"], differ["added"], differ["bytes_gone"]) == (1, 0, 4)
    assert [row["document_id"] for row in differ["documents"]] == [gone]
    assert answer("-C", home, "plan", "gc")["units"] == 0
    run("-C", home, "snapshot", "drop", "week")
    (kept,) = answer("-C", home, "status")["kept"]
    assert (kept["name"], kept["held_bytes"], kept["exclusive_bytes"]) == ("may", 4, 4)
    (listed,) = answer("-C", home, "snapshot", "list")["snapshots"]
    assert listed | {"label": "may"} == listed and listed["exclusive_bytes"] == 4
    assert answer("-C", home, "snapshot", "show", "may")["digest"] == made["digest"]
    assert "no snapshot" in answer("-C", home, "snapshot", "show", "june", code=1)["error"]
    assert answer("-C", home, "snapshot", "drop", "may")["dropped"] is True
    assert answer("-C", home, "plan", "gc", code=2)["units"] == 1


def test_the_history_of_a_document(home: Path) -> None:
    """What happened is told in order, also of what is forgotten; an id that never was is an error."""
    plan = answer("-C", home, "forget", 1, code=2)
    run("-C", home, "approve", plan["path"], "--where", "", "--by", "ada")
    run("-C", home, "apply", plan["path"])
    first, last = answer("-C", home, "history", 1)["history"]
    assert (first["what"], first["run_id"]) == ("arrived", "night")
    assert (last["what"], last["plan_id"], last["by"]) == ("forgotten", plan["id"], "ada")
    assert answer("-C", home, "show", 1, "--at", first["at"])["document"]["id"] == 1
    assert "there was no document 1" in answer("-C", home, "show", 1, "--at", "2020-01-01", code=1)["error"]
    assert "not a time" in answer("-C", home, "show", 1, "--at", "yesterday", code=1)["error"]
    assert "never was" in answer("-C", home, "history", 99, code=1)["error"]


def test_sql(home: Path) -> None:
    """Rows for people and for machines, values bound, and an error for what cannot be asked."""
    query = "SELECT artifact_id, bytes FROM documents WHERE bytes < ?::BIGINT ORDER BY id"
    said = answer("-C", home, "sql", query, "-p", "5")
    assert (said["columns"], said["rows"], said["data"]) == (
        ["artifact_id", "bytes"], 1, [{"artifact_id": "b.txt", "bytes": 4}]
    )  # fmt: skip
    assert "b.txt" in run("-C", home, "sql", query, "-p", "5").stdout
    assert "disabled" in answer("-C", home, "sql", "SELECT * FROM read_text('/etc/passwd')", code=1)["error"]
    shown = run("-C", home, "sql", "SELECT id FROM documents", "--no-refresh", "--limit", "1")
    assert "as of" in shown.stderr and "2 rows more" in shown.stderr

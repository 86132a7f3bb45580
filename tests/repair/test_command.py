"""`plan repair` and `apply --fetch` on the command line: real processes, exit codes, what a person reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.repair.damage import corrupt
from tests.repair.server import Server, reply
from tests.test_cli import answer, run

CONTENT = "the only copy"


@pytest.fixture
def home(tmp_path: Path, server: Server) -> Path:
    """A collection of two documents, one with a replica in its owner's hands, and one from the web."""
    pile, home = tmp_path / "pile", tmp_path / "home"
    pile.mkdir()
    (pile / "a.txt").write_text("document a")
    (pile / "web.txt").write_text(CONTENT)
    url = server.on("/web.txt", reply(body=CONTENT.encode()))
    row = {"path": "web.txt", "artifact_id": "web", "source_url": url.replace("//", "//me:secret@")}
    (pile / "manifest.jsonl").write_text(json.dumps(row) + "\n")
    run("init", home)
    run("-C", home, "ingest", pile, "--manifest", pile / "manifest.jsonl")
    (pile / "web.txt").unlink()
    (pile / "manifest.jsonl").unlink()
    run("-C", home, "ingest", pile)
    run("-C", home, "ingest", pile, "--mode", "reference", "--resolver", "theirs")
    return home


def stored(home: Path, size: int) -> Path:
    """The file of that size in the store."""
    (path,) = [path for path in (home / "store" / "cas").rglob("*") if path.is_file() and path.stat().st_size == size]
    return path


def test_repair(home: Path) -> None:
    """Damage is found, planned for, approved, made good; then there is nothing left to do."""
    assert answer("-C", home, "plan", "repair")["units"] == 0
    corrupt(stored(home, len("document a")))
    run("-C", home, "verify", code=2)
    plan = answer("-C", home, "plan", "repair", code=2)
    assert (plan["kind"], plan["units"], plan["bytes_freed"], plan["unrepairable"]) == ("repair", 1, 0, [])
    run("-C", home, "approve", plan["path"])
    done = answer("-C", home, "apply", plan["path"])
    assert (done["done"], done["failed"]) == (1, 0)
    assert answer("-C", home, "verify")["ok"] >= 3
    assert "Nothing to do" in run("-C", home, "plan", "repair").stderr
    undo = run("-C", home, "plan", "undo", plan["path"], code=2)
    assert "Nothing can be done: 1 step cannot be undone: copy x 1." in undo.stderr


def test_fetch(home: Path, server: Server) -> None:
    """Fetching is planned if asked for, done if asked for again, from a private address if that is said, too."""
    stored(home, len(CONTENT)).unlink()
    run("-C", home, "verify", code=2)
    said = run("-C", home, "plan", "repair", code=2)
    assert "missing, and stays so" in said.stdout
    assert "no copy is left, and it cannot be fetched: its URL names a private address" in said.stdout
    (left,) = answer("-C", home, "plan", "repair", "--private", code=2)["unrepairable"]
    assert left["reason"] == "not-asked"
    plan = answer("-C", home, "plan", "repair", "--fetch", "--private", code=2)
    run("-C", home, "approve", plan["path"])
    said = run("-C", home, "apply", plan["path"], code=2)
    assert "failed" in said.stderr and "fetching was not allowed" in said.stderr
    said = run("-C", home, "apply", plan["path"], "--fetch", code=2)
    assert "is at a private address, which is not allowed" in said.stderr
    assert server.asked == []
    done = run("-C", home, "apply", plan["path"], "--fetch", "--private")
    assert server.times("/web.txt") == 1
    assert "secret" not in done.stdout + done.stderr + said.stdout + said.stderr
    assert answer("-C", home, "verify")["corrupt"] == 0

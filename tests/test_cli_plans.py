"""Plan, review, approve, apply and undo on the command line: real processes, exit codes, one JSON object."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from catalogkit.apply import apply
from catalogkit.collection import open_collection
from catalogkit.plan import Plan
from tests.test_cli import answer, run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A collection of five documents, two of them with equal bytes."""
    pile, home = tmp_path / "pile", tmp_path / "home"
    pile.mkdir()
    for number in range(4):
        (pile / f"{number}.txt").write_text(f"document {number}")
    (pile / "twin.txt").write_text("document 0")
    run("init", home)
    run("-C", home, "ingest", pile, "--resolver", "r")
    return home


def stored(home: Path) -> int:
    """How many files the store holds."""
    return sum(path.is_file() for path in (home / "store" / "cas").rglob("*"))


def test_forget_collect_purge(home: Path) -> None:
    """Documents are forgotten, their bytes condemned and, after the grace, removed; shared bytes stay."""
    ids = {d["artifact_id"]: d["id"] for d in answer("-C", home, "find")["documents"]}
    plan = answer("-C", home, "forget", ids["0.txt"], ids["1.txt"], code=2)
    assert (plan["kind"], plan["units"], plan["bytes_freed"]) == ("forget", 2, len("document 1"))
    assert "nobody approved" in answer("-C", home, "apply", plan["path"], code=1)["error"]
    assert answer("-C", home, "approve", plan["path"])["approved"] == 1  # the last copy is not selected by itself
    assert answer("-C", home, "approve", plan["path"], "--where", "")["approved"] == 2
    done = answer("-C", home, "apply", plan["path"])
    assert (done["done"], done["skipped"], done["failed"]) == (2, 0, 0)
    again = answer("-C", home, "apply", plan["path"])
    assert (again["done"], again["already"]) == (0, 2)
    collect = answer("-C", home, "plan", "gc", code=2)
    assert (collect["units"], collect["bytes_freed"]) == (1, len("document 1"))
    run("-C", home, "approve", collect["id"])
    assert answer("-C", home, "apply", collect["id"])["done"] == 1
    assert stored(home) == 4
    assert answer("-C", home, "plan", "purge")["units"] == 0  # the grace is not over
    purge = answer("-C", home, "plan", "purge", "--grace", "0s", code=2)
    run("-C", home, "review", purge["path"], "--approve")
    assert answer("-C", home, "apply", purge["path"])["bytes_freed"] == len("document 1")
    assert stored(home) == 3
    assert answer("-C", home, "verify")["ok"] == 3
    assert {row["kind"] for row in answer("-C", home, "plans")["applied"]} == {"forget", "gc", "purge"}


def test_undo_brings_documents_back(home: Path) -> None:
    """What was forgotten comes back under its old id; what was condemned is alive again."""
    before = answer("-C", home, "find")["documents"]
    plan = answer("-C", home, "forget", before[1]["id"], code=2)
    run("-C", home, "approve", plan["path"], "--where", "")
    run("-C", home, "apply", plan["path"])
    assert len(answer("-C", home, "find")["documents"]) == 4
    back = answer("-C", home, "plan", "undo", plan["id"], code=2)
    run("-C", home, "approve", back["path"])
    assert answer("-C", home, "apply", back["path"])["done"] == 1
    after = answer("-C", home, "find")["documents"]
    assert [(d["id"], d["sha256"]) for d in after] == [(d["id"], d["sha256"]) for d in before]


def test_a_plan_with_nothing_to_do_is_not_kept(home: Path) -> None:
    """It is said that there is nothing; no folder is left behind, and nothing waits."""
    for kind in ("gc", "retention", "dedup", "repair"):
        said = answer("-C", home, "plan", kind)
        assert (said["units"], said["path"]) == (0, ""), kind
    assert not (home / "plans").exists()
    assert run("-C", home, "plan", "gc").stdout == ""
    assert answer("-C", home, "plans")["waiting"] == []


def test_what_keeps_garbage_is_told(home: Path) -> None:
    """Where snapshots and holds keep all there is, gc says which and how much, in words and as data."""
    found = {d["artifact_id"]: d for d in answer("-C", home, "find")["documents"]}
    digest = found["2.txt"]["sha256"]
    run("-C", home, "snapshot", "create", "monday")
    run("-C", home, "hold", "add", digest, "--reason", "a lawyer asks")
    plan = answer("-C", home, "forget", found["1.txt"]["id"], found["2.txt"]["id"], code=2)
    run("-C", home, "approve", plan["path"], "--where", "")
    run("-C", home, "apply", plan["path"])
    size = len("document 1")
    assert answer("-C", home, "plan", "gc")["kept"] == [
        {"by": "hold", "keepers": 1, "blobs": 1, "bytes": size},
        {"by": "snapshot", "keepers": 1, "blobs": 1, "bytes": size},
    ]
    words = f"Nothing to collect; {2 * size} B that no document needs are kept only by 1 hold ({size} B), 1 snapshot"
    assert words in run("-C", home, "plan", "gc").stderr


def test_a_plan_is_given_up(home: Path) -> None:
    """A begun plan ends with a reason, which lists and a later apply tell; one that has ended is refused."""
    plan = answer("-C", home, "forget", 1, 2, code=2)
    with open_collection(home) as collection:
        stop = threading.Event()
        apply(
            collection, Plan.load(plan["path"]), unapproved=True, max_share=1.0, batch=1, stop=stop,
            progress=lambda _: stop.set(),
        )  # fmt: skip
    assert "give-up" in run("-C", home, "plans").stdout
    said = answer("-C", home, "plan", "give-up", plan["path"], "--reason", "we keep them")
    assert (said["done"], said["given_up"]) == (1, "we keep them")
    assert "given up: we keep them" in run("-C", home, "plans").stdout
    run("-C", home, "approve", plan["path"], "--where", "")
    assert "given up (we keep them)" in answer("-C", home, "apply", plan["path"], code=1)["error"]
    assert "has ended" in answer("-C", home, "plan", "give-up", plan["id"], "--reason", "x", code=1)["error"]
    shown = run("-C", home, "review", plan["path"]).stdout
    assert "Given up: we keep them" in shown
    assert answer("-C", home, "plan", "undo", plan["id"], code=2)["units"] == 1


def test_a_review_of_nothing_selected_suggests_no_empty_approval(home: Path) -> None:
    """Last copies alone are selected by nobody: the review says how to select them instead of how to approve none."""
    plan = answer("-C", home, "forget", 2, code=2)
    text = run("-C", home, "review", plan["path"], code=2).stdout
    assert "catalogkit approve" not in text
    assert f"All units are last copies, which are selected only on request: `catalogkit review {plan['path']}" in text
    some = run("-C", home, "review", plan["path"], "--where", "bytes > 1000000", code=2).stdout
    assert "catalogkit approve" not in some
    assert "catalogkit approve" in run("-C", home, "review", plan["path"], "--where", "", code=2).stdout


def test_review_shows_and_changes_nothing(home: Path) -> None:
    """Opening a review says what would happen; the plan still waits for somebody."""
    plan = answer("-C", home, "forget", 2, code=2)
    text = run("-C", home, "review", plan["path"], code=2).stdout
    assert "forget" in text.lower()
    shown = answer("-C", home, "review", plan["path"], "--where", "bytes > 0", code=2)
    assert (shown["state"].lower(), shown["selected"]) == ("draft", 1)
    assert answer("-C", home, "plans")["waiting"][0]["state"] == "draft"
    assert len(answer("-C", home, "find")["documents"]) == 5


def test_holds_and_why(home: Path) -> None:
    """A held document is not forgotten, and `why` says who keeps it."""
    hold = answer("-C", home, "hold", "add", 2, "--reason", "court order 7")
    plan = answer("-C", home, "forget", 2, code=2)
    run("-C", home, "approve", plan["path"], "--where", "")
    done = answer("-C", home, "apply", plan["path"])
    assert (done["done"], done["skipped"]) == (0, 1)
    assert "hold" in done["notes"][0]["why"]
    said = " ".join(answer("-C", home, "why", 2)["why"])
    assert "court order 7" in said
    assert answer("-C", home, "hold", "list")["holds"][0]["reason"] == "court order 7"
    answer("-C", home, "hold", "release", hold["hold"])
    assert answer("-C", home, "hold", "list")["holds"] == []


@pytest.mark.parametrize(
    "args",
    [
        ("apply", "nonsense"),
        ("approve", ""),
        ("plan", "undo", "feed"),
        ("forget", "999"),
        ("why", "/nowhere/at/all"),
        ("why", "ABC"),
        ("hold", "add", "2", "--reason", " "),
        ("hold", "release", "5"),
        ("plan", "purge", "--grace", "soon"),
        ("review", "nonsense"),
    ],
)
def test_bad_input_is_one_clear_error(home: Path, args: tuple[str, ...]) -> None:
    """Exit code 1 and an error in words."""
    assert answer("-C", home, *args, code=1)["error"]


def test_an_approval_is_for_one_plan(home: Path) -> None:
    """A rule that is no condition is refused; an edited plan is not applied."""
    plan = answer("-C", home, "forget", 2, code=2)
    assert answer("-C", home, "approve", plan["path"], "--where", "colour = 'red'", code=1)["kind"] == "InvalidInput"
    run("-C", home, "approve", plan["path"], "--where", "")
    head = Path(plan["path"], "plan.json")
    head.write_text(head.read_text().replace('"author": "', '"author": "not '))
    assert answer("-C", home, "apply", plan["path"], code=1)["kind"] == "PlanError"


def test_what_was_purged_does_not_come_back(home: Path) -> None:
    """The way back from a purge is empty, says how many steps it leaves out, and ends with 2: somebody should know."""
    ids = [document["id"] for document in answer("-C", home, "find")["documents"]]
    for kind, *rest in (("forget", *ids), ("gc",), ("purge", "--grace", "0s")):
        plan = answer("-C", home, "plan", kind, *rest, code=2)
        run("-C", home, "approve", plan["path"], "--where", "")
        assert answer("-C", home, "apply", plan["path"], "--max-share", 1)["failed"] == 0
    undo = answer("-C", home, "plan", "undo", plan["path"], code=2)
    assert (undo["units"], undo["complete"]) == (0, "4 steps cannot be undone: purge x 4")
    said = run("-C", home, "plan", "undo", plan["path"], code=2)
    assert "Nothing can be done: 4 steps cannot be undone: purge x 4." in said.stderr

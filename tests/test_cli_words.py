"""What a newcomer reads on the command line: words instead of Python's, a hint wherever nothing came of it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalogkit.catalog.sqlite import SQLiteCatalog
from catalogkit.errors import CatalogError
from tests.test_cli import answer, run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A collection of three different documents."""
    (tmp_path / "pile").mkdir()
    for number in range(3):
        (tmp_path / "pile" / f"{number}.txt").write_text(f"document {number}")
    run("init", tmp_path / "home")
    run("-C", tmp_path / "home", "ingest", tmp_path / "pile")
    return tmp_path / "home"


def test_words_instead_of_pythons(tmp_path: Path, home: Path) -> None:
    """Nothing of Python shows, neither in facts nor in help: no True, no None, no escaped bracket."""
    run("init", tmp_path / "empty")
    for said in (
        run("-C", tmp_path / "empty", "status").stdout,
        run("-C", home, "ingest", tmp_path / "pile").stdout,
        run("-C", home, "migrate", "--dry-run").stdout,
        run("-C", home, "backup", code=1).stderr,
        run("maintain", "--help").stdout,
        run("plan", "retention", "--help").stdout,
    ):
        assert not any(word in said for word in ("True", "False", "None", "\\[")), said
    run("-C", home, "verify")
    assert "100.0 % of bytes" in run("-C", home, "status").stdout
    assert answer("-C", home, "status")["verified_share"] == 1


def test_help_is_in_groups_with_whole_sentences(home: Path) -> None:
    """Headings in the order of work, those that a heading names first in it; no sentence is cut short."""
    told = run("--help").stdout
    at = [told.index(words) for words in ("Take in, prove", "Ask:", "Plan, review, approve, apply:", "\n  plan ",
                                          "\n  review ", "\n  approve ", "\n  apply ", "Lose nothing:")]  # fmt: skip
    assert at == sorted(at)
    assert "..." not in told.partition("Options:")[2]


def test_what_waits_and_what_follows_is_said(home: Path) -> None:
    """`status` says that plans wait, `apply` what comes after it, `sql` which tables there are."""
    assert run("-C", home, "status").stderr == ""
    plan = answer("-C", home, "forget", 1, code=2)["path"]
    assert "`catalogkit plans`" in run("-C", home, "status").stderr
    assert answer("-C", home, "status")["plans_waiting"] == 1
    run("-C", home, "approve", plan, "--where", "")
    told = run("-C", home, "apply", plan, "--max-share", 1).stderr
    assert "`catalogkit plan gc`" in told and "`catalogkit plan undo " in told
    assert answer("-C", home, "status")["plans_waiting"] == 0
    assert "blobs, checks" in run("-C", home, "sql", "SELECT 1 FROM nothing", code=1).stderr


def test_a_digest_may_be_cut_short(home: Path) -> None:
    """`why` takes the eight digits that reviews show; too few, or none that it knows, are refused."""
    digest = answer("-C", home, "show", 1)["document"]["sha256"]
    assert answer("-C", home, "why", digest[:8]) == answer("-C", home, "why", 1)
    assert "give a digest" in run("-C", home, "why", digest[:3], code=1).stderr
    assert "knows nothing" in run("-C", home, "why", "ffffffff", code=1).stderr


def test_approving_nothing_says_why(home: Path) -> None:
    """All units are last copies: nothing is approved, and the answer says what takes them, too."""
    plan = answer("-C", home, "forget", 1, 2, code=2)["path"]
    told = run("-C", home, "approve", plan, code=2)
    assert "approved     0" in told.stdout and "last copies" in told.stderr and "--where ''" in told.stderr
    assert answer("-C", home, "approve", plan, "--where", "bytes > 1000", code=2)["approved"] == 0
    assert run("-C", home, "approve", plan, "--where", "").stderr == ""


def test_nothing_found_is_said(home: Path) -> None:
    """An empty list is no empty screen; to a machine it is an empty list."""
    for words, key in ((["find", "--resolver", "nobody"], "documents"), (["hold", "list"], "holds"),
                       (["snapshot", "list"], "snapshots"), (["plans"], "waiting")):  # fmt: skip
        told = run("-C", home, *words)
        assert told.stdout == "" and told.stderr.startswith("no "), words
        assert answer("-C", home, *words)[key] == []


def test_verify_of_documents_that_are_not_there(home: Path) -> None:
    """An id that nothing has is an error; nothing is checked then."""
    assert "there is no document 99" in answer("-C", home, "verify", 1, 99, code=1)["error"]
    assert answer("-C", home, "status")["never_checked"] == 3
    assert answer("-C", home, "verify", 1)["ok"] == 1


def test_a_layout_that_is_none(tmp_path: Path) -> None:
    """It is refused with the names of those there are, and nothing is made."""
    assert "use cas or policy" in answer("init", tmp_path / "new", "--layout", "odd", code=1)["error"]
    assert not (tmp_path / "new").exists()


def test_equal_troubles_are_counted(tmp_path: Path, home: Path) -> None:
    """Three hundred rows with one mistake are ten lines and a number; JSON has them all."""
    (tmp_path / "list.jsonl").write_text('{"path": "pile/0.txt"}\n' * 300)
    told = run("-C", home, "ingest", "--manifest", tmp_path / "list.jsonl", code=2).stderr.splitlines()
    assert len(told) == 11 and "290 more" in told[-1] and "artifact_id" in told[-1]
    assert len(answer("-C", home, "ingest", "--manifest", tmp_path / "list.jsonl", code=2)["failures"]) == 300


def test_why_of_what_was_forgotten(home: Path) -> None:
    """A document that is gone leads to its history."""
    plan = answer("-C", home, "forget", 1, code=2)["path"]
    run("-C", home, "approve", plan, "--where", "")
    run("-C", home, "apply", plan)
    assert "catalogkit history 1" in answer("-C", home, "why", 1, code=1)["error"]
    assert json.loads(run("-C", home, "history", 1, "--json").stdout)["history"]


def test_nothing_approved_is_nothing_to_apply(home: Path) -> None:
    """A yes to no unit is no yes: the plan is a draft, waits, and can still be approved and applied."""
    plan = answer("-C", home, "forget", 1, code=2)["path"]
    run("-C", home, "approve", plan, "--where", "")
    for where in ([], ["--where", "bytes > 1000"]):
        run("-C", home, "approve", plan, *where, code=2)
        assert "nobody approved this plan" in run("-C", home, "apply", plan, code=1).stderr
        assert [one["state"] for one in answer("-C", home, "plans")["waiting"]] == ["draft"]
    run("-C", home, "approve", plan, "--where", "")
    assert answer("-C", home, "apply", plan)["done"] == 1


def test_a_lost_catalog_is_not_made_anew(home: Path) -> None:
    """Who lost the catalog of a collection is told how it comes back, not only how to begin with nothing."""
    (home / "catalog.sqlite").unlink()
    told = run("-C", home, "status", code=1).stderr
    assert "`catalogkit recover BACKUP`" in told and "`catalogkit rebuild`" in told
    (home / "catalog.sqlite").write_bytes(b"no database" * 1000)
    assert "`catalogkit recover BACKUP`" in run("-C", home, "status", code=1).stderr


def test_damage_is_told_with_what_to_do(home: Path, tmp_path: Path) -> None:
    """verify names the next command; repair says what helps where no copy is left; ingest says what it wrote again."""
    for number, copy in enumerate(sorted((home / "store").glob("cas/*/*"))[:2]):
        copy.unlink()
        if number:
            copy.write_text("rubbish")
    assert "`catalogkit plan repair`" in run("-C", home, "verify", code=2).stderr
    assert "ingest the right bytes again" in run("-C", home, "plan", "repair", code=2).stderr
    healed = run("-C", home, "ingest", tmp_path / "pile").stdout
    assert "skipped: already known; a copy of it was written  2\n" in healed
    assert run("-C", home, "verify").stderr == ""
    assert "a copy of it was written" not in run("-C", home, "ingest", tmp_path / "pile").stdout


def test_an_option_that_goes_before_the_command(home: Path) -> None:
    """Whoever types it after the command is told where it goes."""
    assert "-C goes before the command: catalogkit -C DIR status" in run("status", "-C", home, code=1).stderr
    assert "catalogkit --catalog URL plan gc" in run("plan", "gc", "--catalog", "x", code=1).stderr
    assert "before" not in run("status", "-X", code=1).stderr


def test_the_version(tmp_path: Path) -> None:
    """Without a collection, in one line."""
    from catalogkit import __version__

    assert run("--version", cwd=tmp_path).stdout == f"catalogkit {__version__}\n"


def test_a_list_that_is_cut_off_says_so(home: Path) -> None:
    """find shows so many documents and tells that there are more; where these are all, it tells nothing."""
    told = run("-C", home, "find", "--limit", 2)
    assert len(told.stdout.splitlines()) == 2 and "more than these 2" in told.stderr
    assert run("-C", home, "find", "--limit", 3).stderr == ""
    assert len(answer("-C", home, "find", "--limit", 2)["documents"]) == 2


def test_a_column_that_is_not_there(home: Path) -> None:
    """A condition over a column that no plan has is told with the columns there are, once."""
    plan = answer("-C", home, "forget", 1, code=2)["path"]
    told = run("-C", home, "approve", plan, "--where", "similarity > 0.9", code=1).stderr
    assert "similarity" in told and "columns are unit, " in told and told.count("artifact_id") == 1


def test_a_folder_that_cannot_be_written() -> None:
    """What SQLite calls unable to open is told as what it is; whoever may write everywhere gives that up first."""
    closed, who = Path(tempfile.mkdtemp(prefix="catalogkit-closed-")), os.geteuid()
    try:
        SQLiteCatalog(closed / "catalog.sqlite", create=True, as_of=datetime.now(UTC)).close()
        (closed / "catalog.sqlite").chmod(0o444)
        closed.chmod(0o555)
        if who == 0:
            os.seteuid(65534)
        with pytest.raises(CatalogError, match="its folder cannot be written"):
            SQLiteCatalog(closed / "catalog.sqlite", as_of=datetime.now(UTC))
    finally:
        os.seteuid(who)
        closed.chmod(0o755)
        shutil.rmtree(closed)


@pytest.mark.parametrize("kind", ["dedup", "evict", "near", "repair", "retention"])
def test_a_plan_of_nothing_shows_no_id(home: Path, kind: str) -> None:
    """It is not kept: nobody is shown an id, an end or a path that leads nowhere."""
    told = run("-C", home, "plan", kind).stdout
    assert "units " in told and not any(f"\n  {word} " in told for word in ("id", "expires at", "path"))

"""What an audit reads, remembers, could not see, and says on the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import catalogkit as ck
from catalogkit.audit_codes import Code
from catalogkit.auditing import CatalogConsistencyChecker, audit
from catalogkit.auditing_files import FileAudit
from catalogkit.errors import CatalogError, InvalidInput
from catalogkit.ingest import ingest
from catalogkit.model import Outcome
from catalogkit.verify import verify
from tests.audit.faults import NOTHING, ONE, change, intent, note, overwrite, replace, second_copy
from tests.conftest import make_tree
from tests.plans.scene import digest_of, path_of, stray

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.audit import AuditReport
    from catalogkit.collection import Collection

ROOT = Path(__file__).parents[2]


def codes(report: AuditReport) -> dict[str, int]:
    return dict(sorted(report.counts.items()))


# -- samples ---------------------------------------------------------------------------------------------------------


def test_samples_go_on_where_the_last_one_ended(stock: Callable[..., Collection], tmp_path: Path) -> None:
    """After as many audits as the report says, every copy was read once, none twice; verify's readings count, too."""
    collection = stock()
    ingest(collection, make_tree(tmp_path / "more", {f"m{n}": b"more %d" % n for n in range(17)}))
    runs = audit(collection, 0.1).sampling.runs_until_all
    for _ in range(runs - 2):
        collection.clock.advance(days=1)  # type: ignore[attr-defined]
        audit(collection, 0.1)
    checks = collection.frame("checks")
    assert checks["location_id"].n_unique() == checks.height == 3 * (runs - 1)
    collection.clock.advance(days=1)  # type: ignore[attr-defined]
    audit(collection, 0.1)
    assert set(collection.frame("checks")["location_id"]) == set(collection.frame("locations")["id"])
    assert not collection.frame("locations")["checked_at"].null_count()


def test_a_bad_file_is_met_within_the_runs_that_were_promised(stock: Callable[..., Collection]) -> None:
    """A file that rots unseen is found by one of so many audits, whichever it is."""
    for content in (b"document 0", b"document 5"):
        collection = stock()
        overwrite(path_of(collection, content), content.upper())
        found = []
        for _ in range(audit(collection, 0.3).sampling.runs_until_all):
            collection.clock.advance(days=1)  # type: ignore[attr-defined]
            found += [one.path for one in audit(collection, 0.3).findings if one.code == Code.WRONG_CONTENT]
        assert str(path_of(collection, content)) in found
        collection.close()
        Path(collection.path).rename(collection.path.with_name(f"done-{content[-1]}"))


def test_a_sampled_run_is_no_run_to_be_resumed(stock: Callable[..., Collection]) -> None:
    """`verify --resume` after an audit does not take the sample for a run that was cut short."""
    collection = stock()
    audit(collection, 0.1)
    assert collection.catalog.unfinished_run("verify") is None


def test_verify_takes_so_many_copies(stock: Callable[..., Collection]) -> None:
    """`max_copies` checks those that were not checked for the longest time, and says what it left out."""
    collection = stock()
    report = verify(collection, max_copies=4)
    assert (report.ok, dict(report.unchecked), report.stopped) == (4, {"not in this sample": 2}, "")
    collection.clock.advance(days=1)  # type: ignore[attr-defined]
    verify(collection, max_copies=2)
    assert not collection.frame("locations")["checked_at"].null_count()
    assert verify(collection, max_copies=100).ok == 6
    assert verify(collection, max_copies=0).checked == 0
    for wrong in ({"max_copies": -1}, {"max_copies": 1, "document_ids": [1]}):
        with pytest.raises(InvalidInput):
            verify(collection, **wrong)


def test_no_sample_reads_nothing(stock: Callable[..., Collection]) -> None:
    """With a rate of 0 no byte is read, also not of what looks changed; the report says that nothing is known."""
    collection = stock()
    replace(path_of(collection, ONE), ONE.upper())
    report = audit(collection, 0)
    assert codes(report) == {"A208": 1}
    assert "not read" in report.findings[0].detail
    assert collection.frame("checks").is_empty()
    assert "nothing learnt" in report.to_dict()["sampling"]["in_words"]


# -- the ledger ------------------------------------------------------------------------------------------------------


def test_what_is_proved_is_in_the_ledger(stock: Callable[..., Collection]) -> None:
    """Missing, cut and changed copies are noted as what they are, for repair to see; a healed one as healed."""
    collection = stock()
    path_of(collection, b"document 1").unlink()
    overwrite(path_of(collection, b"document 2"), b"doc")
    overwrite(path_of(collection, b"document 3"), b"DOCUMENT 3")
    note(collection, b"document 4", Outcome.CORRUPT)
    report = audit(collection, 1)
    assert codes(report) == {"A201": 1, "A203": 1, "A204": 1}
    said = {str(digest_of(b"document %d" % n)): n for n in range(6)}
    outcomes = {said[row["sha256"]]: row["outcome"] for row in collection.frame("locations").iter_rows(named=True)}
    assert outcomes == {0: "ok", 1: "missing", 2: "corrupt", 3: "corrupt", 4: "ok", 5: "ok"}
    collection.clock.advance(days=1)  # type: ignore[attr-defined]
    assert codes(audit(collection, 0)) == {"A201": 1, "A203": 1, "A301": 1}


def test_a_copy_that_was_missing_and_is_back(stock: Callable[..., Collection]) -> None:
    """A file that was put back is read, however small the sample, and the ledger has it as right."""
    collection = stock()
    path = path_of(collection, b"document 5")
    path.rename(collection.path / "away")
    assert codes(audit(collection, 0.1)) == {"A201": 1}
    (collection.path / "away").rename(path)
    collection.clock.advance(days=1)  # type: ignore[attr-defined]
    assert codes(audit(collection, 0.1)) == {}
    copy = collection.catalog.locations_of(digest_of(b"document 5"))[0]
    assert copy.outcome == Outcome.OK


def test_a_finding_says_what_is_at_stake(stock: Callable[..., Collection]) -> None:
    """A bad copy names the documents that need it, each; one that nobody needs says so."""
    collection = stock()
    path_of(collection, b"document 0").unlink()
    (one,) = audit(collection, 0).findings
    assert "document 1 (" in one.detail and one.detail.count("document") == 2
    assert "again.txt" in one.detail


def test_an_audit_that_notes_nothing(stock: Callable[..., Collection]) -> None:
    """Without notes the findings are the same and the ledger stays as it is; a sample needs the ledger."""
    collection = stock()
    path_of(collection, ONE).unlink()
    assert codes(audit(collection, 0, note=False)) == {"A201": 1}
    assert collection.frame("checks").is_empty()
    with pytest.raises(InvalidInput, match="ledger"):
        audit(collection, 0.1, note=False)


def test_many_documents_at_stake_are_counted(stock: Callable[..., Collection], tmp_path: Path) -> None:
    """A content that very many need names a few of them, and how many more there are."""
    collection = stock()
    ingest(collection, make_tree(tmp_path / "more", {f"same{n}.txt": ONE for n in range(30)}))
    path_of(collection, ONE).unlink()
    (one,) = audit(collection, 0).findings
    assert one.detail.endswith("and 28 more") and one.detail.count("document ") == 3


# -- what could not be seen ------------------------------------------------------------------------------------------


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a folder refuse to be listed: for the superuser no mode does that."""

    def make(folder: Path) -> None:
        real = os.scandir

        def refuse(path: Any = ".") -> Any:
            if not isinstance(path, int) and os.path.realpath(path) == str(folder):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        folder.chmod(0)
        monkeypatch.setattr(os, "scandir", refuse)

    return make


def test_a_folder_that_cannot_be_listed(stock: Callable[..., Collection], unreadable: Callable[[Path], None]) -> None:
    """The audit is incomplete, names the folder, and what it could see it saw: no copy in there is called missing."""
    collection = stock()
    stray(collection, b"an orphan")
    folder = path_of(collection, ONE).parent
    unreadable(folder)
    report = audit(collection, 0)
    assert not report.complete
    assert [(one.what, one.why) for one in report.unseen] == [(str(folder), "Permission denied")]
    assert codes(report) == {"A102": 1}
    folder.chmod(0o755)


def test_a_foreign_folder_that_cannot_be_listed(
    stock: Callable[..., Collection], unreadable: Callable[[Path], None]
) -> None:
    """What is none of ours does not make an audit incomplete: a `lost+found` is told as a foreign thing."""
    collection = stock()
    folder = Path(collection.store.root, "lost+found")
    folder.mkdir()
    unreadable(folder)
    report = audit(collection, 0)
    assert report.complete and codes(report) == {"A103": 1}


def test_a_store_that_is_away(stock: Callable[..., Collection]) -> None:
    """A disk that is not mounted: incomplete, said once; nothing is missing, and nothing in the ledger is."""
    collection = stock()
    os.rename(collection.store.root, collection.path / "elsewhere")
    report = audit(collection, 1)
    assert not report.complete and codes(report) == {}
    assert [one.what for one in report.unseen] == [collection.store.root]
    assert report.copies == 0
    assert set(collection.frame("locations")["outcome"]) <= {None, "unknown"}


def test_a_disk_away_in_reference_mode(stock: Callable[..., Collection], source: Path) -> None:
    """Files in their owners' hands whose folder is gone are not seen, not missing; one gone among others is missing."""
    collection = stock(mode="reference")
    (source / "1.txt").unlink()
    assert codes(audit(collection, 0)) == {"A201": 1}
    os.rename(source, source.with_name("unmounted"))
    report = audit(collection, 0)
    assert codes(report) == {"A301": 1}  # what the ledger knows from before
    assert len(report.unseen) == 7 and not report.complete


def test_an_in_place_file_that_changed(stock: Callable[..., Collection], source: Path) -> None:
    """In reference mode a link that leads to the file is fine, and so is a mode; other bytes are not."""
    collection = stock(mode="reference")
    (source / "1.txt").chmod(0o666)
    (source / "2.txt").rename(source / "there")
    (source / "2.txt").symlink_to("there")
    assert codes(audit(collection, 1)) == {}
    (source / "3.txt").write_bytes(b"DOCUMENT 3")
    assert codes(audit(collection, 1)) == {"A204": 1}


def test_a_question_the_catalog_cannot_answer(
    stock: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalog that fails at one question is asked the others, and the audit says what it does not know."""
    collection = stock()
    change(collection, "UPDATE blobs SET refs = refs + 1 WHERE sha256 = ?", digest_of(ONE))
    real = type(collection.catalog).faults

    def faults(self: Any, code: Code, **more: Any) -> Any:
        if code is Code.DAMAGED_DATABASE:
            raise CatalogError("the file is damaged")
        return real(self, code, **more)

    monkeypatch.setattr(type(collection.catalog), "faults", faults)
    report = audit(collection, 0)
    assert not report.complete and codes(report) == {"A304": 1}


def test_the_collections_own_files_in_its_store(stock: Callable[..., Collection]) -> None:
    """Where the store is the collection's folder itself, its catalog and settings are not foreign; a stray file is."""
    collection = stock(store="file:.")
    (collection.path / "plans").mkdir()
    (collection.path / "plans" / "one").write_text("a plan")
    assert codes(audit(collection, 0)) == {}
    (collection.path / "notes.txt").write_text("mine")
    assert codes(audit(collection, 0)) == {"A103": 1}


# -- stopping --------------------------------------------------------------------------------------------------------


def test_stopped_it_gives_what_was_found(stock: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop after the survey keeps the orphan that was found, and says that the rest was not seen."""
    collection, stop = stock(), threading.Event()
    stray(collection, b"an orphan")
    path_of(collection, ONE).unlink()
    report = audit(collection, 1, progress=lambda _: stop.set(), stop=stop)
    assert report.interrupted and not report.complete and codes(report) == {"A102": 1}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FileAudit, "copies", interrupted)
    report = audit(collection, 1)
    assert report.interrupted and codes(report) == {"A102": 1}


# -- the doors -------------------------------------------------------------------------------------------------------


def test_the_doors_are_parts_of_the_whole(stock: Callable[..., Collection]) -> None:
    """Each check gives its findings, in its class, and together they are those of the full audit."""
    collection = stock()
    stray(collection, b"an orphan")
    path_of(collection, b"document 1").unlink()
    overwrite(path_of(collection, b"document 2"), b"DOCUMENT 2")
    change(collection, "UPDATE blobs SET refs = refs + 1 WHERE sha256 = ?", digest_of(b"document 3"))
    intent(collection, 99, NOTHING, "elsewhere/1/x")
    checker = CatalogConsistencyChecker(collection)
    orphans, missing = checker.check_orphans(), checker.check_missing_files()
    mismatches, issues = checker.check_hash_mismatches(1.0), checker.check_referential_integrity()
    assert [type(one) for one in orphans + missing + mismatches] == [ck.OrphanFile, ck.MissingFile, ck.HashMismatch]
    assert sorted(one.code for one in issues) == ["A304", "A406"]
    assert all(isinstance(one, ck.DataIssue) for one in issues)
    whole = checker.run_full_audit(1.0)
    assert sorted(one.code for one in whole.findings) == sorted(
        one.code for one in [*orphans, *missing, *mismatches, *issues]
    )


def test_whatever_lies_in_the_store_unknown_is_an_orphan(stock: Callable[..., Collection]) -> None:
    """The check lists files of no layout, too; only those with a key's form are a warning."""
    collection = stock()
    stray(collection, b"an orphan")
    Path(collection.store.root, "notes.txt").write_text("mine")
    found = CatalogConsistencyChecker(collection).check_orphans()
    assert sorted((one.code.value, one.severity.value) for one in found) == [("A102", "warning"), ("A103", "info")]


def test_a_wrong_rate_changes_nothing(stock: Callable[..., Collection]) -> None:
    """A rate out of range is refused before anything is looked at or written down."""
    collection = stock()
    path_of(collection, ONE).unlink()
    for call in (audit, lambda c, rate: CatalogConsistencyChecker(c).run_full_audit(rate)):
        with pytest.raises(InvalidInput, match="between 0 and 1"):
            call(collection, 1.5)
    assert collection.frame("checks").is_empty()


def test_two_copies_one_bad(stock: Callable[..., Collection]) -> None:
    """A copy that was found bad beside a healthy one is a warning; read again, it is what it is."""
    collection = stock()
    second_copy(collection, ONE)
    note(collection, ONE, Outcome.MISSING, 1)
    assert codes(audit(collection, 0)) == {"A206": 1}
    assert codes(audit(collection, 0.1)) == {}


# -- the command line ------------------------------------------------------------------------------------------------


def catalogkit(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "catalogkit", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)


def test_the_command(stock: Callable[..., Collection]) -> None:
    """Exit codes, the JSON contract, and the words for people, with every path in full."""
    collection = stock()
    home = collection.path
    done = catalogkit("-C", home, "audit", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["complete"], said["findings"], said["sampling"]["read"]) == (True, [], 1)

    Path(collection.store.root, "notes.txt").write_text("mine")
    assert catalogkit("-C", home, "audit").returncode == 0  # an info waits for nobody
    deep = "docs/" + "/".join(["a-folder-with-a-rather-long-name"] * 8) + "/paper.pdf"
    orphan = stray(collection, b"an orphan", key=deep)
    path_of(collection, ONE).unlink()
    done = catalogkit("-C", home, "audit", "--sample", "0", "--json")
    assert done.returncode == 2
    said = json.loads(done.stdout)
    assert [set(one) for one in said["findings"]] == [{"code", "severity", "object", "path", "detail"}] * 3
    assert {(one["code"], one["severity"]) for one in said["findings"]} == {
        ("A102", "warning"), ("A103", "info"), ("A201", "error"),
    }  # fmt: skip
    done = catalogkit("-C", home, "audit")
    assert done.returncode == 2
    for words in (str(orphan), str(path_of(collection, ONE)), "error A201", Code.MISSING_FILE.todo):
        assert words in done.stdout
    assert done.stdout.index("error A201") < done.stdout.index("warning A102") < done.stdout.index("info A103")
    assert catalogkit("-C", home, "audit", "--sample", "2").returncode == 1


def test_an_incomplete_audit_waits_for_a_person(stock: Callable[..., Collection]) -> None:
    """A store that is away: exit 2, and the command says what it did not see."""
    collection = stock()
    os.rename(collection.store.root, collection.path / "elsewhere")
    done = catalogkit("-C", collection.path, "audit")
    assert done.returncode == 2
    assert f"not seen: {collection.store.root}" in done.stdout


def test_interrupted_on_the_command_line(stock: Callable[..., Collection], tmp_path: Path) -> None:
    """Ctrl-C ends with 130, and the JSON has what was found so far."""
    collection = stock()
    stray(collection, b"an orphan")
    code = (
        "import os, signal, sys\n"
        "from catalogkit import auditing_files, cli\n"
        "real = auditing_files.FileAudit._leftovers\n"
        "def stop(self, store):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    real(self, store)\n"
        "auditing_files.FileAudit._leftovers = stop\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-c", code, "-C", str(collection.path), "audit", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    said = json.loads(done.stdout)
    assert said["interrupted"] and not said["complete"]
    assert [one["code"] for one in said["findings"]] == ["A102"]


def test_inside_a_running_event_loop(stock: Callable[..., Collection]) -> None:
    """As in a notebook: an audit works where a loop is running already."""
    import asyncio

    collection = stock()

    async def cell() -> bool:
        return audit(collection, 1.0).clean

    assert asyncio.run(cell())


def test_as_of_is_the_time_of_the_checks(stock: Callable[..., Collection]) -> None:
    """The time that was given is the report's and the ledger's; what is later than it, and was, is no future."""
    collection = stock()
    when = collection.now() - timedelta(minutes=30)
    report = audit(collection, 1.0, as_of=when)
    assert report.as_of == when and report.clean
    assert set(collection.frame("checks")["checked_at"]) == {when}
    with pytest.raises(InvalidInput, match="time zone"):
        audit(collection, as_of=when.replace(tzinfo=None))

"""The nightly round: every step in order, nothing applied unasked, nothing hidden by what fails, never two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.collection import Collection, open_collection
from catalogkit.config import CONFIG_NAME
from catalogkit.errors import MaintenanceRuns
from catalogkit.maintaining import LOCK, in_words, maintain
from catalogkit.plan import Plan
from catalogkit.planning import approve, plan_forget, plan_gc
from catalogkit.policies.maintain import STEPS
from tests.conftest import Clock, hurry
from tests.plans.scene import forget, path_of, put
from tests.test_cli import answer, run

if TYPE_CHECKING:
    from collections.abc import Callable

NO_REPORTS = "[maintain]\nreports = []\n"


@pytest.fixture
def given(make_collection: Callable[..., Collection], clock: Clock) -> Callable[..., Collection]:
    """A collection with three documents and some settings; two of them have equal bytes, one in garbage."""

    def make(settings: str = NO_REPORTS) -> Collection:
        clock.now = datetime.now(UTC) - timedelta(days=1)  # an audit minds files that are later than its clock
        made = make_collection("cas")
        for name, content in {"a": b"same", "b": b"same", "c": b"other", "old": b"unloved"}.items():
            record = put(made, name, content)
        forget(made, record)
        clock.advance(days=1)
        path = made.path
        made.close()
        with (path / CONFIG_NAME).open("a") as file:
            file.write(settings)
        return hurry(open_collection(path, clock=clock))

    return make


def outcomes(result: Any) -> dict[str, str]:
    return {name: told["outcome"] for name, told in result.steps.items()}


def test_a_round_proves_keeps_and_plans(given: Callable[..., Collection]) -> None:
    """Every step has a section, in order; garbage becomes a plan that waits, and nothing is applied."""
    collection = given()
    result = maintain(collection)
    assert list(result.steps) == list(STEPS)
    expected = dict.fromkeys(STEPS, "done") | {"backup": "skipped", "tier": "skipped", "gc": "waits"}
    assert outcomes(result) == expected
    assert result.steps["verify"]["ok"] == 3  # copies of two contents that are needed, and one that is not
    assert result.steps["snapshot"]["label"] == f"nightly-{collection.now():%Y-%m-%d}"
    [wait] = result.waits
    assert wait["step"] == "gc" and Plan.load(wait["path"]).units == 1
    assert collection.frame("blobs").filter(state="condemned").is_empty()
    assert [row.kind for row in collection.catalog.plans()] == ["forget"]


def test_the_same_question_is_not_asked_twice(given: Callable[..., Collection], clock: Clock) -> None:
    """While a plan with the same steps waits, the next night points to it; once it expired, a new one is made."""
    collection = given()
    first = maintain(collection).waits[0]["path"]
    clock.advance(days=1)
    again = maintain(collection)
    assert again.waits[0]["path"] == first and not again.steps["gc"]["new"]
    assert len(list((collection.path / "plans").iterdir())) == 1
    clock.advance(days=8)
    later = maintain(collection)
    assert later.waits[0]["path"] != first and later.steps["gc"]["new"]
    clock.advance(days=40)
    assert maintain(collection).steps["tidy"]["plans"] == 2
    assert not Path(first).exists()


def test_nothing_waits_when_nothing_is_to_do(given: Callable[..., Collection]) -> None:
    """Without garbage there is no plan, no folder of plans, and nothing waits."""
    collection = given("[maintain]\nreports = []\nskip = ['gc']\n")
    result = maintain(collection)
    assert result.waits == [] and result.failed == [] and not result.interrupted
    assert result.steps["gc"] == {"outcome": "skipped", "seconds": 0.0, "why": "the settings skip it"}
    assert not (collection.path / "plans").exists()


def test_findings_wait_for_a_person(given: Callable[..., Collection]) -> None:
    """A copy that rotted is a finding with its place; the other steps are done."""
    collection = given("[maintain]\nreports = []\nskip = ['gc']\n")
    rotten = path_of(collection, b"other")
    rotten.chmod(0o644)
    rotten.write_bytes(b"0ther")
    result = maintain(collection)
    assert outcomes(result)["verify"] == outcomes(result)["audit"] == "waits"
    assert {wait["path"] for wait in result.waits} == {str(rotten)}
    assert result.waits[0]["what"].startswith("corrupt")
    assert outcomes(result)["snapshot"] == "done"


def test_kinds_that_the_settings_name_are_applied(given: Callable[..., Collection]) -> None:
    """`apply = ["gc"]` condemns garbage under the round's own name, and leaves nothing to a person."""
    collection = given("[maintain]\nreports = []\napply = ['gc']\n")
    result = maintain(collection)
    assert result.waits == []
    assert result.steps["gc"]["applied"] == {"done": 1, "skipped": 0, "failed": 0, "waiting": 0, "bytes_freed": 0}
    assert collection.frame("blobs").filter(state="condemned").height == 1
    [approval] = [json.loads(path.read_text()) for path in (collection.path / "plans").glob("gc-*/approval.json")]
    assert approval["approved_by"] == "catalogkit maintain"


def test_bytes_go_only_where_purge_is_named(given: Callable[..., Collection], clock: Clock) -> None:
    """After the grace a purge is planned and waits; no setting but `apply = ["purge"]` removes bytes."""
    collection = given("[maintain]\nreports = []\napply = ['gc', 'dedup', 'retention']\nskip = ['snapshot']\n")
    place = path_of(collection, b"unloved")
    maintain(collection)
    clock.advance(days=15)
    result = maintain(collection)
    assert [wait["step"] for wait in result.waits] == ["purge"] and place.exists()


def test_what_the_brakes_hold_back_waits(given: Callable[..., Collection], clock: Clock) -> None:
    """A plan that may be applied, but is too much at once, is left as a draft for a person, who is asked once."""
    collection = given(
        "[maintain]\nreports = []\napply = ['retention']\nskip = ['gc', 'snapshot', 'audit']\n"
        "[retention]\nage_days = 10\n"
    )
    clock.advance(days=60)
    [wait] = maintain(collection).waits
    assert "more than the" in wait["what"] and wait["step"] == "retention"
    assert sorted(path.name for path in Path(wait["path"]).iterdir()) == ["plan.json", "plan.parquet"]
    assert collection.frame("documents").height == 3
    clock.advance(days=1)
    assert [one["path"] for one in maintain(collection).waits] == [wait["path"]]


def test_an_approved_plan_is_its_approvers(given: Callable[..., Collection]) -> None:
    """What somebody approved in part is neither approved anew nor applied by a round that may apply its kind."""
    collection = given()
    home = Path(maintain(collection).waits[0]["path"])
    approve(home, "", exclude=[0], approved_by="ada", as_of=collection.now())
    path, clock = collection.path, collection.clock
    collection.close()
    (path / CONFIG_NAME).write_text(
        (path / CONFIG_NAME).read_text().replace("reports = []", "apply = ['gc']\nreports = []")
    )
    with open_collection(path, clock=clock) as again:
        [wait] = maintain(again).waits
    assert wait["path"] == str(home) and "approved and not applied" in wait["what"]
    assert json.loads((home / "approval.json").read_text())["approved_by"] == "ada"


def test_a_step_that_fails_hides_no_other(given: Callable[..., Collection], tmp_path: Path) -> None:
    """A destination that is a file and a report that is not there fail; every other step is done, and told."""
    (tmp_path / "file").write_text("")
    collection = given("[maintain]\nreports = ['nonesuch']\n[backup]\ndestination = '../file'\n")
    result = maintain(collection)
    assert result.failed == ["backup", "reports"]
    assert "nonesuch" in result.steps["reports"]["error"] and result.steps["backup"]["error"]
    assert outcomes(result)["gc"] == "waits" and outcomes(result)["tidy"] == "done"


def test_reports_that_nobody_named_are_skipped_where_they_cannot_be_made(
    given: Callable[[str], Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A light install ends well, and says what is missing."""
    monkeypatch.setitem(sys.modules, "papermill", None)
    told = maintain(given("[maintain]\nskip = ['gc']\n"))
    assert told.failed == [] and told.steps["reports"]["outcome"] == "skipped"
    assert "papermill: pip install 'catalogkit[report]'" in told.steps["reports"]["why"]


def test_named_reports_that_cannot_be_made_are_a_failure(
    given: Callable[[str], Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "papermill", None)
    told = maintain(given("[maintain]\nreports = ['storage_overview']\nskip = ['gc']\n"))
    assert told.failed == ["reports"]
    assert "pip install" in told.steps["reports"]["error"]


def test_a_backup_is_made_where_the_settings_say(given: Callable[..., Collection], tmp_path: Path) -> None:
    """With a destination the round backs up and thins by the rules of `[backup.keep]`."""
    collection = given(
        "[maintain]\nreports = []\n[backup]\ndestination = '../backups'\n"
        "[backup.keep]\nlast = 1\ndaily = 0\nweekly = 0\nmonthly = 0\n"
    )
    first = maintain(collection).steps["backup"]
    assert first["record_count"] == 3 and Path(first["path"]).is_dir()
    collection.clock.advance(days=1)  # type: ignore[attr-defined]
    assert maintain(collection).steps["backup"]["removed"] == [first["name"]]


def test_the_budget_is_kept(given: Callable[..., Collection]) -> None:
    """Bytes run out after the first copies; the rest is told as unchecked, and is no finding."""
    collection = given("[maintain]\nreports = []\nskip = ['audit', 'gc']\n[maintain.verify]\nmax_bytes = '1B'\n")
    told = maintain(collection).steps["verify"]
    assert told["outcome"] == "done" and told["checked"] < 3 and sum(told["unchecked"].values()) > 0


def test_a_stop_ends_after_a_whole_step(given: Callable[..., Collection]) -> None:
    """What was done is told, what was not begun is interrupted; the next round does the rest."""
    collection, stop = given(), threading.Event()
    result = maintain(collection, stop=stop, on_step=lambda name: stop.set() if name == "gc" else None)
    assert result.interrupted
    assert outcomes(result)["retention"] == "done"
    assert {outcomes(result)[name] for name in ("gc", "dedup", "purge", "reports", "tidy")} == {"interrupted"}
    again = maintain(collection)
    assert not again.interrupted and again.steps["verify"]["checked"] == 0  # all was checked before the stop
    assert again.steps["snapshot"]["why"] == "taken already"


def test_an_interrupt_is_not_swallowed(given: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C inside a step ends that step and all that follow."""
    from catalogkit import planning

    def pressed(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(planning, "plan_gc", pressed)
    result = maintain(given())
    assert outcomes(result)["gc"] == outcomes(result)["tidy"] == "interrupted"


HOLDER = """
import sys, time
from catalogkit import maintaining, open
with open(sys.argv[1]) as c, maintaining._alone(c.path / maintaining.LOCK, c.now()):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_rounds_never_overlap_and_the_dead_hold_nothing(given: Callable[..., Collection]) -> None:
    """A second round is told who holds the lock, and since when; when the holder is killed, the next one goes on."""
    collection = given()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(collection.path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(MaintenanceRuns, match=rf"process {other.pid} of .* since 20\d\d-.*nothing was done"):
            maintain(collection)
        told = answer("-C", collection.path, "maintain", code=1)
        assert told["kind"] == "MaintenanceRuns" and str(other.pid) in told["error"]
        assert not list_labels(collection)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    assert "gc" in {wait["step"] for wait in maintain(collection).waits}
    assert (collection.path / LOCK).read_text() == ""


def test_a_user_without_a_name(given: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container that runs as any number, which the system has no name for, a round is done all the same."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54321)
    collection = given()
    assert maintain(collection).failed == []
    assert plan_gc(collection).head.author == "uid 54321"


def list_labels(collection: Collection) -> list[str]:
    return [moment.name for moment in collection.catalog.moments("snapshot", as_of=collection.now())]


# -- the command ---------------------------------------------------------------------------------------------------


def configured(collection: Collection) -> Path:
    collection.close()
    return collection.path


def test_the_command_says_what_waits(given: Callable[..., Collection]) -> None:
    """Exit code 2 and the plan's path, in words and as one JSON object; 0 where nothing waits."""
    collection = given()
    home = configured(collection)
    told = answer("-C", home, "maintain", code=2)
    assert set(told["steps"]) == set(STEPS) and not told["failed"]
    path = told["waits"][0]["path"]
    said = run("-C", home, "maintain", code=2).stdout
    assert "Waiting for a person" in said and path in said
    run("-C", home, "approve", path)
    run("-C", home, "apply", path)
    assert answer("-C", home, "maintain")["waits"] == []


def test_a_step_is_one_line_with_all_it_found_and_did() -> None:
    """All findings are counted, not those that are listed; of what was applied, the steps that were done."""
    told = {"outcome": "done", "findings": [{}] * 20, "all_findings": 134, "units": 8,
            "applied": {"done": 7, "skipped": 1, "failed": 0}}  # fmt: skip
    assert in_words(told) == "done, findings 134, units 8, applied 7"
    assert in_words({"outcome": "waits", "units": 8, "applied": None}) == "waits, units 8"


def test_the_command_ends_with_1_where_a_step_fails(given: Callable[..., Collection]) -> None:
    """What waits is told beside what failed."""
    told = answer("-C", configured(given("[maintain]\nreports = ['nonesuch']\n")), "maintain", code=1)
    assert told["failed"] == ["reports"] and told["waits"]


def test_wrong_settings_change_nothing(given: Callable[..., Collection]) -> None:
    """A misspelt step is an error that names it, before anything is done."""
    home = given().path
    (home / CONFIG_NAME).write_text((home / CONFIG_NAME).read_text() + "skip = ['verfy']\n")
    assert "verfy" in answer("-C", home, "maintain", code=1)["error"]


def test_ctrl_c_ends_with_130(given: Callable[..., Collection]) -> None:
    """A signal while a report runs ends the round with 130, and the next one is whole."""
    collection = given("[maintain]\nreports = ['storage_overview', 'verification_coverage']\nskip = ['gc']\n")
    home = configured(collection)
    child = subprocess.Popen(
        [sys.executable, "-m", "catalogkit", "-C", str(home), "maintain", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not list((home / "reports").glob("*/*.ipynb")) and time.monotonic() < until:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 130
    told = json.loads(said)
    assert told["interrupted"] and told["steps"]["tidy"]["outcome"] == "interrupted"


def test_a_report_of_long_ago_goes_the_newest_stays(given: Callable[..., Collection], clock: Clock) -> None:
    """Runs older than the settings allow are removed, but for the newest of each report."""
    collection = given("[maintain]\nreports = []\nskip = ['gc']\n[maintain.tidy]\nreports = '10d'\n")
    folder = collection.path / "reports" / "some"
    folder.mkdir(parents=True)
    for day in (1, 5, 9):
        for kind in ("ipynb", "html", "json"):
            (folder / f"2025010{day}T000000Z-abc.{kind}").write_text("{}")
    assert maintain(collection).steps["tidy"]["reports"] == 2
    assert sorted(path.name[:8] for path in folder.iterdir()) == ["20250109"] * 3
    assert clock.now - timedelta(days=10) > collection.now() - timedelta(days=400)


def test_a_plan_made_by_hand_is_left_alone(given: Callable[..., Collection]) -> None:
    """The round neither removes nor applies plans of others, whatever their kind."""
    collection = given("[maintain]\nreports = []\napply = ['gc', 'retention', 'dedup', 'purge']\n")
    home = plan_forget(collection, [1]).save(collection.path / "plans")
    maintain(collection)
    assert Plan.load(home).units == 1 and collection.frame("documents").height == 3

"""The commands: what a person sees, what a machine gets, how they end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit import cli
from catalogkit.config import parse_config
from catalogkit.errors import InvalidInput
from catalogkit.planners.thin import Keep
from tests.backups.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable

Run = Any


@pytest.fixture
def run(scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Run a command on the scene's collection; its exit code, and its JSON or text."""
    scene.close()

    def call(*words: object) -> tuple[int, Any]:
        monkeypatch.setattr("sys.argv", ["catalogkit", "-C", str(scene.home), *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out = capsys.readouterr().out
        return int(end.value.code or 0), json.loads(out) if "--json" in words else out

    return call


def test_a_night_and_a_morning(scene: Scene, run: Callable[..., Run]) -> None:
    """Back up, drill, lose the catalog, look, recover: with the exit codes a script can go by."""
    code, made = run("backup", scene.dest, "--json")
    assert code == 0 and made["record_count"] == 3
    code, found = run("drill", scene.dest, "--json")
    assert code == 0 and found["ok"] is True
    code, listed = run("backups", scene.dest, "--json")
    (row,) = listed["backups"]
    assert code == 0 and row["proved"] is True and row["held_bytes"] == 0 and "last 7" in row["kept_by"]
    for path in scene.home.glob("catalog.sqlite*"):
        path.unlink()
    assert run("status")[0] == 1
    assert run("backups", scene.dest)[0] == 0  # also when all else is lost
    code, told = run("recover", scene.dest, "--json")
    assert code == 2 and told["was"] == "lost" and told["only_in_the_backup"] == 3 and not scene.catalog_file.exists()
    code, told = run("recover", made["path"], "--apply", "--json")
    assert code == 0 and told["applied"] is True
    assert run("status", "--json")[1]["documents"] == 3


def test_what_a_person_sees(scene: Scene, run: Callable[..., Run]) -> None:
    """What would change, in lines that begin with a sign; what is kept, and why."""
    run("backup", scene.dest)
    scene.reopen()
    scene.take("later")
    scene.forget("a")
    scene.close()
    code, text = run("recover", scene.dest)
    assert code == 2
    assert "  + a  " in text and "  - later  " in text and "only in the backup" in text
    code, text = run("backups", scene.dest)
    assert code == 0 and "last 7, daily" in text and "never" in text


def test_the_settings_have_a_place_and_rules(scene: Scene, run: Callable[..., Run]) -> None:
    """With a destination in the settings, none is named; thinning goes by the rules there, `status` tells of proofs."""
    code, _ = run("backup")
    assert code == 1
    settings = scene.home / "catalogkit.toml"
    settings.write_text(
        settings.read_text() + '\n[backup]\ndestination = "../backups"\nkeep = {last=1, daily=0, weekly=0, monthly=0}\n'
    )
    code, first = run("backup", "--json")
    assert code == 0
    code, second = run("backup", "--thin", "--json")
    assert code == 0 and second["removed"] == [first["name"]]
    assert run("drill")[0] == 0
    code, status = run("status", "--json")
    assert status["last_backup"] == second["as_of"] and status["last_proved_backup"] is not None
    code, listed = run("backups", "--thin", "--dry-run", "--json")
    assert code == 0 and listed["removed"] == [] and len(listed["backups"]) == 1


def test_settings_are_read_strictly() -> None:
    """A rule that is misspelt or negative is an error; without any there are good ones."""
    assert parse_config({}).backup.rules == Keep()
    assert parse_config({"backup": {"keep": {"last": 1}}}).backup.rules == Keep(last=1)
    for keep in ({"lsat": 1}, {"daily": -1}, {"weekly": "x"}):
        with pytest.raises(InvalidInput):
            parse_config({"backup": {"keep": keep}})


def test_something_is_wrong(scene: Scene, run: Callable[..., Run]) -> None:
    """A damaged backup, a drill that failed or could read nothing, and missing bytes end with 2, and say what."""
    _, made = run("backup", scene.dest, "--json")
    (scene.home / "store").rename(scene.home / "away")
    code, text = run("drill", scene.dest, "--json")
    assert code == 2 and text["unreachable"] == 3
    (scene.home / "away").rename(scene.home / "store")
    (scene.home / "store" / "cas").rename(scene.top / "gone")
    assert run("drill", scene.dest, "--json")[0] == 2
    code, text = run("recover", scene.dest)
    assert code == 2 and "not in the backup either" in text and "(3 blobs)" in text
    code, text = run("backup", scene.dest, "--with-bytes", "--json")
    assert code == 2 and text["lacking"] == 3
    path = scene.dest / made["name"] / "manifest.json"
    path.chmod(0o644)
    path.write_text("{}")
    code, text = run("backups", scene.dest)
    assert code == 2 and "DAMAGED" in text
    assert run("recover", scene.dest / made["name"], "--json")[0] == 1


def test_rebuild(scene: Scene, run: Callable[..., Run]) -> None:
    """It shows first and does then."""
    for path in scene.home.glob("catalog.sqlite*"):
        path.unlink()
    code, found = run("rebuild", "--json")
    assert code == 2 and found["documents"] == 3 and not scene.catalog_file.exists()
    code, found = run("rebuild", "--apply", "--json")
    assert code == 0 and found["applied"] is True
    assert run("status", "--json")[1]["documents"] == 3

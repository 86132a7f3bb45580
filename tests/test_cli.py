"""The command line as a person and a script meet it: real processes, exit codes, one JSON object."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.forked import forker

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "CATALOGKIT_HOME"}


def python(*args: str, cwd: Path | None, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start Python anew, and the command in it."""
    command = [sys.executable, "-m", "catalogkit", *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, check=False)


def forked(*args: str, cwd: Path | None, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Fork a process that has loaded the package, and run the command in it."""
    return forker().run(*args, cwd=cwd, env=env)


start = forked if sys.platform == "linux" else python


@pytest.fixture
def started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of this test in a Python of its own, as everybody has it."""
    monkeypatch.setattr(sys.modules[__name__], "start", python)


def run(*args: object, code: int = 0, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command and insist on its exit code."""
    done = start(*map(str, args), cwd=cwd, env={**ENVIRONMENT, **env})
    assert done.returncode == code, (done.args, done.returncode, done.stdout, done.stderr)
    return done


def answer(*args: object, code: int = 0, **env: str) -> Any:
    """The one JSON object on stdout."""
    lines = run(*args, "--json", code=code, **env).stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    """Four files, two of them equal."""
    folder = tmp_path / "pile"
    folder.mkdir()
    for name, text in {"a.html": "<html>a</html>", "b.html": "<html>a</html>", "c.json": '{"c": 1}', "d": "d"}.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def home(tmp_path: Path, pile: Path) -> Path:
    """A collection that holds the pile."""
    home = tmp_path / "home"
    run("init", home)
    run("-C", home, "ingest", pile, "--resolver", "test")
    return home


def test_the_whole_way(tmp_path: Path, pile: Path, started_anew: None) -> None:
    """init, ingest, status, verify, find and show say what DESIGN promises, under the promised keys."""
    home = tmp_path / "home"
    made = answer("init", home)
    assert made["layout"] == "cas"
    took = answer("-C", home, "ingest", pile, "--resolver", "test", "--run-id", "r1")
    assert {k: took[k] for k in ("ingested", "skipped", "failed", "new_blobs")} == {
        "ingested": 4, "skipped": 0, "failed": 0, "new_blobs": 3,
    }  # fmt: skip
    assert took["bytes"] == sum(file.stat().st_size for file in pile.iterdir())
    status = answer("-C", home, "status")
    assert (status["documents"], status["blobs"], status["locations"]) == (4, 3, 3)
    assert status["logical_bytes"] - status["physical_bytes"] == (pile / "a.html").stat().st_size
    assert status["verified_share"] == 0
    checked = answer("-C", home, "verify")
    assert {k: checked[k] for k in ("ok", "corrupt", "missing", "unknown")} == {
        "ok": 3, "corrupt": 0, "missing": 0, "unknown": 0,
    }  # fmt: skip
    assert checked["bytes"] == status["physical_bytes"]
    assert answer("-C", home, "status")["verified_share"] == 1
    found = answer("-C", home, "find", "--content-type", "text/html")["documents"]
    assert {document["artifact_id"] for document in found} == {"a.html", "b.html"}
    assert len({document["sha256"] for document in found}) == 1
    assert all(Path(document["location"]).read_bytes() == b"<html>a</html>" for document in found)
    shown = answer("-C", home, "show", found[0]["id"])
    assert shown["document"]["resolver"] == "test"
    assert shown["versions"][0]["valid_to"] is None
    assert shown["locations"][0]["outcome"] == "ok"


def test_again_changes_nothing(home: Path, pile: Path) -> None:
    """A second ingest of unchanged files skips them all."""
    again = answer("-C", home, "ingest", pile, "--resolver", "test")
    assert (again["ingested"], again["skipped"], again["reasons"]) == (0, 4, {"unchanged": 4})


def test_findings_are_exit_code_2(home: Path) -> None:
    """A bad copy is for a person to look at: named on stderr, counted on stdout, exit code 2."""
    place = Path(answer("-C", home, "find", "--artifact-id", "c.json")["documents"][0]["location"])
    place.chmod(0o644)
    place.write_text('{"c": 2}')
    done = run("-C", home, "verify", "--json", code=2)
    assert json.loads(done.stdout)["corrupt"] == 1
    assert str(place) in done.stderr
    place.unlink()
    assert answer("-C", home, "verify", "--fail-fast", code=2)["missing"] == 1


def test_a_failing_file_is_reported_and_the_rest_goes_on(home: Path, pile: Path) -> None:
    """A manifest row without its file fails alone; the exit code says that somebody should look."""
    rows = [{"path": name, "artifact_id": name, "source_url": f"https://x.example/{name}"} for name in ("d", "gone")]
    manifest = pile.parent / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row | {"path": f"pile/{row['path']}"}) + "\n" for row in rows))
    took = answer("-C", home, "ingest", "--manifest", manifest, code=2)
    assert (took["ingested"], took["failed"]) == (1, 1)
    assert "gone" in took["failures"][0]["path"]


@pytest.mark.parametrize(
    "args",
    [
        ("-C", "{missing}", "status"),
        ("status", "--nonsense"),
        ("nonsense",),
        ("-C", "{home}", "show", "999"),
        ("-C", "{home}", "show", "many"),
        ("-C", "{home}", "find", "--sha256", "ABC"),
        ("-C", "{home}", "verify", "--max-age", "30"),
        ("-C", "{home}", "ingest", "{missing}"),
        ("-C", "{home}", "ingest"),
        ("-C", "{home}", "ingest", "{home}", "--mode", "steal"),
        ("init", "{home}"),
        ("init", "{missing}", "--layout", "heap"),
        ("init", "{missing}", "--catalog", "mysql://x"),
        ("init", "{missing}", "--template", "{nobody}"),
        ("-C", "{home}", "report", "nonsense"),
        ("-C", "{home}", "report", "dedup_analytics", "-p", "top=many"),
        ("-C", "{home}", "report", "dedup_analytics", "-p", "tpo=5"),
        ("-C", "{missing}", "report", "dedup_analytics"),
    ],
)
def test_bad_input_is_one_clear_error(home: Path, tmp_path: Path, args: tuple[str, ...]) -> None:
    """Exit code 1, one JSON object that says what is wrong, no traceback, nothing made."""
    missing = tmp_path / "missing"
    filled = [arg.replace("{home}", str(home)).replace("{missing}", str(missing)) for arg in args]
    done = run(*filled, "--json", code=1)
    assert json.loads(done.stdout)["error"]
    assert "Traceback" not in done.stderr
    assert not missing.exists()


def test_the_environment_names_the_collection(home: Path, tmp_path: Path) -> None:
    """-C, else $CATALOGKIT_HOME, else the current folder."""
    assert answer("status", CATALOGKIT_HOME=str(home))["documents"] == 4
    assert json.loads(run("status", "--json", cwd=home).stdout)["documents"] == 4
    run("-C", tmp_path, "status", code=1, CATALOGKIT_HOME=str(home))


def test_json_may_come_first_or_last(home: Path) -> None:
    """The flag works before the command, too."""
    assert json.loads(run("--json", "-C", home, "status").stdout)["documents"] == 4


def test_ctrl_c_is_130_and_resumable(tmp_path: Path) -> None:
    """An interrupted ingest ends with code 130 and its counts; the same command finishes the rest."""
    pile, home = tmp_path / "pile", tmp_path / "home"
    pile.mkdir()
    for number in range(6000):
        (pile / f"{number:05d}").write_text(str(number))
    run("init", home)
    child = subprocess.Popen(
        [sys.executable, "-m", "catalogkit", "-C", str(home), "ingest", str(pile), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    cas = home / "store" / "cas"
    while not cas.exists() and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    first = json.loads(out)
    assert first["interrupted"] is True
    assert first["ingested"] < 6000
    rest = answer("-C", home, "ingest", pile)
    assert rest["ingested"] + rest["skipped"] == 6000
    status = answer("-C", home, "status")
    assert (status["documents"], status["in_flight"]) == (6000, 0)
    assert not list((home / "store" / ".catalogkit" / "tmp").iterdir())


def test_files_from_a_list(home: Path, pile: Path, tmp_path: Path) -> None:
    """A list of files is taken in like files on the command line."""
    (pile / "new one.txt").write_text("new")
    listed = tmp_path / "list"
    listed.write_text(f"{pile / 'new one.txt'}\n{pile / 'd'}\n")
    took = answer("-C", home, "ingest", "--files-from", listed, "--resolver", "test")
    assert (took["ingested"], took["skipped"]) == (1, 1)


def test_a_list_may_have_any_name_in_it(home: Path, pile: Path) -> None:
    """Also on stdin: names that are not UTF-8, and names with what some take for the end of a line."""
    names = [b"caf\xe9", "line\u2028end\x0cfeed".encode()]
    for name in names:
        Path(os.fsdecode(bytes(pile) + b"/" + name)).write_bytes(name)
    listed = b"".join(bytes(pile) + b"/" + name + b"\n" for name in names)
    command = [sys.executable, "-m", "catalogkit", "-C", str(home), "ingest", "--files-from", "-", "--json"]
    done = subprocess.run(command, input=listed, capture_output=True, env=ENVIRONMENT, check=True)
    assert json.loads(done.stdout)["ingested"] == 2


def test_help_names_every_command() -> None:
    """Help lists the commands with what they do, and the exit codes."""
    text = run("--help").stdout
    for word in ("init", "ingest", "verify", "status", "find", "show", "report", "demo", "130"):
        assert word in text

"""`catalogkit plan dedup`: real processes, exit codes, one JSON object, and words for people."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.test_cli import answer, run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Readable paths: three equal files of 3 kB and one of another, each a file of its own in the store."""
    pile, home = tmp_path / "pile", tmp_path / "home"
    pile.mkdir()
    for name, text in {"a": "same", "b": "same", "c": "same", "d": "else"}.items():
        (pile / f"{name}.txt").write_text(text * 750)
    run("init", home, "--layout", "policy")
    run("-C", home, "ingest", pile, "--resolver", "core")
    for path in [path for path in (home / "store" / "docs").rglob("*") if path.is_file()]:
        shutil.copy2(path, f"{path}-copy")
        Path(f"{path}-copy").replace(path)
    return home


def test_plan_and_its_figures(home: Path) -> None:
    """What is worth it waits for somebody; the terms of the cost are told, and add up."""
    said = answer("-C", home, "plan", "dedup", "--min-file-size", "1kB", code=2)
    assert (said["kind"], said["units"], said["bytes_freed"], said["how"]) == ("dedup", 1, 6000, "link")
    assert (said["freed_bytes"], said["steps"], said["read_bytes"]) == (6000, 2, 12_000)
    assert Path(said["path"], "plan.json").is_file()
    text = run("-C", home, "plan", "dedup", "--min-file-size", "1kB", code=2)
    assert "12,000 B" in text.stdout and "equal bytes that are worth sharing (worthwhile)" in text.stdout
    assert "catalogkit approve" in text.stderr


def test_nothing_worth_it(home: Path) -> None:
    """By the settings nothing is: the reason is told, and nobody has to look."""
    said = answer("-C", home, "plan", "dedup")
    assert (said["units"], [row["reason"] for row in said["reasons"]]) == (0, ["too-small"])
    done = run("-C", home, "plan", "dedup", "--min-file-size", "0", "--resolver", "core", "--cost-threshold", "1e5")
    assert "(too-costly)" in done.stdout and "Nothing is worth sharing" in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("--resolver", "coer"),
        ("--min-file-size", "small"),
        ("--how", "rsync"),
        ("--max-age-days", "-1"),
        ("--cost-threshold", "nan"),
    ],
)
def test_bad_input_is_one_clear_error(home: Path, args: tuple[str, ...]) -> None:
    """Exit code 1, an error in words, and no plan."""
    assert answer("-C", home, "plan", "dedup", *args, code=1)["error"]
    assert not list(home.glob("plans/*"))


def test_settings_are_strict(home: Path) -> None:
    """A misspelt setting stops every command, with its name."""
    with (home / "catalogkit.toml").open("a") as file:
        file.write("\n[dedup]\nmin_size = 5\n")
    assert "min_size" in answer("-C", home, "plan", "dedup", code=1)["error"]

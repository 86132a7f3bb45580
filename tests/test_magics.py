"""The magics in a real IPython shell, and in a notebook under papermill."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import polars as pl
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from catalogkit.collection import Collection
from catalogkit.errors import CatalogKitError
from catalogkit.magics import USAGE
from tests.plans.scene import put

ROOT = Path(__file__).parents[1]


@pytest.fixture
def home(make_collection: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection at $CATALOGKIT_HOME: three documents of two resolvers."""
    collection = make_collection("cas")
    for name, resolver in {"a": "arxiv", "b": "arxiv", "c": "core"}.items():
        put(collection, name, name.encode(), resolver=resolver)
    monkeypatch.setenv("CATALOGKIT_HOME", str(collection.path))
    collection.close()
    return collection.path


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell that loaded the extension as a person does."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance()
    made.run_line_magic("load_ext", "catalogkit")
    yield made
    made.run_line_magic("reset", "-f")
    made.history_manager.end_session()
    made.atexit_operations()
    atexit.unregister(made.atexit_operations)  # once is enough
    InteractiveShell.clear_instance()


def say(shell: InteractiveShell, text: str) -> Any:
    """Run a cell; give back what it answered."""
    done = shell.run_cell(text, store_history=True)
    done.raise_error()
    return done.result


def test_status_is_a_frame(home: Path, shell: InteractiveShell) -> None:
    """One row, with the totals."""
    frame = say(shell, "%catalog status")
    assert isinstance(frame, pl.DataFrame) and frame.height == 1
    assert frame["documents"].item() == 3 and frame["verified_share_30d"].item() is not None


def test_find_takes_filters(home: Path, shell: InteractiveShell) -> None:
    """Pairs of name and value, and a limit."""
    assert say(shell, "%catalog find resolver=arxiv")["artifact_id"].to_list() == ["a", "b"]
    assert say(shell, "%catalog find limit=1").height == 1
    assert say(shell, "%catalog find artifact_id='no such'").is_empty()


def test_why_says_sentences(home: Path, shell: InteractiveShell) -> None:
    """The same as `catalogkit why`."""
    assert "kept" in str(say(shell, "%catalog why 1")) or "document" in str(say(shell, "%catalog why 1"))


def test_sql_in_a_cell_and_in_a_line(home: Path, shell: InteractiveShell) -> None:
    """A cell's frame can be kept under a name; `$name` is the value of a variable, whatever it holds."""
    say(shell, "wanted = \"core' OR '1'='1\"\nreal = 'core'")
    counted = say(
        shell, "%%catalog sql per_resolver\nSELECT resolver, count(*) AS n FROM documents GROUP BY 1 ORDER BY 1"
    )
    assert counted.rows() == [("arxiv", 2), ("core", 1)]
    assert shell.user_ns["per_resolver"] is counted
    query = "%catalog sql SELECT count(*) AS n FROM documents WHERE resolver = ${}"
    assert say(shell, query.format("real"))["n"].item() == 1
    assert say(shell, query.format("wanted"))["n"].item() == 0


def test_use_names_another_collection(
    home: Path, shell: InteractiveShell, make_collection: Callable[..., Collection]
) -> None:
    """By folder, or by the variable that holds it open, which stays open."""
    other = make_collection("cas", name="other")
    say(shell, f"%catalog use {other.path}")
    assert say(shell, "%catalog status")["documents"].item() == 0
    say(shell, f"%catalog use {home}")
    assert say(shell, "%catalog status")["documents"].item() == 3
    shell.user_ns["c"] = other
    say(shell, "%catalog use c")
    assert say(shell, "%catalog status")["documents"].item() == 0
    assert other.catalog.totals()["documents"] == 0


@pytest.mark.parametrize(
    "line, words",
    [
        ("%catalog", "takes one of"),
        ("%catalog stauts", "takes one of"),
        ("%catalog find resolvr=arxiv", "find takes artifact_id="),
        ("%catalog find limit=x", "invalid literal"),
        ("%catalog why", "say of what"),
        ("%catalog use nowhere", "name another with %catalog use"),
        ("%catalog sql SELEC 1", "SELEC"),
        ("%%catalog sql two words\nSELECT 1", "no name for a variable"),
    ],
)
def test_what_goes_wrong_is_said_without_a_traceback(
    home: Path, shell: InteractiveShell, capsys: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    """The cell fails, so that papermill stops; a person sees words and no traceback."""
    done = shell.run_cell(line)
    assert isinstance(done.error_in_exec, CatalogKitError)
    said = capsys.readouterr()
    shown = (said.out + said.err).strip()
    assert words in shown and "Traceback" not in shown and len(shown.splitlines()) == 1


def test_words_are_completed(home: Path, shell: InteractiveShell) -> None:
    """A verb after the magic's name, a filter after `find`."""
    assert completed(shell, "%catalog st") == {"status"}
    assert completed(shell, "%catalog ") >= set(USAGE)
    assert "resolver=" in completed(shell, "%catalog find res")


def completed(shell: InteractiveShell, line: str) -> set[str]:
    with provisionalcompleter():
        return {one.text for one in shell.Completer.completions(line, len(line))}


def test_a_notebook_with_magics_runs_under_papermill_and_nbval(home: Path, tmp_path: Path) -> None:
    """In a kernel of its own the frames are shown; a wrong word fails the run."""
    cells = ["%load_ext catalogkit", "%catalog status", "%%catalog sql found\nSELECT count(*) AS n FROM documents",
             "assert found['n'].item() == 3"]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    made.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(made, tmp_path / "magics.ipynb")
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/tests/light", "CATALOGKIT_HOME": str(home)}
    nbval = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env"]
    done = subprocess.run([*nbval, "magics.ipynb"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout
    made.cells.append(nbformat.v4.new_code_cell("%catalog stauts"))
    nbformat.write(made, tmp_path / "magics.ipynb")
    papermill = [sys.executable, "-m", "papermill", "magics.ipynb", "out.ipynb", "--no-progress-bar"]
    failed = subprocess.run(papermill, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert failed.returncode == 1 and "takes one of" in failed.stderr

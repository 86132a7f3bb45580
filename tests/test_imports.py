"""What is loaded when: a command line that needs little is quick, and heavy libraries wait until they are needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {
    "polars",
    "duckdb",
    "plotly",
    "papermill",
    "nbformat",
    "nbclient",
    "IPython",
    "ipywidgets",
    "anywidget",
    "sqlite3",
}
# Reading a notebook's schema is what makes these slow; none of them is needed to print a help.
QUICK = {
    "import catalogkit": HEAVY | {"rich", "typer", "msgspec", "asyncio", "ctypes", "subprocess", "concurrent.futures"},
    "import catalogkit; dir(catalogkit); catalogkit.__version__": HEAVY | {"rich", "typer", "msgspec"},
    "import catalogkit.cli": HEAVY,
    "import catalogkit; catalogkit.open; catalogkit.verify": HEAVY - {"sqlite3"} | {"rich", "typer", "asyncio"},
}


def loaded(code: str) -> set[str]:
    """The modules a fresh interpreter has after `code`, as its last line tells."""
    told = f"{code}\nimport sys; print(); print(*sys.modules)"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", told], env=env, capture_output=True, text=True, check=True)
    assert said.stderr == ""
    return set(said.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("code", QUICK)
def test_importing_loads_little(code: str) -> None:
    """After these lines, in a fresh interpreter, none of the heavy libraries is loaded."""
    assert not loaded(code) & QUICK[code]


HELP = """
import sys
sys.argv = ["catalogkit", *{args}]
from catalogkit.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.parametrize("args", [["--help"], ["verify", "--help"], ["report", "--help"]], ids=" ".join)
def test_help_loads_little(args: list[str]) -> None:
    """Help and version of the command line come without database, frames, plots or notebooks."""
    assert not loaded(HELP.format(args=args)) & HEAVY


def test_a_command_that_only_asks_loads_little(tmp_path: Path) -> None:
    """`status` needs the database, and none of the libraries for frames, plots and notebooks."""
    code = f"import catalogkit as ck; ck.init({str(tmp_path / 'c')!r}).close()"
    assert "sqlite3" in loaded(code)
    status = HELP.format(args=["-C", str(tmp_path / "c"), "status", "--json"])
    assert not loaded(status) & (HEAVY - {"sqlite3"})


def test_the_names_load_what_they_need() -> None:
    """The test above can see a heavy library: one is loaded where a name needs it."""
    assert "polars" in loaded("import catalogkit; catalogkit.DedupAnalytics")


def test_the_command_line_loads_papermill_without_what_reports_never_use() -> None:
    """No bucket, no cluster and no address is looked at; whoever needs these libraries later on has them."""
    lean = loaded("from catalogkit.lean import load_papermill; load_papermill()")
    assert "papermill" in lean
    unused = {"boto3", "pyarrow", "numpy", "isoduration", "rfc3986_validator"}
    assert not lean & unused
    later = "from catalogkit.lean import load_papermill; load_papermill(); import boto3, pyarrow, isoduration"
    assert loaded(later) >= {"boto3", "pyarrow", "isoduration"}
    assert loaded("import papermill") >= {"boto3", "pyarrow"}, "this test sees nothing"


def test_what_reports_ask_comes_without_arrow(tmp_path: Path) -> None:
    """Questions to the mirror, with parameters and without; a question in anybody's SQL shows that this would tell."""
    held = f"import catalogkit as ck\nwith ck.{{}}({str(tmp_path / 'c')!r}) as c: "
    assert "pyarrow" in loaded(held.format("init") + "c.sql('SELECT 1')")
    asked = (
        "figures = c.mirror.figures(as_of=c.now()); figures.totals, figures.coverage(c.now()), figures.latest_runs(3)"
    )
    assert not loaded(held.format("open") + asked) & {"pyarrow", "numpy"}

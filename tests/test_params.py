"""Parameters of notebooks: what is declared is all there is, and of the type it says, under any runner."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit.errors import InvalidInput
from catalogkit.params import Parameter, check, declared, moment, params

CELL = """\
collection: str = ""  # where it is, e.g. "a#b"
top: int = 20  # how many
share: float = 0.5
dry_run: bool = True
names: list = ["a"]
limits: dict = {}
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write(tmp_path / "report.ipynb", CELL)


def write(path: Path, source: str, tag: str = "parameters") -> Path:
    cell = {"cell_type": "code", "metadata": {"tags": [tag]}, "source": source.splitlines(keepends=True)}
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "metadata": {}, "source": "# T"}, cell]}))
    return path


def test_a_declaration_has_a_name_a_type_a_default_and_a_help(notebook: Path) -> None:
    assert declared(notebook) == [
        Parameter("collection", str, "", 'where it is, e.g. "a#b"'),
        Parameter("top", int, 20, "how many"),
        Parameter("share", float, 0.5),
        Parameter("dry_run", bool, True),
        Parameter("names", list, ["a"]),
        Parameter("limits", dict, {}),
    ]


def test_text_becomes_the_declared_type(notebook: Path) -> None:
    text = {"collection": "12", "top": "7", "share": "1", "dry_run": "False", "names": '["x", 1]', "limits": "{'a': 2}"}
    expected = {"collection": "12", "top": 7, "share": 1.0, "dry_run": False, "names": ["x", 1], "limits": {"a": 2}}
    values = check(notebook, text)
    assert values == expected
    assert {name: type(value) for name, value in values.items()} == {n: type(v) for n, v in expected.items()}


@pytest.mark.parametrize(
    "given_,message",
    [
        ({"dry_rnu": "true"}, "no parameter 'dry_rnu'; did you mean 'dry_run'"),
        ({"zzz": "1"}, r"no parameter 'zzz' \(it takes collection, top"),
        ({"top": "many"}, "'top' takes int, not 'many'"),
        ({"top": "1.5"}, "'top' takes int, not float 1.5"),
        ({"top": "true"}, "'top' takes int, not bool"),
        ({"top": True}, "'top' takes int, not bool"),
        ({"share": "true"}, "'share' takes float, not bool"),
        ({"dry_run": "1"}, "'dry_run' takes true or false"),
        ({"dry_run": 1}, "'dry_run' takes bool, not int 1"),
        ({"dry_run": "yes"}, "'dry_run' takes true or false"),
        ({"names": "a,b"}, "'names' takes list"),
        ({"limits": "[]"}, "'limits' takes dict, not list"),
        ({"limits": "{{2: 4}: 4}"}, "'limits' takes dict"),
        ({"collection": 5}, "'collection' takes str, not int 5; quote it"),
        ({"top": "__import__('os')"}, "'top' takes int"),
    ],
)
def test_an_unknown_or_mistyped_parameter_is_refused(notebook: Path, given_: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check(notebook, given_)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_at_all_passes_for_a_type_it_is_not(text: str) -> None:
    for kind in (int, float, bool, list, dict):
        try:
            value = Parameter("p", kind, None).read(text)
        except InvalidInput:
            continue
        assert type(value) is kind


@pytest.mark.parametrize(
    "source,message",
    [
        ("top: int = 'x'", "'top' takes int, not str"),
        ("when: datetime = 1", "'when' must be declared as one of"),
        ("top: int = some()", "line 1"),
        ("top: int", "line 1"),
        ("import os", "line 1"),
        ("a = b = 1", "line 1"),
        ("top: int = (", "not Python"),
        ("top: dict = {{2: 4}: 4}", "is not 'name: type"),
    ],
)
def test_a_line_that_declares_nothing_is_refused(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        declared(write(tmp_path / "n.ipynb", source))


def test_a_notebook_without_a_parameters_cell_takes_none(tmp_path: Path) -> None:
    path = write(tmp_path / "n.ipynb", "x: int = 1", tag="other")
    assert declared(path) == []
    with pytest.raises(InvalidInput, match="it takes none"):
        check(path, {"x": "1"})


def test_what_is_no_notebook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_text("{")
    with pytest.raises(InvalidInput, match="as a notebook"):
        declared(tmp_path / "n.ipynb")


# -- inside a notebook -------------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, *cells: str) -> SimpleNamespace:
    """Execute cells as a kernel would, with its history, and call params() in the last one."""
    values: dict[str, object] = {"exit": None, "open": "hidden"}
    for cell in cells:
        exec(cell, values)
    del values["__builtins__"]
    values["In"] = ["", *cells, "p = params()"]
    shell(monkeypatch, values)
    return params()


def shell(monkeypatch: pytest.MonkeyPatch, values: dict[str, object]) -> None:
    one = SimpleNamespace(user_ns=values, user_ns_hidden={"exit", "open", "In"})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: one))


def test_defaults_where_nothing_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    p = run(monkeypatch, CELL)
    assert (p.collection, p.top, p.share, p.dry_run, p.names, p.limits) == ("", 20, 0.5, True, ["a"], {})


def test_the_injected_cell_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    p = run(monkeypatch, CELL, "# Parameters\ntop = 3\nshare = 2\n")
    assert (p.top, p.share, type(p.share)) == (3, 2.0, float)


@pytest.mark.parametrize(
    "injected,message",
    [
        ("# Parameters\ndry_rnu = True\n", "no parameter 'dry_rnu'; did you mean 'dry_run'"),
        ("top = True", "'top' takes int, not bool"),
        ("dry_run = 'no'", "'dry_run' takes bool, not str"),
        ("collection = 7", "'collection' takes str"),
    ],
)
def test_a_slip_in_the_injected_cell_is_an_error(monkeypatch: pytest.MonkeyPatch, injected: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        run(monkeypatch, CELL, injected)


def test_run_again_by_hand_the_newest_declaration_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = "scratch = 1"
    p = run(monkeypatch, CELL, "p = 1", scratch, CELL.replace("20", "30"))
    assert p.top == 30
    assert not hasattr(p, "scratch")


def test_without_a_history_the_plain_values_are_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    shell(monkeypatch, {"In": [""], "top": 20, "_i": "x", "open": "x", "ck": object()})
    assert vars(params()) == {"top": 20}


def test_a_history_without_declarations_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="no cell so far declares parameters"):
        run(monkeypatch, "x = 1")


def test_outside_a_notebook_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    with pytest.raises(InvalidInput, match="running notebook"):
        params()


def test_a_moment_is_an_aware_time() -> None:
    assert moment("2026-03-01T12:00Z") == moment("2026-03-01T13:00+01:00") == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert abs((moment("") - datetime.now(UTC)).total_seconds()) < 60
    with pytest.raises(InvalidInput, match="no time zone"):
        moment("2026-03-01T12:00")
    with pytest.raises(InvalidInput, match="not an ISO time"):
        moment("yesterday")

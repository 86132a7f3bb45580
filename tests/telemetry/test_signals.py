"""The seam: what listeners hear, what they cannot break, what it costs where there are none."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit.errors import StoreFull
from catalogkit.signals import ALLOWED, OTHER, Told, allowed, listen, operation
from catalogkit.stores.contract import Asked, Examined
from catalogkit.stores.reading import examine_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.fixture
def ended() -> Iterator[list[Told]]:
    """Operations that ended, in that order."""
    told: list[Told] = []

    @contextlib.contextmanager
    def keep(one: Told) -> Iterator[None]:
        yield
        told.append(one)

    stop = listen(keep)
    yield told
    stop()
    stop()  # once more does no harm


class Report:
    ok = 0


def test_a_listener_hears_everything(ended: list[Told]) -> None:
    """Counts add up, a report is read at the end, figures replace one another, nested operations end first."""
    report = Report()
    with operation("verify") as told:
        told.tally(report, "ok")
        told.count(bytes=2)
        told.count(bytes=3)
        told.figure("share", 0.1)
        told.figure("share", 0.2)
        report.ok = 7
        with operation("query", query="find"):
            pass
    inner, outer = ended
    assert (inner.name, inner.attributes, outer.name) == ("query", {"query": "find"}, "verify")
    assert (outer.counts, outer.figures, outer.outcome) == ({"ok": 7, "bytes": 5}, {"share": 0.2}, "done")
    assert outer.seconds >= inner.seconds > 0


@pytest.mark.parametrize(
    "raised, outcome, error",
    [
        (StoreFull("/secret/place is full"), "failed", "StoreFull"),
        (PermissionError("/secret/place"), "failed", "OSError"),
        (ZeroDivisionError("/secret/place"), "failed", OTHER),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
    ],
)
def test_how_an_operation_ended_is_told(ended: list[Told], raised: BaseException, outcome: str, error: str) -> None:
    """What failed is told by its kind, with the counts so far, never by its words; it is raised all the same."""
    report = Report()
    with pytest.raises(type(raised)), operation("apply", kind="gc") as told:
        told.tally(report, "ok")
        report.ok = 3
        raise raised
    (one,) = ended
    assert (one.outcome, one.error, one.counts) == (outcome, error, {"ok": 3})


def test_a_decorated_function_is_an_operation_each_time(ended: list[Told]) -> None:
    """Also where it calls itself."""

    @operation("plan", kind="gc")
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + down(n - 1)

    assert down(2) == 2
    assert [(one.name, one.attributes) for one in ended] == [("plan", {"kind": "gc"})] * 3


@pytest.mark.parametrize("where", ["call", "enter", "exit", "hear"])
def test_a_listener_that_fails_breaks_nothing(where: str, ended: list[Told], caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, without the words of its error; operation and other listeners go on."""

    class Bad:
        def __init__(self, told: Told) -> None:
            self.fail("call")
            told.hearers.append(lambda name, values: self.fail("hear"))

        def fail(self, here: str) -> None:
            if here == where:
                raise RuntimeError("https://user:secret@collector")

        def __enter__(self) -> None:
            self.fail("enter")

        def __exit__(self, *exc: object) -> None:
            self.fail("exit")

    stop = listen(Bad)
    with caplog.at_level(logging.DEBUG), operation("verify") as told:
        told.sample("verification_ms", [1.0])
        told.count(ok=1)
    stop()
    assert [one.counts for one in ended] == [{"ok": 1}]
    assert "failed (RuntimeError)" in caplog.text
    assert "secret" not in caplog.text


def test_a_figure_that_cannot_be_found_out_breaks_nothing(ended: list[Told], caplog: pytest.LogCaptureFixture) -> None:
    """What is only told is found out where somebody listens, and an error of that is none of the operation."""
    with operation("apply", kind="gc") as told:
        told.figure("dedup_ratio", lambda: 1 / 0)
        told.figure("share", lambda: 0.5)
    assert [one.figures for one in ended] == [{"share": 0.5}]
    assert "ZeroDivisionError" in caplog.text


def test_nobody_listens_nothing_is_kept() -> None:
    """One object serves all, keeps nothing, and says that it is not worth finding anything out."""
    with operation("verify") as first, operation("audit") as second:
        assert first is second
        assert not first.heard
        first.count(ok=1)
        first.tally(object(), "nothing")
        first.figure("share", lambda: 1 / 0)
        first.sample("verification_ms", [1.0])
    assert (first.counts, first.figures) == ({}, {})


@given(st.dictionaries(st.sampled_from([*ALLOWED, "document_id", "path", "sha256", "url", "resolver"]), st.text()))
def test_only_what_is_allowed_is_told(attributes: dict[str, str]) -> None:
    """Whatever an act says: names are those of the list, values those of the list or `OTHER`."""
    told = Told("verify", attributes)
    assert told.attributes == allowed(attributes)
    for name, value in told.attributes.items():
        assert value in ALLOWED[name] | {OTHER}


def _slow(batch: Sequence[Asked]) -> list[Examined]:
    from catalogkit.model import Outcome

    return [Examined(Outcome.OK, one.bytes) for one in batch]


def test_copies_are_timed_only_for_those_who_listen() -> None:
    """One time for each copy, or none at all; the results are the same."""
    rows: list[tuple[str, bytes, int]] = [("a", bytes(32), 3), ("b", bytes(32), 4)]
    found, took = examine_rows(_slow, rows)
    timed, times = examine_rows(_slow, rows, True)
    assert found == timed == [3, 4]
    assert took == [] and len(times) == 2 and min(times) > 0


def test_the_seam_loads_nothing() -> None:
    """It needs no library but Python's own, and of these none that a command would not load anyway."""
    import subprocess

    code = "import sys; before = set(sys.modules); import catalogkit.telemetry; print(*set(sys.modules) - before)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "catalogkit.signals" in said
    assert not [name for name in said if name.startswith(("opentelemetry", "prometheus", "requests", "polars"))]

"""The widget's messages, without a kernel and without a browser."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalogkit.collection import Collection
from catalogkit.plan import Plan
from catalogkit.review import Review, State
from tests.review.conftest import AS_OF, mixed

pytest.importorskip("anywidget")

from catalogkit.review_forms import review as door
from catalogkit.widgets import ReviewWidget


class Heard(ReviewWidget):
    """A widget whose messages are kept, and whose outputs go nowhere."""

    def __init__(self, review: Review) -> None:
        super().__init__(review)
        self.sent: list[dict[str, Any]] = []
        self.receipts: list[dict[str, str]] = []

    def send(self, content: dict[str, Any], buffers: object = None) -> None:
        self.sent.append(json.loads(json.dumps(content)))

    def _show_receipt(self) -> None:
        self.receipts.append(self._receipt())

    def hears(self, **message: Any) -> dict[str, Any]:
        self._handle_custom_msg(message, [])
        return self.sent[-1]


@pytest.fixture
def widget() -> Heard:
    return Heard(Review(mixed(), clock=lambda: AS_OF))


def test_rows_come_by_message_and_never_as_state(widget: Heard) -> None:
    """A window of rows is sent when asked for; what the notebook saves of the widget has no data in it."""
    state = widget.hears(ask="look")["state"]
    assert (state["state"], state["matching"], state["phrase"]) == ("Draft", 10, "CONDEMN 9")
    page = widget.hears(ask="rows", start=2, count=3, sort="bytes", descending=True, version=state["version"])
    assert [row["unit"] for row in page["rows"]] == [7, 6, 5]
    assert (page["start"], page["version"]) == (2, state["version"])
    assert "doi:" not in json.dumps({key: str(value) for key, value in widget.get_state().items() if key != "_esm"})


def test_every_act_answers_with_the_new_totals(widget: Heard) -> None:
    """Filter, toggle and selecting by filter change the state that is sent, and the version of the rows."""
    assert widget.hears(ask="filter", text="resolver = 'core'")["state"]["matching"] == 4
    state = widget.hears(ask="exclude")["state"]
    assert state["cards"][0][1] == "6 of 10"
    assert state["rule"] == "(NOT last_copy) AND NOT coalesce(resolver = 'core', FALSE)"
    later = widget.hears(ask="toggle", unit=0)["state"]
    assert later["cards"][0][1] == "7 of 10"
    assert later["version"] > state["version"]
    assert widget.hears(ask="clause", clause="resolver = 'core'")["state"]["filter"] == ""
    assert widget.hears(ask="why", unit=9)["why"][0].endswith("no record knows it")
    assert widget.hears(ask="python")["python"] == widget.review.as_python()


@pytest.mark.parametrize(
    "message",
    [
        {"ask": "filter", "text": "resolver ="},
        {"ask": "toggle", "unit": 99},
        {"ask": "toggle"},
        {"ask": "toggle", "unit": "x"},
        {"ask": "rows", "start": 0, "count": 1, "sort": "sha256", "descending": False},
        {"ask": "approve", "typed": "CONDEMN 8"},
        {"ask": "apply"},
        {"ask": "withdraw"},
        {"ask": "clear_all"},
        {},
    ],
)
def test_a_mistaken_message_is_answered_in_words(widget: Heard, message: dict[str, Any]) -> None:
    """What cannot be done is answered with the reason, and nothing is selected, approved or applied."""
    assert widget.hears(**message)["problem"]
    assert widget.review.totals().units == 9
    assert widget.review.state is State.DRAFT


def test_approve_and_apply_by_message(garbage: tuple[Collection, Plan]) -> None:
    """The typed phrase approves; applying twice at once runs once; the receipt appears when it has ended."""
    widget = Heard(Review(garbage[1], garbage[0], batch=2))
    assert "Nothing was applied" in widget._receipt()["text/plain"]
    assert widget.hears(ask="approve", typed="CONDEMN 6")["state"]["state"] == "Approved"
    starts: list[Any] = []
    start = widget.review.start
    widget.review.start = lambda changed: starts.append(start(changed))  # type: ignore[method-assign,assignment]
    widget.hears(ask="apply")
    starts[0].join(30)
    widget.hears(ask="apply")
    assert len(starts) == 1
    assert "applied once" in widget.sent[-1]["problem"]
    assert widget.hears(ask="look")["state"]["state"] == "Applied"
    assert "ck-receipt" in widget.receipts[-1]["text/html"]
    assert "applied; nothing can be chosen" in widget.hears(ask="toggle", unit=0)["problem"]
    assert len(garbage[0].catalog.journal(garbage[1].id)) == 6


def test_a_person_gets_the_widget() -> None:
    """The door returns the widget where somebody is there to click."""
    assert isinstance(door(mixed(), live=True), ReviewWidget)

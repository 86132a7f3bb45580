"""The review as text, as HTML, and as a conversation; who gets a widget and who does not."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from catalogkit import review_forms
from catalogkit.approval import FILE, Selection
from catalogkit.collection import Collection
from catalogkit.errors import InvalidInput
from catalogkit.plan import Plan
from catalogkit.review import Review, State
from catalogkit.review_forms import cards, is_live, receipt_html, receipt_text, render_text, static_html
from catalogkit.review_terminal import ask, choose
from tests.review.conftest import AS_OF, made_up, mixed

HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\"'&"


class Tags(HTMLParser):
    """The tags of a page, and the attributes that run something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.handlers += [name for name, _ in attributes if name.startswith("on") or name in ("src", "href")]


def hostile() -> Plan:
    frame = pl.DataFrame({"unit": [0], "artifact_id": [HOSTILE], "resolver": [HOSTILE], "reason": ["<b>"]})
    return made_up(frame, author=HOSTILE, complete=HOSTILE)


def test_hostile_names_are_text() -> None:
    """No name in a plan becomes a tag of the page, or reaches a terminal as a control character."""
    review = Review(hostile(), clock=lambda: AS_OF)
    page = Tags(static_html(review))
    tables = {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.tags <= {"style", "section", "p", "strong", "div", "h3", "pre", "code"} | tables
    assert page.handlers == []
    assert "\x1b" not in render_text(review)


def test_the_static_form_says_all_there_is_to_know() -> None:
    """The form has state, totals, what cannot be undone, reasons, the largest rows, and the commands."""
    review = Review(mixed(), clock=lambda: AS_OF)
    page, text = static_html(review, 4), render_text(review, 4)
    for words in ("Draft", "9 of 10", "Everything here can be undone", "no record knows it", "doi:9", "no, last copy"):
        assert words in page
        assert words in text
    assert "and 6 more" in page
    assert "doi:0" not in page
    assert "catalogkit approve PLAN --where" in text
    assert "ck.approve(plan.save(" in page


def test_a_review_without_widget_is_the_review(tmp_path: Any) -> None:
    """Headless, the door returns the review itself: HTML and text, no widget, and nothing is written."""
    shown = review_forms.review(mixed(), live=False)
    assert isinstance(shown, Review)
    assert set(shown._repr_mimebundle_()) == {"text/html", "text/plain"}
    home = mixed().save(tmp_path)
    assert review_forms.review(home, live=False).folder == home
    assert review_forms.review(shown, live=False) is shown
    assert sorted(path.name for path in home.iterdir()) == ["plan.json", "plan.parquet"]


@pytest.mark.parametrize(
    "parent,voila,live",
    [
        ({"content": {"allow_stdin": True}}, "", True),
        ({"content": {"allow_stdin": False}}, "", False),
        ({"content": {}}, "", False),
        ({}, "", False),
        (None, "", False),
        ({"content": {"allow_stdin": False}}, "kernel", True),
    ],
)
def test_who_is_there(monkeypatch: pytest.MonkeyPatch, parent: Any, voila: str, live: bool) -> None:
    """A front end that takes input is a person, and so is Voila; papermill, nbclient and plain Python are not."""
    kernel = SimpleNamespace(get_parent=lambda channel: parent)
    shell = SimpleNamespace() if parent is None else SimpleNamespace(kernel=kernel)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setenv("VOILA_KERNEL_ID", voila)
    assert is_live() is live


def test_receipts_are_empty_before_and_whole_after(garbage: tuple[Collection, Plan]) -> None:
    """There is no receipt of a draft; that of an applied plan has counts and the way back."""
    collection, plan = garbage
    review = Review(plan, collection)
    assert receipt_html(review) == receipt_text(review) == ""
    review.approve("<ada>", typed=review.phrase)
    review.apply()
    assert "&lt;ada&gt;" in receipt_html(review)
    for words in (f"catalogkit plan undo {plan.id[:12]}", "a purge frees them"):
        assert words in receipt_html(review)
        assert words in receipt_text(review)
    assert review.state.value in render_text(review)


def test_options_choose() -> None:
    """The options of a command line are a rule and exceptions; without a rule last copies are left out."""
    review = Review(mixed(), clock=lambda: AS_OF)
    choose(review, where="bytes > 800", exclude=[9], include=[0])
    assert review.selection == Selection("bytes > 800", (0,), (9,))
    choose(review)
    assert review.totals().units == 9
    with pytest.raises(InvalidInput):
        choose(review, where="bytes >")


def conversation(review: Review, *lines: str) -> tuple[bool, str]:
    said: list[str] = []
    answers = iter(lines)

    def read(prompt: str) -> str:
        said.append(prompt)
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    done = ask(review, read=read, write=said.append, by="ada")
    return done, "".join(said)


def test_a_conversation_approves(tmp_path: Any) -> None:
    """In a terminal one filters, leaves out, asks why, and approves with the phrase."""
    review = Review(mixed().save(tmp_path), clock=lambda: AS_OF)
    done, said = conversation(
        review,
        "filter resolver = 'core'",
        "deselect",
        "why 3",
        "toggle 3",
        "nonsense",
        "python",
        "approve",
        "CONDEMN 7",
    )
    assert done
    assert "4 units fit" in said
    assert "no such command: nonsense" in said
    assert review.state is State.APPROVED
    assert review.approval is not None
    assert review.approval.units(review.plan) == {1, 2, 3, 4, 5, 7, 8}


@pytest.mark.parametrize("lines", [(), ("quit",), ("approve", "yes"), ("toggle 99", "quit")])
def test_a_conversation_that_ends_otherwise_approves_nothing(tmp_path: Any, lines: tuple[str, ...]) -> None:
    """The end of the input, quitting, or a wrong phrase leave no approval."""
    review = Review(mixed().save(tmp_path), clock=lambda: AS_OF)
    done, _ = conversation(review, *lines)
    assert not done
    assert not list(tmp_path.rglob(FILE))


@pytest.mark.parametrize(("kind", "later"), [("condemn", True), ("forget", True), ("link", False), ("drop", False)])
def test_bytes_that_go_later_are_told_so(kind: str, later: bool) -> None:
    """What is condemned or forgotten goes with a purge; a link or a drop frees its bytes when it is applied."""
    review = Review(made_up(pl.DataFrame({"unit": [0], "kind": [kind], "bytes": [5]})))
    assert ("they go with a purge" in cards(review)[1][2]) is later

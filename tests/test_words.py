"""Words: what a query says, what a text is indexed as, what a filter means, which part of a text is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit.errors import InvalidInput
from catalogkit.filters import Filter, parse_filters
from catalogkit.model import to_us
from catalogkit.snippets import END, START, snippet
from catalogkit.words import Term, folded, indexed, parse_query, words_of


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("cell biology", [Term(("cell",)), Term(("biology",))]),
        ('"open access" -draft', [Term(("open", "access")), Term(("draft",), wanted=False)]),
        ('cell -"open access"', [Term(("cell",)), Term(("open", "access"), wanted=False)]),
        ("bio*", [Term(("bio",), prefix=True)]),
        ('"bio*"', [Term(("bio",))]),
        ("open-access 10.1/x", [Term(("open", "access")), Term(("10", "1", "x"))]),
        ('"never closed', [Term(("never", "closed"))]),
        ("cell cell", [Term(("cell",))]),
        ("文書*", [Term(("文", "書"), prefix=True)]),
        ("a AND (b)", [Term(("a",)), Term(("and",)), Term(("b",))]),
    ],
)
def test_a_query_is_words(query: str, terms: list[Term]) -> None:
    """Phrases, prefixes and what is not wanted are understood, everything else is a word."""
    assert parse_query(query) == terms


@pytest.mark.parametrize("query", ["", "  ", "-only", '""', "*", "- -", "!?", " ".join(f"w{n}" for n in range(40))])
def test_a_query_without_words_is_refused(query: str) -> None:
    """Nothing, signs, only what is not wanted, too many: one error that says what to give."""
    with pytest.raises(InvalidInput, match="word"):
        parse_query(query)


@given(st.text())
def test_words_are_the_same_however_often_they_are_folded(text: str) -> None:
    """What is indexed and what is looked for meet, whatever the text."""
    assert words_of(indexed(text)) == words_of(text)
    assert indexed(text) == indexed(folded(text)) or not text.isascii()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"language": "en"}, [Filter("language", "=", "en", "language")]),
        ({"id": (10, 20)}, [Filter("id", ">=", 10, "number"), Filter("id", "<=", 20, "number")]),
        ({"bytes": (None, "5kB")}, [Filter("bytes", "<=", 5000, "size")]),
        ({"metadata.open": True}, [Filter("metadata", "=", "true", "json", ("open",))]),
        ({"encrypted": True}, [Filter("encrypted", "=", 1, "flag")]),
        ("encrypted!=False", [Filter("encrypted", "!=", 0, "flag")]),
        ("page_count >= 10", [Filter("page_count", ">=", 10, "number")]),
        (["title~a=b", "resolver!=x"], [Filter("title", "~", "a=b", "text"), Filter("resolver", "!=", "x", "text")]),
        (None, []),
    ],
)  # fmt: skip
def test_filters_are_understood(given: Any, wanted: list[Filter]) -> None:
    """As a mapping with ranges, as one clause, as several."""
    assert parse_filters(given) == wanted


def test_a_date_is_a_whole_day() -> None:
    """From its beginning on, up to its end, before it, after it."""
    day = datetime(2026, 5, 1, tzinfo=UTC)
    ends = {clause: parse_filters(f"created_at{clause}2026-05-01")[0].value for clause in ("<", "<=", ">", ">=")}
    begin, end = to_us(day), to_us(day) + 86_400_000_000 - 1
    assert ends == {"<": begin, ">=": begin, "<=": end, ">": end}
    assert parse_filters({"created_at": (day, None)})[0].value == begin


@pytest.mark.parametrize(
    "given",
    [
        "colour=red", "metadata=x", "metadata.=x", {'metadata.a"b': 1}, "resolver", "page_count=many", "bytes=big",
        "sha256=abc", "created_at>=yesterday", "page_count~1", {"page_count": (1, 2, 3)}, {"page_count": 1 << 70},
        {"page_count": True}, "encrypted>=true", "encrypted=yes", "encrypted~t",
        {"resolver": "a\x00"}, {"created_at": datetime.fromisoformat("2026-05-01")},
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused(given: Any) -> None:
    """One clear error."""
    with pytest.raises(InvalidInput):
        parse_filters(given)


def shown(text: str, query: str, length: int = 60) -> str:
    return snippet(text, parse_query(query), length).replace(START, "[").replace(END, "]")


def test_a_snippet_shows_the_words() -> None:
    """Marked as they stand in the text, accents and all; a phrase as one; a prefix with its whole word."""
    assert shown("Cells divide.", "cells") == "[Cells] divide."
    assert shown("the Café\nsociety of  Efﬁcient ones", "cafe efficient") == "the [Café] society of [Efﬁcient] ones"
    assert shown("open access, access to all", '"open access"') == "[open access], access to all"
    assert shown("biology, symbiotic", "bio*") == "[biology], symbiotic"
    assert shown("東京の文書を検索", "文書") == "東京の[文書]を検索"
    assert shown("Cells divide.", "cells -divide") == "[Cells] divide."


def test_a_snippet_is_the_part_with_most_of_the_words() -> None:
    """Not cut within a word; with an ellipsis where the text goes on; the beginning where the words are elsewhere."""
    text = "alpha " * 100 + "beta gamma alpha " + "delta " * 100
    assert shown(text, "gamma alpha") != shown(text, "alpha")
    part = shown(text, "gamma alpha delta")
    assert "[gamma] [alpha]" in part and "[delta]" in part and part.startswith("… ") and part.endswith(" …")
    assert shown(text, "omega").startswith("alpha alpha") and shown(text, "omega").endswith("alpha …")
    assert shown("", "x") == ""


@given(st.text(), st.integers(1, 200))
def test_a_snippet_is_part_of_its_text(text: str, length: int) -> None:
    """Of any text, without marks of its own."""
    part = snippet(text, [Term(("a",)), Term(("b", "c"), prefix=True)], length)
    plain = part.replace(START, "").replace(END, "").removeprefix("… ").removesuffix(" …")
    assert part.count(START) == part.count(END)
    assert plain in " ".join(text.replace(START, "").replace(END, "").split())

"""Searching a collection: from Python, in a notebook, on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from catalogkit.content import ContentMetadata
from catalogkit.errors import InvalidInput
from catalogkit.found import SearchResults, in_terminal
from catalogkit.model import schema
from tests.plans.scene import digest_of, put
from tests.test_cli import answer, run

if TYPE_CHECKING:
    from catalogkit.collection import Collection


def tell(collection: Collection, content: bytes, **facts: Any) -> None:
    """Note what is inside a content."""
    told = ContentMetadata(**{"extractor": "test", "version": 1, "media_type": "text/plain"} | facts)
    collection.catalog.record_contents([(digest_of(content), told)], as_of=collection.now())


@pytest.fixture
def papers(collection: Collection) -> Collection:
    """Two documents that somebody looked into, and one that nobody did."""
    for name in ("cells", "stars", "dust"):
        put(collection, name, name.encode(), resolver="core", tenant="acme" if name == "stars" else "default")
    tell(collection, b"cells", title="On <Cells>", authors=("Ada",), text="How cells divide. " * 9, page_count=3)
    tell(collection, b"stars", title="On stars", text="Stars and ** cells of dust")
    return collection


def test_an_answer_is_a_frame(papers: Collection) -> None:
    """With its own schema, also where nothing is found; the best first; ids, titles and marked words in it."""
    found = papers.search("cells")
    assert isinstance(found, pl.DataFrame) and dict(found.schema) == schema("found")
    assert found["title"].to_list() == ["On <Cells>", "On stars"]
    assert found["snippet"][0].startswith("How **cells** divide.")
    assert found["snippet"][1] == "Stars and * * **cells** of dust"
    nothing = papers.search("nowhere")
    assert dict(nothing.schema) == schema("found") and nothing.is_empty()


def test_filters_tenant_and_limit(papers: Collection) -> None:
    """As in the notes of the person who asked for it: words, filters, limit."""
    assert papers.search("cells", {"page_count": (1, None)})["artifact_id"].to_list() == ["cells"]
    assert papers.search("cells", ["page_count<2"]).is_empty()
    assert papers.search("cells", None, 1).height == 1
    assert papers.search("cells", tenant="acme")["artifact_id"].to_list() == ["stars"]
    assert papers.search("dust -of", {"resolver": "core"})["artifact_id"].to_list() == ["dust"]


@pytest.mark.parametrize("call", [("",), ("x", {"colour": "red"}), ("x", None, 0)])
def test_bad_questions_are_refused(papers: Collection, call: tuple[Any, ...]) -> None:
    """With one clear error, and nothing is indexed for them."""
    before = papers.catalog.unindexed()
    with pytest.raises(InvalidInput):
        papers.search(*call)
    assert papers.catalog.unindexed() == before > 0


def test_a_notebook_shows_words_marked_and_nothing_run(papers: Collection) -> None:
    """Titles and texts come from strangers: they are escaped."""
    page = papers.search("cells")._repr_html_()
    assert "<mark>cells</mark>" in page and "On &lt;Cells&gt;" in page and "On <Cells>" not in page
    assert isinstance(papers.search("cells"), SearchResults)


def test_progress_is_told_while_indexing(papers: Collection) -> None:
    """How many of how many; nothing where nothing is left to index."""
    told: list[tuple[int, int | None]] = []
    papers.search("cells", progress=lambda progress: told.append((progress.done, progress.total)))
    papers.search("cells", progress=lambda progress: told.append((0, 0)))
    assert told == [(3, 3)]


def test_a_terminal_shows_words_in_bold() -> None:
    """Where there are colours; a file or a pipe gets the marks."""
    assert in_terminal("a **b** c", colour=True) == "a \x1b[1mb\x1b[0m c"
    assert in_terminal("a **b** c", colour=False) == "a **b** c"


def test_the_command(papers: Collection) -> None:
    """For people and for machines; a bad query is an error, no hit is none."""
    here = ("-C", papers.path, "search")
    said = run(*here, "cells").stdout
    assert "On <Cells>" in said and "**cells**" in said
    [found] = answer(*here, '"cells divide" -stars', "--where", "page_count>=3")["documents"]
    assert (found["artifact_id"], found["page_count"]) == ("cells", 3)
    assert "no document has all of these words" in run(*here, "nowhere").stderr
    assert "cannot be filtered by 'colour'" in run(*here, "cells", "--where", "colour=red", code=1).stderr
    [found] = answer(*here, "cells", "--tenant", "acme")["documents"]
    assert found["tenant"] == "acme"

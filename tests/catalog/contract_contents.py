"""The contract of what is inside blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit.audit_codes import Code
from catalogkit.catalog.rows import DueContent
from catalogkit.content import ContentMetadata, Reason
from catalogkit.errors import InvalidInput
from catalogkit.layouts import cas_key
from catalogkit.model import from_us, schema
from tests.catalog.contract_audits import faults
from tests.catalog.desk import DAY, NOW, Desk, relaxed, sha

if TYPE_CHECKING:
    from datetime import datetime

VERSIONS = {"pdf": 2, "html": 1, "none": 1}

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
some = st.lists(words, max_size=3).map(tuple)
times = st.integers(-(10**15), 10**16).map(from_us)


def told(extractor: str = "pdf", **changes: Any) -> ContentMetadata:
    """What an extractor might have told."""
    return ContentMetadata(**{"extractor": extractor, "version": 1, "media_type": "application/pdf"} | changes)


class Contents:
    """Facts about bytes: noted, replaced, asked for, due again, gone with their bytes."""

    def note(self, desk: Desk, content: str = "one", at: datetime = NOW, **changes: Any) -> int:
        return desk.catalog.record_contents([(sha(content), told(**changes))], as_of=at)

    def due(self, desk: Desk, **versions: int) -> list[DueContent]:
        return desk.catalog.contents_due(VERSIONS | versions)

    @given(
        title=st.none() | words,
        authors=some,
        keywords=some,
        page_count=st.none() | st.integers(0, 2**40),
        created_at=st.none() | times,
        encrypted=st.booleans(),
        outline=st.lists(st.tuples(st.integers(1, 9), words), max_size=3).map(tuple),
        text=words,
        inferred=st.none() | st.dictionaries(words, words | st.integers(0, 9) | st.none(), max_size=3),
        reason=st.none() | st.sampled_from(Reason),
    )
    @relaxed
    def test_what_is_noted_is_what_is_told(self, anew: Any, inferred: Any, text: str, **facts: Any) -> None:
        """Whatever an extractor tells comes back as it was and is sound, of a refusal as of what was read."""
        desk = Desk(anew())
        desk.put_one("one")
        one = told(
            schema=inferred, text=text, text_chars=len(text) + 7, preview=text[:3], more={"producer": "x"}, **facts
        )
        assert desk.catalog.record_contents([(sha("one"), one)], as_of=NOW) == 1
        assert desk.catalog.content_of(sha("one")) == one
        assert faults(desk.catalog, Code.MALFORMED_ROW) == []

    def test_nobody_looked(self, desk: Desk) -> None:
        """Of what was not looked into nothing is told."""
        desk.put_one("one")
        assert desk.catalog.content_of(sha("one")) is None
        assert desk.catalog.content_of(sha("never")) is None

    def test_the_latest_counts(self, desk: Desk) -> None:
        """What is noted anew replaces all that was noted before, its text included."""
        desk.put_one("one")
        self.note(desk, text="old", title="Old", warnings=("repaired",))
        self.note(desk, text="", title="New")
        assert desk.catalog.content_of(sha("one")) == told(title="New")
        assert desk.catalog.frame("contents").height == 1

    def test_only_what_is_there(self, desk: Desk) -> None:
        """Facts about bytes that are not known, or were purged meanwhile, are passed over; the others are noted."""
        desk.put_one("one")
        some = [(sha("never"), told()), (sha("one"), told(title="One"))]
        assert desk.catalog.record_contents(some, as_of=NOW) == 1
        assert desk.catalog.content_of(sha("never")) is None
        assert desk.catalog.content_of(sha("one")) == told(title="One")

    def test_all_or_nothing(self, desk: Desk) -> None:
        """If one set of facts cannot be noted, none of the batch is, and what was noted before stays."""
        desk.put_one("one")
        self.note(desk, title="Before")
        bad = [(sha("one"), told(title="After", text="x")), (sha("one"), told(page_count=2**70))]
        with pytest.raises(InvalidInput):
            desk.catalog.record_contents(bad, as_of=NOW)
        assert desk.catalog.content_of(sha("one")) == told(title="Before")

    def test_due_is_what_nobody_looked_into(self, desk: Desk) -> None:
        """Blobs are due once, by digest and page by page, however many documents have them; refusals are not again."""
        for content in ("one", "two", "three"):
            desk.put_one(content, content)
        desk.put_one("one", "again")
        digests = sorted(sha(content) for content in ("one", "two", "three"))
        everything = self.due(desk)
        assert [one.digest for one in everything] == digests
        assert desk.catalog.contents_due_totals(VERSIONS) == (3, len("onetwothree"))
        first = desk.catalog.contents_due(VERSIONS, limit=2)
        assert first + desk.catalog.contents_due(VERSIONS, after=first[-1].digest, limit=2) == everything
        self.note(desk, "one", reason=Reason.TIME, version=2)
        self.note(desk, "two", version=2)
        assert self.due(desk) == [DueContent(sha("three"), 5, "text/plain")]
        assert desk.catalog.contents_due_totals(VERSIONS) == (1, 5)

    def test_a_new_version_makes_due_what_it_affects(self, desk: Desk) -> None:
        """A higher version of an extractor makes due what a lower one told, and nothing else; a lower one nothing."""
        for content, extractor in (("one", "pdf"), ("two", "html"), ("three", "pdf"), ("four", "elsewhere")):
            desk.put_one(content, content)
            self.note(desk, content, extractor=extractor, version=1 if content != "three" else 2)
        assert [one.digest for one in self.due(desk)] == [sha("one")]
        assert {one.digest for one in self.due(desk, pdf=3)} == {sha("one"), sha("three")}
        assert self.due(desk, pdf=1) == self.due(desk, pdf=0, html=0) == []

    def test_only_live_blobs_are_due(self, desk: Desk) -> None:
        """What is being taken in, or condemned, is not looked into."""
        desk.stage(desk.entry("coming"))
        number = desk.put_one("one")
        desk.forget(number)
        assert [one.digest for one in self.due(desk)] == [sha("one")]
        assert desk.condemn("one", NOW + DAY) == ""
        assert self.due(desk) == []

    def test_facts_go_with_their_bytes(self, desk: Desk) -> None:
        """Condemned bytes keep their facts, which an undo needs not tell again; purged ones lose them."""
        number = desk.put_one("one")
        self.note(desk, text="words")
        desk.forget(number)
        assert desk.condemn("one") == ""
        assert desk.catalog.content_of(sha("one")) == told(text="words")
        with desk.catalog.hand("f" * 64, as_of=NOW) as hand:
            hand.drop_copies([(sha("one"), desk.store_id, cas_key(sha("one")))])
        assert desk.state("one") == "purged"
        assert desk.catalog.content_of(sha("one")) is None
        assert self.note(desk) == 0
        desk.put_one("one")  # and the same bytes, taken in again, are due again
        assert [one.digest for one in self.due(desk)] == [sha("one")]

    def test_what_was_told_since(self, desk: Desk) -> None:
        """Of some blobs those that were told of, or told of anew, after a number; of purged and unknown ones none."""
        assert desk.catalog.last_content_id() == 0
        for content in ("one", "two", "three"):
            desk.put_one(content, content)
            self.note(desk, content)
        mark = desk.catalog.last_content_id()
        self.note(desk, "one")
        some = [sha(content) for content in ("one", "two", "never")]
        assert desk.catalog.contents_told(some, since=mark) == {sha("one")}
        assert desk.catalog.contents_told(some, since=0) == {sha("one"), sha("two")}
        assert desk.catalog.contents_told([], since=0) == set()

    def test_texts_can_go(self, desk: Desk) -> None:
        """Texts can be let go, of some or of all; all else stays, and nothing is due for it."""

        def texts() -> list[str]:
            found = [desk.catalog.content_of(sha(content)) for content in ("one", "two", "three")]
            return [content.text for content in found if content is not None]

        for content in ("one", "two", "three"):
            desk.put_one(content, content)
            self.note(desk, content, text="words", text_chars=5, preview="wo", version=2)
        assert desk.catalog.drop_texts([sha("one"), sha("never")]) == 1
        assert desk.catalog.content_of(sha("one")) == told(text_chars=5, preview="wo", version=2)
        assert texts() == ["", "words", "words"]
        assert desk.catalog.drop_texts() == 2
        assert desk.catalog.drop_texts() == 0
        assert texts() == ["", "", ""]
        assert self.due(desk) == []

    def test_the_frame(self, desk: Desk) -> None:
        """All facts but the texts, typed; the same columns where there are none."""
        assert dict(desk.catalog.frame("contents").schema) == schema("contents")
        for content in ("one", "two"):
            desk.put_one(content, content)
        self.note(desk, "one", title="One", authors=("A, B", "Ö"), page_count=3, created_at=NOW - DAY, encrypted=True,
                  schema={"type": "array"}, subject="s", more={"producer": "x"}, at=NOW + DAY)  # fmt: skip
        self.note(desk, "two", reason=Reason.DAMAGED, detail="no page tree", warnings=("repaired",))
        frame = desk.catalog.frame("contents")
        assert dict(frame.schema) == schema("contents")
        assert list(frame["sha256"]) == sorted(frame["sha256"])
        one = frame.row(by_predicate=pl.col("sha256") == str(sha("one")), named=True)
        assert (one["outcome"], one["reason"], one["title"], one["authors"]) == ("ok", None, "One", ["A, B", "Ö"])
        assert (one["page_count"], one["created_at"], one["encrypted"]) == (3, NOW - DAY, True)
        assert (one["schema"], one["extracted_at"]) == ('{"type":"array"}', NOW + DAY)
        assert one["more"] == '{"producer":"x","subject":"s"}'
        two = frame.row(by_predicate=pl.col("sha256") == str(sha("two")), named=True)
        assert (two["outcome"], two["reason"], two["detail"]) == ("refused", "damaged", "no page tree")
        assert (two["title"], two["authors"], two["warnings"], two["schema"]) == (None, [], ["repaired"], None)

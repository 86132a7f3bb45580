"""The contract of sketches of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catalogkit.near.pairs import SKETCHES
from catalogkit.near.sketches import Sketch
from tests.catalog.contract_contents import told
from tests.catalog.desk import NOW, Desk, sha

if TYPE_CHECKING:
    from catalogkit.catalog.rows import ContentText

ONE = Sketch(100, b"\x01" * 512, "")
EMPTY = Sketch(0, b"", "empty")


def tell(desk: Desk, content: str, **facts: Any) -> None:
    desk.catalog.record_contents([(sha(content), told(**facts))], as_of=NOW)


def texts(desk: Desk, version: str = "1") -> list[ContentText]:
    return desk.catalog.texts_to_sketch(version)


def sketch(desk: Desk, version: str = "1", made: Sketch = ONE) -> int:
    return desk.catalog.record_sketches([(one.number, made) for one in texts(desk, version)], version=version)


def kept(desk: Desk, version: str = "1") -> list[tuple[Any, ...]]:
    frame = desk.catalog.sketches(version)
    assert frame.schema == SKETCHES
    return frame.rows()


class Sketches:
    """Which texts have none yet, what is kept of them, and when it goes."""

    def test_every_text_is_sketched_once(self, desk: Desk) -> None:
        """By number, in pages; refusals have no text; a document without text has one that is empty."""
        for content in ("one", "two", "three"):
            desk.put_one(content, content)
        tell(desk, "one", text="words", text_chars=5)
        tell(desk, "two")
        tell(desk, "three", reason="damaged")
        assert desk.catalog.known_texts() == 2
        first, second = texts(desk)
        assert (first.digest, first.text) == (sha("one"), "words")
        assert (second.digest, second.text) == (sha("two"), "")
        assert [one.digest for one in desk.catalog.texts_to_sketch("1", limit=1)] == [sha("one")]
        sketches = [(first.number, ONE), (second.number, EMPTY)]
        assert desk.catalog.record_sketches(sketches, version="1") == 2
        assert texts(desk) == []
        assert sorted(kept(desk)) == sorted([(str(sha("one")), *ONE), (str(sha("two")), *EMPTY)])

    def test_another_version_is_sketched_anew(self, desk: Desk) -> None:
        """What was made in another way cannot be compared with it."""
        desk.put_one()
        tell(desk, "one", text="words", text_chars=5)
        assert sketch(desk, "1") == 1
        assert (len(texts(desk, "2")), kept(desk, "2")) == (1, [])
        assert sketch(desk, "2", EMPTY) == 1
        assert (kept(desk, "1"), kept(desk, "2")) == ([], [(str(sha("one")), *EMPTY)])

    def test_a_text_that_is_told_anew_is_sketched_anew(self, desk: Desk) -> None:
        """Whoever read the old one meanwhile comes too late."""
        desk.put_one()
        tell(desk, "one", text="words", text_chars=5)
        old = texts(desk)
        assert sketch(desk) == 1
        tell(desk, "one", text="other words", text_chars=11)
        assert kept(desk) == []
        assert desk.catalog.record_sketches([(old[0].number, ONE)], version="1") == 0
        assert [one.text for one in texts(desk)] == ["other words"]

    def test_only_what_documents_have_is_compared(self, desk: Desk) -> None:
        """A forgotten document's content has its sketch still, for when it comes back."""
        number = desk.put_one()
        tell(desk, "one", text="words", text_chars=5)
        sketch(desk)
        desk.forget(number)
        assert (kept(desk), texts(desk)) == ([], [])
        desk.put_one()
        assert len(kept(desk)) == 1

    def test_a_text_that_was_let_go_is_not_taken_for_empty(self, desk: Desk) -> None:
        """Its sketch stays; where there was none, or another version, there will be none until it is told again."""
        for content in ("one", "two"):
            desk.put_one(content, content)
            tell(desk, content, text=content, text_chars=3)
        assert desk.catalog.text_of(str(sha("one"))) == "one"
        sketch(desk)
        tell(desk, "two", text="again", text_chars=5)
        desk.catalog.drop_texts()
        assert desk.catalog.text_of(str(sha("one"))) == "" == desk.catalog.text_of(str(sha("unknown")))
        assert [row[0] for row in kept(desk)] == [str(sha("one"))]
        assert (texts(desk, "1"), texts(desk, "2")) == ([], [])

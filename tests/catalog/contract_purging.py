"""The contract of the hand that purges: what may go, asked about many at once, and what going leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.layouts import cas_key
from catalogkit.model import to_us
from tests.catalog.desk import DAY, HOUR, NOW, PLAN, sha

if TYPE_CHECKING:
    from tests.catalog.desk import Desk

NO = "it is not condemned any more, or something needs it again"
Asked = tuple[bytes, int, int | None, str | None]


def condemned(desk: Desk, *contents: str) -> None:
    """Documents that came and were forgotten, and whose blobs are condemned."""
    for content in contents:
        desk.forget(desk.put_one(content, content))
        assert desk.condemn(content) == ""


def copy_of(desk: Desk, content: str) -> Asked:
    return sha(content), to_us(NOW), desk.store_id, cas_key(sha(content))


def ask(desk: Desk, *copies: Asked) -> list[str]:
    with desk.catalog.hand(PLAN, as_of=NOW + DAY) as hand:
        return hand.purgeable(copies)


class Purging:
    """Many copies are asked about in one question, and forgotten in one go."""

    def test_each_copy_gets_its_own_answer(self, desk: Desk) -> None:
        """In the order of the question, whatever is wrong: the blob, its time, its place; the same twice, too."""
        condemned(desk, "one", "two")
        desk.forget(desk.put_one("garbage", "g"))
        desk.put_one("alive", "l")
        one, two = copy_of(desk, "one"), copy_of(desk, "two")
        wrong = [
            copy_of(desk, "garbage"), copy_of(desk, "alive"), copy_of(desk, "unknown"), (one[0], one[1] + 1, *one[2:]),
            (*one[:3], "docs/elsewhere"), (*one[:2], desk.store_id + 1, one[3]), (*one[:3], two[3]),
        ]  # fmt: skip
        assert ask(desk, one, *wrong, two, one, (*two[:2], None, None)) == ["", *[NO] * len(wrong), "", "", ""]
        assert ask(desk) == []

    def test_what_is_needed_again_stays(self, desk: Desk) -> None:
        """Taken in again, or on its way in, or under a hold that is in force: each told from its neighbours."""
        condemned(desk, "back", "coming", "held", "let go", "free")
        hold = desk.catalog.place_hold("a lawyer asks", digest=sha("held"), as_of=NOW)
        ended = desk.catalog.place_hold("no more", digest=sha("let go"), expires_at=NOW + HOUR, as_of=NOW)
        desk.put_one("back", "again")
        desk.stage(desk.entry("coming", "soon"))
        every = [copy_of(desk, content) for content in ("back", "coming", "held", "let go", "free")]
        assert ask(desk, *every) == [NO, NO, NO, "", ""]
        desk.catalog.release_hold(hold, as_of=NOW)
        desk.catalog.release_hold(ended, as_of=NOW)
        assert ask(desk, *every) == [NO, NO, "", "", ""]

    def test_there_is_no_limit_to_a_question(self, desk: Desk) -> None:
        """Thousands of copies, the answers still in their order."""
        condemned(desk, "one", "two")
        one, no, two = copy_of(desk, "one"), copy_of(desk, "unknown"), copy_of(desk, "two")
        assert ask(desk, *[no] * 20_000, one, *[no] * 20_000, two) == [*[NO] * 20_000, "", *[NO] * 20_000, ""]

    def test_a_blob_ends_with_its_last_copy(self, desk: Desk) -> None:
        """Those that have another stay condemned; what was not asked for is untouched, and nothing is nothing."""
        desk.put(desk.entry("two", "a"), desk.at("b", "two", "b"))
        desk.forget(1)
        desk.forget(2)
        desk.condemn("two")
        condemned(desk, "one", "other")
        with desk.catalog.hand(PLAN, as_of=NOW + DAY) as hand:
            hand.drop_copies([])
            hand.drop_copies([(sha(name), desk.store_id, cas_key(sha(name))) for name in ("one", "two")])
        assert [desk.state(name) for name in ("one", "two", "other")] == ["purged", "condemned", "condemned"]
        assert [copy.key for copy in desk.catalog.locations_of(sha("two"))] == ["docs/b"]
        with desk.catalog.hand(PLAN, as_of=NOW + 2 * DAY) as hand:
            hand.drop_copies([(sha("two"), desk.store_id, "docs/b"), (sha("one"), desk.store_id, "docs/b")])
        assert [desk.state(name) for name in ("one", "two", "other")] == ["purged", "purged", "condemned"]
        blob = desk.blob("two")
        assert blob is not None and blob["changed_at"] == NOW + 2 * DAY

    def test_a_blob_without_copies_just_ends(self, desk: Desk) -> None:
        """One that has a copy does not, nor one that is alive."""
        condemned(desk, "one")
        desk.put_one("alive", "l")
        with desk.catalog.hand(PLAN, as_of=NOW) as hand:
            hand.end_blob(sha("one"))
            hand.end_blob(sha("alive"))
        assert (desk.state("one"), desk.state("alive")) == ("condemned", "live")

"""The contract of feeds: all there is, then what changed since, from one moment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from catalogkit.model import Outcome
from catalogkit.model import fed as columns
from tests.catalog.contract_contents import told
from tests.catalog.desk import DAY, NOW, Desk, sha

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.catalog.contract import Catalog
    from tests.catalog.desk import Connect

TABLES = ("documents", "blobs", "locations", "checks", "contents")


def fed(catalog: Catalog, since: Any = None) -> tuple[dict[str, Any], dict[str, list[Any]], dict[str, list[Any]]]:
    """A feed's cursor as it comes back from JSON, and by table the keys to replace, and those of its rows."""
    with catalog.feed(since) as feed:
        keys = {} if feed.whole else {table: sorted(feed.keys(table).to_series()) for table in TABLES}
        rows = {}
        for table in TABLES:
            pages = [pl.DataFrame(schema=columns(table)), *feed.rows(table)]
            assert all(dict(page.schema) == columns(table) for page in pages)
            rows[table] = sorted(pl.concat(pages).to_series())
        assert feed.changed == (feed.whole or any(keys.values()) or feed.cursor != since)
        return json.loads(json.dumps(feed.cursor)), keys, rows


class Feeds:
    """What a copy of the catalog is fed with."""

    def test_the_first_feed_is_whole(self, desk: Desk) -> None:
        """Without a cursor there is all there is; a blob in flight is no fact yet."""
        desk.put_one("one", "a")
        desk.check()
        desk.stage(desk.entry("coming", "b"))
        desk.catalog.record_contents([(sha("one"), told())], as_of=NOW)
        _, keys, rows = fed(desk.catalog)
        assert keys == {}
        one = [str(sha("one"))]
        assert rows == {"documents": [1], "blobs": one, "locations": [1], "checks": [1], "contents": one}

    def test_pages_are_full_but_the_last(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Pages have just as many rows as a mirror keeps together, however many are read at once."""
        monkeypatch.setattr("catalogkit.catalog.sql.base.CHUNK", 2)
        monkeypatch.setattr("catalogkit.catalog.sql.feed.PAGE", 3)
        for number in range(7):
            desk.put_one(f"content {number}", f"a{number}")
        with desk.catalog.feed(None) as feed:
            assert [page.height for page in feed.rows("documents")] == [3, 3, 1]

    def test_a_feed_of_nothing(self, desk: Desk) -> None:
        """Where nothing changed, or only a sighting, there is nothing; the cursor stays."""
        desk.put_one("one", "a")
        cursor, *_ = fed(desk.catalog)
        desk.catalog.touch([1], as_of=NOW + DAY)
        with desk.catalog.feed(cursor) as feed:
            assert (feed.whole, feed.changed, feed.cursor) == (False, False, cursor)
        assert fed(desk.catalog, cursor)[1] == {table: [] for table in TABLES}

    def test_only_what_changed(self, desk: Desk) -> None:
        """The rows that changed and no others; of what is gone there is a key and no row."""
        for content, name in (("one", "a"), ("two", "b"), ("three", "c")):
            desk.put_one(content, name)
        cursor, *_ = fed(desk.catalog)
        desk.forget(1)
        desk.check("three", Outcome.MISSING)
        desk.put_one("two", "d")
        cursor, keys, rows = fed(desk.catalog, cursor)
        assert (keys["documents"], rows["documents"]) == ([1, 4], [4])
        assert (keys["locations"], rows["locations"]) == ([3], [3])
        assert keys["blobs"] == rows["blobs"] == sorted(str(sha(content)) for content in ("one", "two", "three"))
        assert keys["checks"] == [1]
        assert (keys["contents"], rows["contents"]) == ([], [])
        assert fed(desk.catalog, cursor)[1] == {table: [] for table in TABLES}

    def test_what_is_inside_is_told_anew(self, desk: Desk) -> None:
        """What is inside a blob is in the next feed, and again when somebody looked into it once more."""
        desk.put_one("one", "a")
        desk.put_one("two", "b")
        cursor, *_ = fed(desk.catalog)
        for title in ("a title", "a better title"):
            desk.catalog.record_contents([(sha("two"), told(title=title))], as_of=NOW)
            with desk.catalog.feed(cursor) as feed:
                assert feed.changed and not feed.whole and feed.keys("documents").is_empty()
                assert feed.keys("contents")["sha256"].to_list() == [str(sha("two"))]
                (page,) = feed.rows("contents")
                assert page.equals(desk.catalog.frame("contents"))
                assert page["title"].to_list() == [title]
            cursor, *_ = fed(desk.catalog, cursor)
        assert not any(fed(desk.catalog, cursor)[1].values())

    def test_a_feed_is_of_one_moment(self, desk: Desk) -> None:
        """What is written while it is read is in the next one; and it keeps nobody from writing."""
        desk.put_one("one", "a")
        with desk.catalog.feed(None) as feed:
            desk.put_one("two", "b")
            assert [page.height for page in feed.rows("documents")] == [1]
            cursor = feed.cursor
        assert fed(desk.catalog, cursor)[1]["documents"] == [2]

    @pytest.mark.parametrize("ahead", [True, False])
    def test_a_cursor_of_another_catalog_gives_a_whole_feed(
        self, desk: Desk, open_new: Callable[[], Connect], ahead: bool
    ) -> None:
        """A catalog that did not come by where the cursor is, as after a restore, begins anew."""
        other = Desk(open_new()())
        other.put_one("other", "other", as_of=NOW + DAY)
        if ahead:
            other.put_one("more", "more")
        desk.put_one("one", "a")
        cursor, *_ = fed(other.catalog)
        with desk.catalog.feed(cursor) as feed:
            assert feed.whole

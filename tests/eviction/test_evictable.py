"""Contents as eviction looks at them: the mirror of a large catalog tells the same as whole tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import catalogkit as ck
from catalogkit.addresses import ORIGIN, unfit
from catalogkit.catalog.evictable import Beside, OfMirror
from catalogkit.collection import Collection
from catalogkit.planning import common
from catalogkit.planning.evictable import OfFrames, evictable
from tests.catalog.test_figures import mirrored, of_one_type
from tests.conftest import Clock
from tests.eviction.test_policy import LAST, filled
from tests.test_stats import A, B, C, Catalog, catalogs

URLS = ("https://a.org/1", "https://a.org/2?q=//x", "http://127.0.0.1/3", "/home/4", "ftp://b.org/5", "https://b.org#6")


@settings(deadline=None, max_examples=25)
@given(
    catalogs(),
    st.lists(st.sampled_from(URLS), min_size=1, max_size=6),
    st.builds(
        Beside,
        home=st.sampled_from(["local", "main", "s1", "cold"]),
        held_documents=st.lists(st.integers(1, 9), max_size=2),
        held_contents=st.lists(st.sampled_from([A, B, C]), max_size=1),
        rooted=st.lists(st.sampled_from([A, B, C]), max_size=1),
        chances=st.dictionaries(st.sampled_from(["arxiv", "r1", "web"]), st.floats(0.1, 1), max_size=2),
        usual=st.just(0.9),
        private=st.booleans(),
    ),
)
def test_the_mirror_tells_what_whole_tables_tell(catalog: Catalog, urls: list[str], beside: Beside) -> None:
    """Facts, names, who shares a content, and copies: the same values and types, for any catalog."""
    documents, locations = of_one_type(catalog)
    came_from = [urls[row % len(urls)] for row in range(documents.height)]
    documents = documents.with_columns(source_url=pl.Series(came_from, dtype=pl.String))
    # A document without a digest has no content.
    documents = documents.filter(pl.col("sha256").is_not_null())
    told, _ = mirrored((documents, locations))
    with told:
        one, other = OfMirror(told), OfFrames(documents, locations)
        assert_frame_equal(one.facts(beside), other.facts(beside))
        ids, digests = documents["id"].head(3), pl.Series([A, C], dtype=pl.String)
        same = {"check_row_order": False, "check_column_order": False}
        assert_frame_equal(one.named(ids), other.named(ids), **same)
        assert_frame_equal(one.firsts(ids), other.firsts(ids), **same)
        assert_frame_equal(one.classed(ids), other.classed(ids))
        assert_frame_equal(one.sharing(digests), other.sharing(digests), **same)
        assert_frame_equal(one.copies(digests), other.copies(digests), **same)


def test_of_a_large_catalog_the_mirror_is_asked(
    collection: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same candidates, scores and plan; and no whole table is read."""

    def asked() -> tuple[Any, ...]:
        smart = ck.SmartEvictionPolicy(collection, horizon=timedelta(days=7), policy=LAST, learn=False)
        plan = smart.plan(2)
        return smart.recommend_eviction(), smart.scores.sort("document_id"), plan.frame, smart.card, plan.head

    filled(collection, clock)
    expected = asked()
    monkeypatch.setattr(common, "MANY", 1)
    monkeypatch.setattr(collection.catalog, "frame", _but(collection.catalog.frame, "documents", "locations"))
    found = asked()
    assert isinstance(evictable(collection), OfMirror)
    assert found[0] == expected[0] and found[3:] == expected[3:]
    assert_frame_equal(found[1], expected[1], check_column_order=False)
    assert_frame_equal(found[2], expected[2])


def _but(frame: Any, *tables: str) -> Any:
    def asked(table: str) -> pl.DataFrame:
        assert table not in tables, f"the whole table of {table} was read"
        return frame(table)

    return asked


@pytest.mark.parametrize(
    "url", [*URLS, "https://a.org:99999/x", "http://[::1]/x", "http://[::1/x", "HTTPS://A.org", ""]
)
def test_an_origin_says_whether_its_urls_can_be_fetched(url: str) -> None:
    """Of a URL only the part before its path counts."""
    origin = pl.Series([url]).str.extract(ORIGIN, 0).fill_null("")[0]
    assert bool(unfit(origin)) == bool(unfit(url))

"""The figures from the mirror are those of whole frames, for any catalog."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from catalogkit import arrivals, fixity, overview, stats, trends
from catalogkit.catalog.figures import Figures
from catalogkit.catalog.mirror import Mirror
from catalogkit.catalog.mirroring import create, take_in
from catalogkit.coverage import coverage
from catalogkit.errors import InvalidInput
from catalogkit.model import Outcome, fed
from tests.catalog.desk import DAY, NOW, Desk
from tests.catalog.test_mirror import Hasty
from tests.luck import examples
from tests.test_stats import AS_OF, A, Catalog, catalogs, docs, locs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = ("tenant", "resolver", "media_type", "variant", "run_id")


class Fed:
    """What a catalog with these frames would feed its mirror with."""

    whole = True

    def __init__(self, documents: pl.DataFrame, locations: pl.DataFrame, blobs: pl.DataFrame) -> None:
        self.tables = {"documents": documents, "locations": locations, "blobs": blobs}

    def rows(self, table: str) -> Iterator[pl.DataFrame]:
        if table in self.tables:
            yield self.tables[table].select(list(fed(table)))


def mirrored(catalog: Catalog, states: dict[str, str] | None = None) -> tuple[Figures, pl.DataFrame]:
    """The figures of a mirror of these frames, and the frame of its blobs."""
    documents, locations = catalog
    sized = pl.concat([documents.select("sha256", "bytes"), locations.select("sha256", "bytes")]).unique("sha256")
    users = documents.group_by("sha256").agg(pl.len().cast(pl.Int64).alias("refs"))
    media = documents.group_by("sha256").agg(pl.col("media_type").first())
    blobs = sized.join(users, on="sha256", how="left").join(media, on="sha256", how="left").sort("sha256")
    blobs = blobs.with_columns(
        pl.col("refs").fill_null(0), pl.col("media_type").fill_null("text/html"), created_at=AS_OF, changed_at=AS_OF,
        garbage_since=None, state=pl.col("sha256").replace_strict(states or {}, default="live", return_dtype=pl.String),
    ).with_columns(pl.when(pl.col("refs") > 0).then(pl.lit("live")).otherwise("state").alias("state"))  # fmt: skip
    db = duckdb.connect()
    create(db)
    take_in(db, Fed(documents, locations, blobs))  # type: ignore[arg-type]
    return Figures(db, AS_OF), blobs


def of_one_type(catalog: Catalog) -> Catalog:
    """As a catalog has it: a content has one media type, whatever its documents."""
    documents, locations = catalog
    told = documents.group_by("sha256").agg(pl.col("media_type").first())
    return documents.drop("media_type").join(told, on="sha256", maintain_order="left").select(
        documents.columns
    ), locations


@examples(15)
@given(catalogs(), st.sampled_from(["1h", "1d", "2w", "1mo", "1q", "1y"]))
def test_every_figure_is_that_of_whole_frames(catalog: Catalog, every: str) -> None:
    """Totals, groups, parts, stores, states, growth, classes, coverage: the same values, order and types."""
    documents, locations = of_one_type(catalog)
    told, blobs = mirrored((documents, locations), {A: "condemned"})
    with told:
        assert told.totals == stats.dedup_totals(documents, locations)
        groups = stats.dedup_groups(documents, locations)
        assert_frame_equal(told.described(told.groups), groups, check_column_order=False)
        if groups.height:
            assert_frame_equal(stats.savings_curve(told.groups), stats.savings_curve(groups))
        for column in COLUMNS:
            assert_frame_equal(told.by(column), stats.dedup_by(documents, locations, column))
        for columns in (["resolver", "media_type"], ["variant", "tenant"]):
            assert_frame_equal(told.tree(columns), overview.tree(documents, locations, columns))
        assert_frame_equal(told.store_usage(), stats.store_usage(documents, locations))
        assert_frame_equal(told.states(), overview.states(blobs, locations))
        assert_frame_equal(told.latest_runs(2), overview.latest_runs(documents, 2))
        assert_frame_equal(told.growth(every), arrivals.growth(documents, every))
        assert_frame_equal(told.size_age(AS_OF), arrivals.size_age(documents, AS_OF))
        assert told.coverage(AS_OF, [1, 30]) == coverage(locations, AS_OF, [1, 30])
        assert_frame_equal(told.clock(AS_OF, 5), fixity.clock(locations, AS_OF, 5))
        assert_frame_equal(told.freshness_of_stores(AS_OF), fixity.classes_by(locations, "store", AS_OF))
        assert_frame_equal(told.longest_unproved(AS_OF, 3), fixity.longest_unproved(locations, AS_OF, 3))
        bad = locations.filter(pl.col("outcome").is_in(["corrupt", "missing", "unknown"]))
        wanted = bad.sort("outcome", "checked_at", "id").select("outcome", "store", "key", "bytes", "checked_at")
        assert_frame_equal(told.doubtful(), wanted)


def test_spare_copies_leave_out_what_is_in_its_owners_hands() -> None:
    """Objects by store, of contents that have spare ones anywhere; paths that stay in place are not counted."""
    held = locs({}, {}, {"inode": 5}, {"inode": 5}, {"store": "far"}, {"layout": "reference", "store": "in-place"})
    told, _ = mirrored((docs({}, {}), held))
    with told:
        assert sorted(told.spare().rows()) == [(A, "far", 100, 2, 1), (A, "main", 100, 2, 3)]


def test_what_cannot_be_asked_is_refused() -> None:
    """The same refusals as with whole frames."""
    told, _ = mirrored((docs({}), locs({})))
    with told:
        asks: list[Any] = [
            lambda: told.by("sha256"), lambda: told.tree(["nothing"]), lambda: told.growth("soon"),
            lambda: told.coverage(AS_OF, [0]), lambda: told.clock(AS_OF, 1),
        ]  # fmt: skip
        for ask in asks:
            with pytest.raises(InvalidInput):
                ask()


def test_figures_follow_the_catalog(tmp_path: Path) -> None:
    """They are as of now when they are asked for, and of one moment from then on; the ledger is in them by days."""
    with contextlib.closing(Hasty(tmp_path / "catalog.sqlite", create=True, as_of=NOW)) as catalog:
        desk, mirror = Desk(catalog), Mirror(catalog, tmp_path / "mirror")
        desk.put_one("one", "a")
        desk.check("one", Outcome.OK, NOW - DAY)
        with mirror.figures(as_of=NOW) as before:
            desk.put_one("one", "b")
            desk.check("one", Outcome.CORRUPT, NOW)
            with mirror.figures(as_of=NOW + DAY) as after:
                assert (before.totals.documents, after.totals.documents) == (1, 2)
                assert (before.moment, after.moment) == (NOW, NOW + DAY)
                assert before.ledger_days(2, NOW)["outcome"].to_list() == ["ok"]
                facts = [
                    {"label": "x", "taken_at": NOW - days * DAY, "documents": 2, "logical_bytes": 9, "unique_bytes": 5,
                     "kept": True} for days in (40, 1, 0)
                ]  # fmt: skip
                for days in (1, 30):
                    wanted = trends.trend(facts, catalog.frame("blobs"), catalog.frame("checks"), promise_days=days)
                    assert_frame_equal(after.trend(facts, days), wanted)
                assert after.doubtful()["outcome"].to_list() == ["corrupt"]
                for days in (0, 1, 30):
                    since = (NOW - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
                    rows = catalog.checks_by_day(since=since, until=NOW + timedelta(microseconds=1))
                    raw = pl.DataFrame(rows, schema={**fixity.DAYS, "day": pl.Int32()}, orient="row")
                    assert_frame_equal(after.ledger_days(days, NOW), raw.cast(dict(fixity.DAYS)))

"""`DedupAnalytics`: the answers equal a hand count, and the advice follows the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings

from catalogkit import analytics
from catalogkit.analytics import DedupAnalytics, DedupGroup
from catalogkit.errors import InvalidInput
from catalogkit.ingest import ingest
from catalogkit.stats import dedup_by, dedup_groups
from tests.test_stats import AS_OF, GB, A, B, C, Catalog, catalogs, checked, docs, locs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection


class Source:
    """Two frames by name, and a list of the names that were asked for."""

    def __init__(self, documents: pl.DataFrame, locations: pl.DataFrame) -> None:
        self.frames = {"documents": documents, "locations": locations}
        self.asked: list[str] = []

    def frame(self, name: str) -> pl.DataFrame:
        self.asked.append(name)
        return self.frames[name]


def analytics_of(documents: pl.DataFrame, locations: pl.DataFrame) -> DedupAnalytics:
    return DedupAnalytics(Source(documents, locations))


def one_file(documents: int, copies: int, **row: Any) -> DedupAnalytics:
    """So many documents of 1 GB with so many copies in one store."""
    return analytics_of(docs(*[{"bytes": GB} | row] * documents), locs(*[{"bytes": GB}] * copies))


def test_hazard_66_saved_storage_is_the_hand_count() -> None:
    """Ten documents on one file of 1 GB have saved 9 GB, and every way to ask gives that number."""
    asked = one_file(10, 1)
    assert asked.storage_saved_gb() == 9.0
    assert asked.dedup_by_resolver() == {"web": 9.0}
    assert sum(group.saved_bytes for group in asked.top_duplicates()) == 9 * GB
    assert asked.totals.saved_bytes == 9 * GB
    assert asked.dedup_ratio() == 0.9


def test_hazard_67_shared_bytes_are_never_offered_for_dedup() -> None:
    """Ten documents on one stored file: nothing to reclaim, and no sentence says otherwise."""
    asked = analytics_of(docs(*[{"resolver": f"r{number}"} for number in range(10)]), locs({}))
    assert [group.reclaimable_bytes for group in asked.top_duplicates()] == [0]
    assert not any("free" in sentence for sentence in asked.recommendations())


@settings(deadline=None, max_examples=50)
@given(catalogs())
def test_hazard_68_the_answers_agree_with_each_other(catalog: Catalog) -> None:
    """Whatever the catalog, savings by resolver add up to the savings, and the ratio is the totals'."""
    asked = analytics_of(*catalog)
    assert sum(asked.dedup_by_resolver().values()) == pytest.approx(asked.storage_saved_gb(), abs=1e-12)
    assert asked.storage_saved_gb() == asked.totals.saved_bytes / 1e9
    assert asked.dedup_ratio() == asked.totals.dedup_ratio
    groups = asked.top_duplicates(100)
    assert sum(group.reclaimable_bytes for group in groups) == asked.totals.reclaimable_bytes
    assert [group.sha256 for group in groups] == dedup_groups(*catalog)["sha256"].to_list()


def test_hazard_68_a_resolver_without_digests_brings_no_duplicates() -> None:
    """Documents that nobody has hashed are not called duplicates."""
    sentences = analytics_of(docs(*[{"sha256": None, "resolver": "unhashed"}] * 5), locs()).recommendations()
    assert sentences == ["500 B that documents need are in no store: repair, or fetch again."]


@pytest.mark.parametrize("again, told", [(0, False), (1, False), (2, True)])
def test_hazard_69_the_threshold_rejects_half_and_passes_more(again: int, told: bool) -> None:
    """A resolver is named when more than half of its bytes were there before; exactly half is not enough."""
    known = docs({}, {"sha256": B, "resolver": "late"}, *[{"resolver": "late"}] * again)
    held = locs({}, {"sha256": B})
    shares = dict(dedup_by(known, held, "resolver").select("resolver", "duplicate_bytes").iter_rows())
    assert shares["late"] == again * 100
    assert any("'late'" in sentence for sentence in analytics_of(known, held).recommendations()) is told


def test_top_duplicates_are_groups_with_everything_said() -> None:
    """The group with most to free comes first, as a value with all its fields; n limits the list."""
    known = docs({"sha256": B}, {"sha256": B}, {"artifact_id": "first"}, {}, {}, {"sha256": C})
    asked = analytics_of(known, locs({}, {}, {"sha256": B}, {"sha256": C}))
    first = DedupGroup(
        sha256=A,
        bytes=100,
        documents=3,
        objects=2,
        saved_bytes=100,
        reclaimable_bytes=100,
        media_type="application/pdf",
        artifact_id="first",
    )
    assert asked.top_duplicates(1) == [first]
    assert [group.sha256 for group in asked.top_duplicates()] == [A, B]
    assert asked.top_duplicates(0) == []
    with pytest.raises(InvalidInput, match="0 or more"):
        asked.top_duplicates(-1)


def test_top_duplicates_are_ten_unless_told_otherwise() -> None:
    """Of twelve groups the default list has ten."""
    digests = [f"{number:064x}" for number in range(12)] * 2
    assert len(analytics_of(docs(*[{"sha256": digest} for digest in digests]), locs()).top_duplicates()) == 10


def test_savings_are_split_between_resolvers() -> None:
    """A blob that two resolvers brought is saved half by each; one with blobs of its own saves nothing."""
    known = docs(*[{"resolver": name, "bytes": GB} for name in "xy"], {"sha256": B, "resolver": "z"})
    assert analytics_of(known, locs({"bytes": GB}, {"sha256": B})).dedup_by_resolver() == {"x": 0.5, "y": 0.5, "z": 0.0}


def test_advice_has_a_figure_for_each_thing_to_do() -> None:
    """Absent, spare, repeated and unreferenced bytes each get their sentence, the most serious first."""
    known = docs(
        {"bytes": 2 * GB, "resolver": "x"},
        *[{"bytes": 2 * GB, "resolver": "late"}] * 3,
        {"sha256": B, "bytes": 1_500_000, "resolver": "x"},
    )
    nas = {"store": "nas", "bytes": 2 * GB}
    held = locs({"bytes": 2 * GB}, {"bytes": 2 * GB}, nas, nas, nas, {"sha256": C, "bytes": 12_345})
    copies = "5 copies of aaaaaaaa, first brought by artifact 'artifact-1'"
    assert analytics_of(known, held).recommendations() == [
        "1.50 MB that documents need are in no store: repair, or fetch again.",
        "Dedup can free 6.00 GB of spare copies, 4.00 GB of it in store 'nas'.",
        f"The biggest group frees 6.00 GB: {copies}; documents that need them: 4.",
        "Resolver 'late' brings mostly what is there already: 6.00 GB of its 6.00 GB.",
        "12.3 kB belong to no document: plan a garbage collection.",
    ]


def test_spare_copies_in_their_owners_hands_are_no_work_for_dedup() -> None:
    """They count as reclaimable, and the advice is to take them in; dedup is offered what it may touch, alone."""
    place = {"store": "in-place", "layout": "reference", "bytes": GB}
    told = analytics_of(docs({"bytes": GB}), locs(place, place, place)).recommendations()
    advice = (
        "in their owners' hands, where dedup changes nothing: take those files in, and a store keeps equal bytes once."
    )
    assert told == [f"2.00 GB of spare copies are {advice}"]
    both = analytics_of(docs({"bytes": GB}), locs(place, place, {"bytes": GB}, {"bytes": GB}))
    assert both.recommendations()[0] == "Dedup can free 1.00 GB of spare copies, 1.00 GB of it in store 'main'."
    assert both.recommendations()[1].startswith("The biggest group frees 1.00 GB: 2 copies of aaaaaaaa")
    assert both.recommendations()[2].startswith("1.00 GB of spare copies are in their owners' hands")


def test_only_the_resolver_with_most_repeated_bytes_is_told() -> None:
    """Of several resolvers that bring mostly duplicates one is named: most repeated bytes, then the first by name."""
    known = docs(*[{"sha256": digest, "resolver": "web"} for digest in (A, B, C)])
    late = {A: ["z"] * 3, B: ["b"] * 2, C: ["a"] * 2}
    later = [{"sha256": digest, "resolver": name} for digest, names in late.items() for name in names]
    # What is saved would order them otherwise: b first, whose content alone has no spare copies.
    held = locs(*[{}] * 4, {"sha256": B}, *[{"sha256": C}] * 3)
    for rows, name, size in [(later, "z", "300 B"), (later[3:], "a", "200 B")]:
        more = pl.concat([known, docs(*rows).with_columns(pl.col("id") + 3)])
        told = [sentence for sentence in analytics_of(more, held).recommendations() if "Resolver" in sentence]
        assert told == [f"Resolver '{name}' brings mostly what is there already: {size} of its {size}."]


def test_of_two_stores_with_as_much_to_free_the_first_by_name_is_told() -> None:
    """Advice does not depend on the order of rows."""
    rows = [{"store": store} for store in ("main", "cold", "main", "cold")]
    for held in (locs(*rows), locs(*reversed(rows))):
        assert "100 B of it in store 'cold'" in analytics_of(docs({}), held).recommendations()[0]


@pytest.mark.parametrize(
    "known, held, saved",
    [
        (docs(), locs(), "0 B"),
        (docs({}, {"sha256": B}), locs({}, {"sha256": B}, {"store": "cold"}), "0 B"),
        (docs({"bytes": GB}, {"bytes": GB}), locs({"bytes": GB}), "1.00 GB"),
    ],
    ids=["empty", "nothing shared", "all shared"],
)
def test_no_advice_without_a_reason(known: pl.DataFrame, held: pl.DataFrame, saved: str) -> None:
    """When nothing is spare, absent, repeated or unreferenced, one sentence says so."""
    advice = [f"Nothing to do: no spare copies; sharing already saves {saved}."]
    assert analytics_of(known, held).recommendations() == advice


def test_hazard_49_an_empty_catalog_has_answers() -> None:
    """Every question has an answer when there is nothing at all."""
    asked = analytics_of(docs(), locs())
    assert (asked.storage_saved_gb(), asked.dedup_ratio()) == (0.0, 0.0)
    assert asked.top_duplicates() == []
    assert asked.dedup_by_resolver() == {}
    assert "0 B (0 % of logical)" in asked._repr_mimebundle_()["text/plain"]


def test_frames_are_read_once_and_not_before_they_are_needed() -> None:
    """Making the object reads nothing; all its answers together read each frame once."""
    source = Source(docs({}, {}), locs({}, {}))
    asked = DedupAnalytics(source)
    assert source.asked == []
    for _ in range(2):
        asked.recommendations()
        asked.top_duplicates()
        asked.dedup_by_resolver()
        asked.storage_saved_gb()
        asked._repr_mimebundle_()
    assert sorted(source.asked) == ["documents", "locations"]


def test_a_notebook_shows_the_totals_and_works_out_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture in a cell is the totals as text and as a table; groups and parts are left alone."""

    def refuse(*_: object) -> None:
        raise AssertionError("only the totals are needed")

    for name in ("dedup_groups", "dedup_by", "objects_of"):
        monkeypatch.setattr(analytics, name, refuse)
    held = locs(
        *[{"bytes": GB}] * 2, {"store": "cold", "bytes": GB}, {"sha256": B, "bytes": 7000}, checked("missing", AS_OF)
    )
    shown = analytics_of(docs(*[{"bytes": GB}] * 4, {"sha256": C}), held)._repr_mimebundle_()
    assert shown["text/plain"].splitlines() == [
        "documents                  5",
        "distinct contents          3",
        "stored objects             4",
        "logical                    4.00 GB",
        "physical                   3.00 GB",
        "saved by sharing           2.00 GB (50.0 % of logical)",
        "reclaimable by dedup       1.00 GB",
        "replicas in further stores 1.00 GB",
        "belonging to no document   7.00 kB",
        "in no store                100 B",
    ]
    assert shown["text/html"].count("<tr>") == 10
    assert "<th scope='row'>reclaimable by dedup</th><td>1.00 GB</td>" in shown["text/html"]


def test_all_is_complete() -> None:
    """Every public name the module defines is in `__all__`."""
    own = {name for name, value in vars(analytics).items() if getattr(value, "__module__", "") == analytics.__name__}
    assert set(analytics.__all__) == {name for name in own if not name.startswith("_")}


def test_the_same_from_the_mirror(
    make_collection: Callable[..., Collection], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where documents are many the figures come from the mirror, and are the same in every digit."""
    collection = make_collection("policy")
    for number in range(9):
        (source / f"{number}.txt").write_bytes(b"x" * (number % 4 + 1) * 100)
    ingest(collection, source, resolver="pmc")
    ingest(collection, source / "1.txt", resolver="other")
    plain = analytics.DedupAnalytics(collection)
    assert isinstance(plain._answers, analytics._FromFrames)
    monkeypatch.setattr(analytics, "MANY", 1)
    mirrored = analytics.DedupAnalytics(collection)
    assert not isinstance(mirrored._answers, analytics._FromFrames)
    assert mirrored.totals == plain.totals
    assert mirrored.top_duplicates() == plain.top_duplicates()
    assert mirrored.dedup_by_resolver() == plain.dedup_by_resolver()
    assert mirrored.recommendations() == plain.recommendations()
    assert plain.totals.saved_bytes

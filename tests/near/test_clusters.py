"""From sketches to clusters: which pairs are compared, which stars they make, which copy is in the middle."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit.near.clusters import LARGEST, Member, clusters
from catalogkit.near.pairs import ALL_PAIRS, ESTIMATE, PAIRS, SKETCHES, pairs
from catalogkit.near.shingles import Shingles, compared
from catalogkit.near.sketches import sketched
from tests.near.texts import page, prose, watermarked


def sketches(texts: Sequence[str]) -> pl.DataFrame:
    rows = [(f"{number:064x}", *sketch) for number, sketch in enumerate(sketched(texts))]
    return pl.DataFrame(rows, schema=SKETCHES, orient="row")


def found(texts: Sequence[str], best: Sequence[int] | None = None) -> list[list[Member]]:
    """The clusters of some texts; rows named in `best` are preferred, in that order, else the first ones."""
    worth = pairs(sketches(texts)).select("a", "b").iter_rows()
    order = {row: place for place, row in enumerate(best or range(len(texts)))}
    return clusters(
        worth, lambda rows: sorted(rows, key=lambda row: order.get(row, len(texts) + row)), texts.__getitem__
    )


def members(texts: Sequence[str], best: Sequence[int] | None = None) -> list[list[int]]:
    return [[one.row for one in cluster] for cluster in found(texts, best)]


def test_no_texts_no_pairs() -> None:
    """An empty frame with the same columns; so is that of texts that are not compared."""
    for texts in ([], ["", "short"], [prose("alone")]):
        assert pairs(sketches(texts)).schema == PAIRS and pairs(sketches(texts)).is_empty()
        assert members(texts) == []


def test_estimates_are_near_the_truth() -> None:
    """Within four standard errors of what comparing the texts tells."""
    text = prose("text", 900)
    words = text.split()
    others = [" ".join(words[:-cut] + prose(f"other {cut}", cut).split()) for cut in (20, 60, 120, 200)]
    texts = [text, *others]
    for a, b, estimate in pairs(sketches(texts)).iter_rows():
        truth = compared(Shingles(texts[a]), Shingles(texts[b])).jaccard
        assert abs(estimate - truth) < 0.18 and estimate >= ESTIMATE


def test_pairs_of_equal_sketches_are_few() -> None:
    """A thousand equal texts are a thousand pairs, not half a million; nor are many that agree in a band."""
    assert pairs(sketches([prose("stock")] * 1000)).height == 999
    alike = [watermarked(prose("text")) + f" {prose(f'end {n}', 20)}" for n in range(ALL_PAIRS * 2)]
    assert pairs(sketches(alike)).height < 20 * len(alike)
    assert [len(cluster) for cluster in found(alike)] == [len(alike)]


def test_clusters_of_the_same_text() -> None:
    """Each text with its variants and nothing else; what is in the middle comes first."""
    texts = [text for name in "abc" for text in (prose(name), watermarked(prose(name)), page(prose(name), name))]
    made = members([*texts, prose("alone"), "404 not found", ""])
    assert sorted(map(sorted, made)) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert [cluster[0] for cluster in made] == [0, 3, 6]


def test_the_preferred_copy_is_in_the_middle() -> None:
    """If it is the same text as all others; everything is told against it."""
    texts = [prose("a"), watermarked(prose("a")), prose("a").upper()]
    for best in ([1, 0, 2], [2, 1, 0]):
        [cluster] = found(texts, best)
        assert [one.row for one in cluster] == best
        assert cluster[0].likeness.jaccard == 1.0
        for one in cluster[1:]:
            assert one.likeness == compared(Shingles(texts[best[0]]), Shingles(texts[one.row]))


def test_chains_do_not_join_what_is_unlike() -> None:
    """A text that goes over into another one step by step: ends that have nothing in common are not together."""
    words, other = prose("begin", 600).split(), prose("end", 600).split()
    texts = [" ".join(words[step * 60 :] + other[: step * 60]) for step in range(11)]
    for cluster in found(texts):
        middle = Shingles(texts[cluster[0].row])
        assert all(compared(middle, Shingles(texts[one.row])).same for one in cluster)
    assert not any({0, 10} <= set(rows) for rows in members(texts))
    assert len(members(texts)) > 1


def test_many_that_say_the_same_are_one_cluster() -> None:
    """However many; whoever reads it takes them for something that servers say."""
    texts = [prose("notice", 80)] * (LARGEST + 5)
    assert [len(cluster) for cluster in found(texts)] == [LARGEST + 5]


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_every_cluster_is_a_star(data: st.DataObject) -> None:
    """Whatever the texts and whatever is preferred: no row twice, and every member the same as the middle."""
    names = data.draw(st.lists(st.sampled_from("abc"), min_size=2, max_size=8))
    cuts = [data.draw(st.integers(0, 60)) for _ in names]
    texts = [" ".join(prose(name, 120).split()[cut:]) for name, cut in zip(names, cuts, strict=True)]
    best = data.draw(st.permutations(range(len(texts))))
    made = found(texts, best)
    rows = [one.row for cluster in made for one in cluster]
    assert len(rows) == len(set(rows))
    for cluster in made:
        assert len(cluster) > 1
        assert len({names[one.row] for one in cluster}) == 1
        middle = Shingles(texts[cluster[0].row])
        assert all(compared(middle, Shingles(texts[one.row])).same for one in cluster)


@pytest.mark.parametrize("texts", [["", ""], ["x", "x"], ["404 not found " * 30] * 3])
def test_what_says_nothing_is_nobodys_duplicate(texts: list[str]) -> None:
    """Empty, short and stock texts."""
    assert members(texts) == []

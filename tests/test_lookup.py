"""Where values stand among others, whether they are close together, far apart, or no numbers at all."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit.lookup import places, repeated

CLOSE, FAR = st.integers(0, 30), st.integers(-(2**40), 2**40)


SOME = st.none() | CLOSE | FAR


@settings(deadline=None)
@given(
    st.lists(st.none() | CLOSE, max_size=12) | st.lists(SOME, max_size=12),
    st.lists(SOME, max_size=12),
    st.lists(st.integers(0, 11), max_size=4),
)
def test_each_value_is_found_where_it_stands(
    among: list[int | None], others: list[int | None], some: list[int]
) -> None:
    """The same as one by one; what does not stand there, above, below or between, and nothing, have no place."""
    wanted = others + [among[place] for place in some if place < len(among)]
    stands = {one: place for place, one in enumerate(among) if one is not None}
    numbers = places(pl.Series(wanted, dtype=pl.Int64), pl.Series(among, dtype=pl.Int64))
    texts = places(pl.Series(wanted, dtype=pl.Int64).cast(pl.String), pl.Series(among, dtype=pl.Int64).cast(pl.String))
    assert numbers.to_list() == texts.to_list() == [stands.get(one) for one in wanted]


@pytest.mark.parametrize("among", [[], [None]])
def test_among_nothing_nothing_stands(among: list[int | None]) -> None:
    """No places, one for each all the same."""
    found = places(pl.Series([1, None], dtype=pl.Int64), pl.Series(among, dtype=pl.Int64))
    assert found.dtype == pl.UInt32 and found.to_list() == [None, None]


@settings(deadline=None)
@given(st.lists(st.none() | CLOSE, max_size=20) | st.lists(CLOSE | FAR, max_size=20))
def test_what_stands_there_twice_is_repeated(values: list[int | None]) -> None:
    """Every time that it stands there, also where it is nothing."""
    assert repeated(pl.Series(values, dtype=pl.Int64)).to_list() == [values.count(one) > 1 for one in values]

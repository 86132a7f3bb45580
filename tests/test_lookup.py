"""Where values stand among others, whether they are close together, far apart, or no numbers at all."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit.lookup import places

CLOSE, FAR = st.integers(0, 30), st.integers(-(2**40), 2**40)


@given(st.data())
def test_each_value_is_found_where_it_stands(data: st.DataObject) -> None:
    """The same as one by one; what does not stand there, above, below or between, and nothing, have no place."""
    value = data.draw(st.sampled_from([CLOSE, FAR, CLOSE | FAR]))
    among = data.draw(st.lists(st.none() | value, unique=True, max_size=12))
    wanted = data.draw(st.lists(st.none() | value | st.sampled_from([*among, 31]), max_size=20))
    stands = {one: place for place, one in enumerate(among) if one is not None}
    numbers = places(pl.Series(wanted, dtype=pl.Int64), pl.Series(among, dtype=pl.Int64))
    texts = places(pl.Series(wanted, dtype=pl.Int64).cast(pl.String), pl.Series(among, dtype=pl.Int64).cast(pl.String))
    assert numbers.to_list() == texts.to_list() == [stands.get(one) for one in wanted]


@pytest.mark.parametrize("among", [[], [None]])
def test_among_nothing_nothing_stands(among: list[int | None]) -> None:
    """No places, one for each all the same."""
    found = places(pl.Series([1, None], dtype=pl.Int64), pl.Series(among, dtype=pl.Int64))
    assert found.dtype == pl.UInt32 and found.to_list() == [None, None]

"""Request rates, shrunk towards the rate of the object's class where its own requests say little.

Most objects were asked for once or never. Their own rate says little; that of their source says more. With requests of
an object as a Poisson process whose rate varies within its class as a Gamma distribution (Robbins' empirical Bayes,
1956), the expected rate is ``(requests + a) / (watched + a / class rate)``. The shape `a` is told by how much more the
numbers of requests spread than chance would make them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.eviction.features import CLASSES, DIGITS, OF_TENANTS

if TYPE_CHECKING:
    from collections.abc import Mapping

SHAPES: Final = (0.02, 5.0)
# So many objects' worth of the wider class is added to a narrower one.
LENT: Final = 5.0
# A log that just began says little, however much it has: so long it counts at least, in horizons.
BRIEF: Final = 0.25


def shrunken(rows: pl.DataFrame, count: str, watched: str, typical: pl.Series) -> pl.LazyFrame:
    """Posterior means by object.

    Parameters
    ----------
    rows
        What `features.features` returns.
    count, watched
        The columns with the number of requests, and with the horizons in which they were counted.
    typical
        Their `class_rates`.

    Returns
    -------
    LazyFrame
        ``expected`` requests in a horizon, ``any`` (the chance of one or more), in the order of the rows.
    """
    table = rows.select(n=pl.col(count).cast(pl.Float64), w=watched).with_columns(rate=typical)
    expected = pl.col("rate") * pl.col("w")
    spread, scale = table.select(
        ((pl.col("n") - expected) ** 2 - expected).sum(), (expected**2).sum().alias("scale")
    ).row(0)
    shape = float(f"{min(max(scale / spread if spread and spread > 0 else SHAPES[1], SHAPES[0]), SHAPES[1]):.9g}")
    alpha, beta = pl.col("n") + shape, pl.col("w") + shape / pl.col("rate")
    return table.lazy().select(expected=alpha / beta, any=1 - (beta / (beta + 1)) ** alpha)


def class_rates(rows: pl.DataFrame, measures: Mapping[str, str]) -> pl.DataFrame:
    """The rate of each row's source and kind, leaning on the source, leaning on all, where they are small.

    Parameters
    ----------
    measures
        Columns with numbers of requests, each with the column of the horizons in which they were counted.

    Returns
    -------
    DataFrame
        A column for each of those numbers, in the order of the rows.
    """
    classes = CLASSES if rows["tenant"].n_unique() < 2 else OF_TENANTS
    # Each class lies within the wider ones, and few are narrow: what is summed up once for those is summed up for all.
    narrow = classes[-1]
    wider = {name for names in classes for name in names if name not in narrow}
    sums = rows.group_by(narrow).agg(
        pl.col(*wider).first(), pl.len().alias("rows"), pl.col(*{*measures, *measures.values()}).sum()
    )
    found = {}
    for count, watched in measures.items():
        n, w = pl.col(count).sum(), pl.col(watched).sum()
        # Half a request that nobody made, so that no rate is zero.
        rate = (n + 0.5) / (w + 0.5)
        for names in classes:
            lent = LENT * (w.over(names) / pl.col("rows").sum().over(names)).clip(BRIEF)
            rate = (n.over(names) + lent * rate) / (w.over(names) + lent)
        found[count] = rate.round_sig_figs(DIGITS)
    # What stands there twice is reckoned once, but only of a lazy frame.
    told = sums.lazy().select(*narrow, **found).collect()
    return rows.select(narrow).join(told, on=narrow, how="left", maintain_order="left").drop(narrow)

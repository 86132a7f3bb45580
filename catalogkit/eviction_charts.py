"""Charts of eviction scores: what space costs, what it would have cost, how well chances are calibrated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit import drawing
from catalogkit.display import format_bytes
from catalogkit.eviction.backtest import ORACLE, OURS, RANDOM

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from catalogkit.eviction.scoring import Card

__all__ = ["calibration", "calibration_bins", "freed", "parts", "regrets", "steps"]

_TRIED: Final = 12
_LINES: Final = {
    OURS: (drawing.ORANGE, "solid", 3.0),
    ORACLE: (drawing.GREEN, "solid", 1.5),
    RANDOM: (drawing.GREY, "dash", 1.5),
}
_DASHES: Final = ("dot", "dashdot", "longdash", "longdashdot")


def steps(chosen: pl.DataFrame, points: int = 400) -> pl.DataFrame:
    """What letting go of the first contents amounts to.

    Parameters
    ----------
    chosen
        Rows of `SmartEvictionPolicy.ranked` that may go, the first first.

    Returns
    -------
    DataFrame
        ``contents``, ``stored_bytes`` of all up to there, ``expected_back`` (contents of those that somebody is
        expected to ask for within the horizon; null where no log tells): at most so many rows, the last among them.
    """
    ranked = chosen.select(
        contents=pl.int_range(1, pl.len() + 1, dtype=pl.Int64),
        stored_bytes=pl.col("stored_bytes").cum_sum(),
        expected_back=pl.when(pl.col("reuse").is_not_null().all()).then(pl.col("reuse").cum_sum()),
    )
    rows = min(points, ranked.height)
    return ranked[[row * (ranked.height - 1) // max(rows - 1, 1) for row in range(rows)]]


def freed(shown: pl.DataFrame) -> go.Figure:
    """Draw `steps`: the room that the first contents make, with a slider that says what some of it costs."""
    if shown.is_empty():
        return drawing.empty("Nothing can be fetched again, so nothing could be let go.")
    rows = shown.to_dicts()
    # Evenly spaced in bytes: that is what somebody wants to free.
    most = rows[-1]["stored_bytes"]
    wanted = [most * (number + 1) // _TRIED for number in range(_TRIED)]
    picked = [next(row for row in rows if row["stored_bytes"] >= size) for size in wanted]
    said = [_said(row) for row in rows]
    points = [
        (format_bytes(size), row["contents"], row["stored_bytes"], _said(row))
        for size, row in zip(wanted, picked, strict=True)
    ]
    figure = drawing.slider(
        (shown["contents"].to_list(), shown["stored_bytes"].to_list(), said), points,
        start=_TRIED // 3, hover="%{text}<extra></extra>", prefix="free ", height=360,
    )  # fmt: skip
    figure.update_xaxes(title_text="contents, the first to go first", rangemode="tozero")
    return figure.update_yaxes(title_text="bytes freed", **drawing.bytes_axis(most))


def _said(row: dict[str, float]) -> str:
    count = (
        f"{row['contents']:,} content{'' if row['contents'] == 1 else 's'}: {format_bytes(int(row['stored_bytes']))}"
    )
    back = row["expected_back"]
    return count if back is None else f"{count}, {back:,.1f} expected back"


def regrets(curves: pl.DataFrame) -> go.Figure:
    """Draw `backtest.curves`: the requests that removed contents would have met, by the room that was made."""
    if curves.is_empty():
        return drawing.empty("The access log is too short to look back.")
    figure = drawing.figure(height=380)
    others = iter(_DASHES)
    for (order,), part in curves.group_by("order", maintain_order=True):
        color, dash, width = _LINES.get(str(order)) or (drawing.BLUE, next(others, "dot"), 1.5)
        figure.add_scatter(
            x=part["freed_share"].to_list(),
            y=part["requests_share"].to_list(),
            mode="lines",
            name=str(order),
            line={"color": color, "dash": dash, "width": width},
            hovertemplate=f"{order}: %{{x:.0%}} of the bytes free, %{{y:.1%}} of the requests<extra></extra>",
        )
    figure.update_xaxes(title_text="share of all bytes freed", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title_text="share of requests that met a hole", tickformat=".0%", rangemode="tozero")
    return drawing.legend_above(figure)


def calibration_bins(card: Card) -> pl.DataFrame:
    """Promised chances and what came, as a frame: ``promised``, ``came``, ``objects``."""
    return pl.DataFrame(
        card.calibration, schema={"promised": pl.Float64(), "came": pl.Float64(), "objects": pl.Int64()}, orient="row"
    )


def calibration(bins: pl.DataFrame) -> go.Figure:
    """Draw `calibration_bins`: on the line a promise was kept."""
    if bins.is_empty():
        return drawing.empty("No chance of reuse was promised, so none can be checked.")
    figure = drawing.figure(height=340)
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": drawing.GREY, "dash": "dash", "width": 1},
                       hoverinfo="skip", showlegend=False)  # fmt: skip
    figure.add_scatter(
        x=bins["promised"].to_list(),
        y=bins["came"].to_list(),
        mode="lines+markers",
        line={"color": drawing.ORANGE, "width": 2},
        text=[f"{count:,} contents" for count in bins["objects"]],
        hovertemplate="promised %{x:.1%}, came %{y:.1%}: %{text}<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(title_text="chance of reuse, promised", tickformat=".0%", range=[0, 1])
    return figure.update_yaxes(title_text="share that was asked for", tickformat=".0%", range=[0, 1])


def parts(chosen: pl.DataFrame) -> pl.DataFrame:
    """The scores of some contents beside the parts that add up to them, for people; what no log tells is left out."""
    shown = chosen.select(
        "artifact_id", "resolver", "media_type", "stored_bytes", "documents",
        reuse=pl.col("reuse").round(3), expected_requests=pl.col("expected").round(2),
        refetch_chance=pl.col("refetch_chance").round(2), score=pl.col("score").round(1),
        of_bytes=pl.col("part_bytes").round(1), of_requests=pl.col("part_requests").round(1),
        of_reuse=pl.col("part_reuse").round(1), of_refetch=pl.col("part_refetch").round(1),
    )  # fmt: skip
    return shown.select(name for name in shown.columns if shown[name].null_count() < max(shown.height, 1))

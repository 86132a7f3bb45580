"""Charts of a plan: what share of the stored bytes it frees, and how old what it removes is."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import polars as pl

from catalogkit import drawing
from catalogkit.approval import Selection
from catalogkit.display import format_bytes, plotly_text
from catalogkit.selecting import Choice

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from catalogkit.plan import Plan

__all__ = ["age_classes", "ages", "compared", "differences", "freed", "freed_steps"]


def freed_steps(plan: Plan) -> pl.DataFrame:
    """Walk from all stored bytes to those that stay, a step for each reason; the steps add up exactly.

    Returns
    -------
    DataFrame
        ``step``, ``bytes`` (signed), ``units``.
    """
    whole, goes = plan.head.physical_bytes, plan.bytes_freed()
    rows = [("stored", whole, None)]
    rows += [(plan.words(row["reason"]), -row["bytes"], row["units"]) for row in plan.totals().to_dicts()]
    # An object of which only some names go frees nothing: the reasons' shares of it are given back here.
    if difference := -goes - sum(row[1] for row in rows[1:]):
        rows.append(("shared with what stays", difference, None))
    rows.append(("stays", whole - goes, None))
    return pl.DataFrame(rows, schema={"step": pl.String, "bytes": pl.Int64, "units": pl.Int64}, orient="row")


def freed(plan: Plan) -> go.Figure:
    """Draw `freed_steps` as bars that start where the one above ended."""
    steps = freed_steps(plan)
    if not plan.head.physical_bytes:
        return drawing.empty("Nothing is stored.")
    sizes = steps["bytes"].to_list()
    names = [plotly_text(name) for name in steps["step"]]
    figure = drawing.bars(
        names, [abs(size) for size in sizes], [format_bytes(size) for size in sizes],
        colors=[drawing.GREY, *[drawing.ORANGE] * (len(sizes) - 2), drawing.BLUE], details=names,
        hover="<b>%{customdata}</b>: %{text}<extra></extra>",
        starts=drawing.waterfall(sizes, (0, len(sizes) - 1)), by_place=True, height=120 + 34 * steps.height,
    )  # fmt: skip
    return figure.update_xaxes(title_text="bytes", **drawing.bytes_axis(max(sizes), exact=True))


def differences(plan: Plan, earlier: Plan | None) -> pl.DataFrame:
    """What a plan has in common with an earlier one, by reason.

    Returns
    -------
    DataFrame
        ``reason`` in words; ``still``, ``new`` and ``no_longer``: how many steps both have, only the plan has, only the
        earlier one had. Steps are the same if they do the same to the same thing. Empty without an earlier plan.
    """
    schema = {"reason": pl.String, "still": pl.Int64, "new": pl.Int64, "no_longer": pl.Int64}
    if earlier is None:
        return pl.DataFrame(schema=schema)
    changed = earlier.diff(plan)
    now, added, dropped = (
        dict(frame.group_by("reason").len().rows())
        for frame in (plan.frame, changed.filter(change="added"), changed.filter(change="dropped"))
    )
    words = {**earlier.head.reasons, **plan.head.reasons}
    rows = [
        (words[reason], now.get(reason, 0) - added.get(reason, 0), added.get(reason, 0), dropped.get(reason, 0))
        for reason in words
        if reason in now or reason in dropped
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def compared(plan: Plan, earlier: Plan | None) -> go.Figure:
    """Draw `differences` as bars: what is still there, what is new, what is there no longer."""
    if earlier is None:
        return drawing.empty("No earlier plan of this kind was saved, so there is nothing to compare with.")
    rows = differences(plan, earlier)
    if rows.is_empty():
        return drawing.empty("Neither plan has a step.")
    places = list(range(rows.height))
    figure = drawing.figure(height=92 + 34 * rows.height)
    parts = {
        "still": ("still there", drawing.BLUE),
        "new": ("new", drawing.ORANGE),
        "no_longer": ("there no longer", drawing.GREY),
    }
    for column, (name, color) in parts.items():
        figure.add_bar(
            y=places, x=rows[column].to_list(), name=name, orientation="h", marker_color=color,
            hovertemplate="%{x:,} steps<extra>" + name + "</extra>",
        )  # fmt: skip
    sums = rows.select(pl.sum_horizontal(*parts)).to_series().to_list()
    said = [f" {row['new']:,} new, {row['no_longer']:,} gone" for row in rows.iter_rows(named=True)]
    figure.add_scatter(
        y=places, x=sums, mode="text", text=said, textposition="middle right", cliponaxis=False, hoverinfo="skip",
        showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(title_text="steps", **drawing.counts_axis(sums))
    names = [plotly_text(name) for name in rows["reason"]]
    figure.update_yaxes(autorange="reversed", showgrid=False, tickvals=places, ticktext=names)
    return drawing.legend_above(figure.update_layout(barmode="stack", bargap=0.3, margin_r=110))


def age_classes(plan: Plan) -> pl.DataFrame:
    """Units of a plan by age, in at most 20 classes of equal width, and by reason.

    Returns
    -------
    DataFrame
        ``from_days``, ``under_days``, ``reason``, ``units``; only classes that have units.
    """
    choice = Choice(plan, Selection(""))
    classes = [tuple(map(int, part.label.split(":"))) for part in choice.histograms().get("age_days", [])]
    starts = pl.DataFrame(classes, schema={"from_days": pl.Int64, "under_days": pl.Int64}, orient="row").with_columns(
        start=pl.col("from_days")
    )
    known = choice.table.drop_nulls("age_days").select("reason", from_days="age_days").sort("from_days")
    placed = known.join_asof(starts, left_on="from_days", right_on="start", coalesce=False)
    counted = placed.group_by("start", "under_days", "reason").agg(pl.len().cast(pl.Int64).alias("units"))
    return counted.rename({"start": "from_days"}).sort("from_days", "reason")


def ages(plan: Plan) -> go.Figure:
    """Draw `age_classes` as stacked bars, a colour for each reason."""
    classes = age_classes(plan)
    if classes.is_empty():
        return drawing.empty("Nothing in the plan has an age.")
    figure = drawing.figure(height=300)
    colors = cycle((drawing.BLUE, drawing.ORANGE, drawing.GREEN, drawing.RED, drawing.SKY, drawing.PURPLE))
    for (reason,), part in classes.group_by(["reason"], maintain_order=True):
        figure.add_bar(
            marker_color=next(colors),
            x=[(low + high) / 2 for low, high in part.select("from_days", "under_days").rows()],
            width=(part["under_days"] - part["from_days"]).to_list(),
            y=part["units"].to_list(),
            name=plotly_text(plan.words(str(reason))),
            customdata=part.select("from_days", "under_days").rows(),
            hovertemplate="%{customdata[0]} to under %{customdata[1]} days: %{y:,} units<extra></extra>",
        )
    each = classes.group_by("from_days").agg(pl.col("units").sum())["units"]
    figure.update_xaxes(title_text="age in days", rangemode="tozero")
    figure.update_yaxes(title_text="units", **drawing.counts_axis(each, room=0.06))
    figure.update_layout(barmode="stack", bargap=0.05, showlegend=False)
    return drawing.legend_above(figure) if len(figure.data) > 1 else figure

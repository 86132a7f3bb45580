"""Charts of bytes: functions from frames to Plotly figures, and nothing else.

Where bytes are, who brings them, how they grew, how old they are, how lately they were verified. Every input is
aggregated (see `catalogkit.stats`), so a figure is as small for ten million documents as for ten.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import polars as pl

from catalogkit import stats
from catalogkit.display import clip_middle, format_bytes, format_share, plotly_text
from catalogkit.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LABEL,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    bars,
    bytes_axis,
    empty,
    faint,
    figure,
    legend_above,
    shares_axis,
    stacked,
    waterfall,
)

if TYPE_CHECKING:
    from catalogkit.coverage import Coverage
    from catalogkit.stats import DedupTotals

__all__ = [
    "by_column",
    "byte_steps",
    "coverage",
    "coverage_windows",
    "duplicate_groups",
    "growth",
    "savings_curve",
    "size_age",
    "where_bytes",
]


# -- where the bytes are -----------------------------------------------------------------------------------------


def byte_steps(totals: DedupTotals) -> pl.DataFrame:
    """Walk from what the documents would take to what lies in the stores; the steps add up exactly.

    Returns
    -------
    DataFrame
        ``step``, ``bytes`` (signed), ``meaning``; the rows called logical, unique and physical are sums.
    """
    steps = [
        ("logical", totals.logical_bytes, "every document with a copy of its own"),
        ("repeats", -totals.duplicate_bytes, "documents whose content another one has too"),
        ("unique", totals.unique_bytes, "one copy of each content that a document needs"),
        ("absent", -totals.absent_bytes, "needed, but in no store"),
        ("replicas", totals.replica_bytes, "copies in further stores, kept on purpose"),
        ("spare copies", totals.reclaimable_bytes, "further copies in one store: dedup can free them"),
        ("unreferenced", totals.unreferenced_bytes, "no document needs them: for garbage collection"),
        ("physical", totals.physical_bytes, "what lies in the stores"),
    ]
    return pl.DataFrame(steps, schema={"step": pl.String, "bytes": pl.Int64, "meaning": pl.String}, orient="row")


def where_bytes(totals: DedupTotals) -> go.Figure:
    """Draw `byte_steps` as bars that start where the one above ended."""
    if not totals.logical_bytes and not totals.physical_bytes:
        return empty("No document and no stored copy has any bytes.")
    colors = [GREY, GREEN, BLUE, RED, SKY, ORANGE, PURPLE, GREY]
    names, sizes, meanings = (column.to_list() for column in byte_steps(totals).get_columns())
    sums = [place for place, name in enumerate(names) if name in {"logical", "unique", "physical"}]
    starts = waterfall(sizes, sums)
    drawn = bars(
        names, [abs(size) for size in sizes], [format_bytes(size) for size in sizes], colors=colors, details=meanings,
        hover="<b>%{y}</b>: %{text}<br>%{customdata}<extra></extra>", starts=starts, height=330,
    )  # fmt: skip
    ends = [start + abs(size) for start, size in zip(starts, sizes, strict=True)]
    return drawn.update_xaxes(title_text="bytes", **bytes_axis(max(ends), exact=True))


def duplicate_groups(groups: pl.DataFrame, top: int = 20, *, among: pl.DataFrame | None = None) -> go.Figure:
    """Draw the groups of `stats.dedup_groups` with most bytes beyond one copy, freed and to be freed.

    `among` are all groups, where `groups` are only the first of them.
    """
    both = pl.col("saved_bytes") + pl.col("reclaimable_bytes")
    shown, whole = stats.largest(groups, top), groups if among is None else among
    rest = whole.select(both.sum()).item() - shown.select(both.sum()).item()
    if shown.is_empty():
        return empty("No content is shared by two documents, and no store holds one twice.")
    if not shown.select(both.sum()).item():
        return empty("The shared contents have no bytes beyond one stored copy.")
    labels, details = [], []
    for row in shown.iter_rows(named=True):
        name, media_type = row["artifact_id"] or "unnamed", row["media_type"] or "unknown type"
        labels.append(f"{plotly_text(clip_middle(name, 26))} · {row['sha256'][:8]}")
        details.append(
            f"{plotly_text(clip_middle(name, 90))}<br>{row['sha256'][:16]}…, {plotly_text(media_type)}"
            f"<br>{row['documents']:,} documents, {row['objects']:,} objects of {format_bytes(row['bytes'])}"
            f"<br>saved {format_bytes(row['saved_bytes'])}, reclaimable {format_bytes(row['reclaimable_bytes'])}"
        )
    parts = {"reclaimable_bytes": ("reclaimable", ORANGE), "saved_bytes": ("saved already", GREEN)}
    drawn = stacked(shown, labels, parts, details)
    left = whole.height - shown.height
    more = f"<br>(not shown: {left:,} more with {format_bytes(rest)})" if left else ""
    return drawn.update_xaxes(title_text=f"bytes beyond one copy{more}")


def by_column(frame: pl.DataFrame, column: str, top: int = 12) -> go.Figure:
    """Draw `stats.dedup_by`: for each value, its share of the stored bytes, and what sharing spared on top of it."""
    parts = ["documents", "logical_bytes", "saved_bytes", "reclaimable_bytes", "stored_bytes"]
    ranked = frame.select(pl.col(column).fill_null(""), *parts).sort(
        pl.col("stored_bytes") + pl.col("saved_bytes"), column, descending=[True, False]
    )
    names = [name or "(none)" for name in ranked[column].head(top)]
    rows = ranked.head(top).select(parts)
    if ranked.height > top:
        names.append(f"{ranked.height - top:,} others")
        rows = pl.concat([rows, ranked.slice(top).select(pl.col(parts).sum())])
    if rows.is_empty():
        return empty("There are no documents to part.")
    if not rows.select(pl.sum_horizontal("stored_bytes", "saved_bytes").sum()).item():
        return empty("Of these documents, nothing is stored.")
    rows = rows.with_columns(needed_bytes=pl.col("stored_bytes") - pl.col("reclaimable_bytes"))
    labels = [plotly_text(clip_middle(name, 30)) for name in names]
    details = [
        f"{plotly_text(name)}<br>{row['documents']:,} documents, logical {format_bytes(row['logical_bytes'])}"
        f"<br>stored {format_bytes(row['stored_bytes'])}, of that reclaimable {format_bytes(row['reclaimable_bytes'])}"
        f"<br>saved {format_bytes(row['saved_bytes'])}"
        for name, row in zip(names, rows.iter_rows(named=True), strict=True)
    ]
    colors = {
        "needed_bytes": ("stored, to keep", BLUE),
        "reclaimable_bytes": ("stored, reclaimable", ORANGE),
        "saved_bytes": ("saved, not stored", GREEN),
    }
    drawn = stacked(rows, labels, colors, details)
    return drawn.update_xaxes(title_text="bytes, stored and saved")


# -- over time, by rank, by class --------------------------------------------------------------------------------


def growth(frame: pl.DataFrame) -> go.Figure:
    """Draw `arrivals.growth`: running totals above, what each period brought below."""
    if frame.is_empty():
        return empty("No document has arrived yet.")
    periods, last = frame["period"].to_list(), frame.row(-1, named=True)
    logical, unique = frame["total_logical_bytes"].to_list(), frame["total_unique_bytes"].to_list()
    drawn = figure(height=470).update_layout(margin_t=22)
    mode = "lines" if len(periods) > 1 else "markers"
    lines = [("unique", unique, BLUE, "tozeroy", "top"), ("logical", logical, GREEN, "tonexty", "bottom")]
    for name, values, color, fill, anchor in lines:
        drawn.add_scatter(
            x=periods,
            y=values,
            name=name,
            mode=mode,
            line={"color": color, "width": 2},
            fill=fill,
            fillcolor=faint(color),
            text=[format_bytes(value) for value in values],
            hovertemplate="%{text}",
            showlegend=False,
        )
        drawn.add_annotation(
            x=periods[-1],
            y=values[-1],
            text=f"<b>{name}</b><br>{format_bytes(values[-1])}",
            showarrow=False,
            xanchor="left",
            xshift=6,
            align="left",
            yanchor=anchor if last["total_logical_bytes"] < 1.25 * last["total_unique_bytes"] else "middle",
        )
    arrived, fresh = frame["logical_bytes"].to_list(), frame["new_unique_bytes"].to_list()
    repeats = [all_ - new for all_, new in zip(arrived, fresh, strict=True)]
    # Half a period of room on both sides; the labels of the lines stand outside the axis.
    half = (periods[-1] - periods[0]) / max(len(periods) - 1, 1) / 2 or timedelta(days=15)
    width = None if len(periods) > 1 else half / timedelta(milliseconds=1)
    for name, values, color in [("new content", fresh, BLUE), ("repeats", repeats, GREEN)]:
        drawn.add_bar(
            x=periods,
            width=width,
            y=values,
            name=name,
            marker_color=color,
            yaxis="y2",
            text=[format_bytes(value) for value in values],
            textposition="none",
            hovertemplate="%{text}",
        )
    drawn.update_layout(
        barmode="stack",
        bargap=0.25,
        hovermode="x unified",
        legend={"y": 0.33},
        margin_r=LABEL,
        xaxis={
            "anchor": "y2",
            "title_text": "arrival (UTC)",
            "showgrid": False,
            "range": [periods[0] - half, periods[-1] + half],
        },
        yaxis={"domain": [0.42, 1], "title_text": "bytes so far", **bytes_axis(max(logical))},
        yaxis2={"domain": [0, 0.32], "title_text": "in period", "anchor": "x", **bytes_axis(max(arrived), ticks=4)},
    )
    return drawn


def savings_curve(frame: pl.DataFrame) -> go.Figure:
    """Draw `stats.savings_curve`, and mark how many groups make up four fifths of it."""
    if frame.height < 2:
        saved, spare = frame.select("saved_bytes", "reclaimable_bytes").sum().row(0)
        if frame.is_empty():
            return empty("Nothing is shared and nothing is spare, so there is nothing to gain.")
        return empty(f"There is one group only: {format_bytes(saved)} saved, {format_bytes(spare)} reclaimable.")
    total, last = frame["saved_bytes"] + frame["reclaimable_bytes"], frame["rank"][-1]
    drawn = figure(height=380)
    for column, name, color in [("saved_bytes", "saved already", GREEN), ("reclaimable_bytes", "reclaimable", ORANGE)]:
        drawn.add_scatter(
            x=frame["rank"].to_list(),
            y=frame[column].to_list(),
            name=name,
            mode="lines",
            stackgroup="one",
            line={"color": color, "width": 1.5},
            fillcolor=faint(color, 0.45),
            text=[format_bytes(value) for value in frame[column]],
            hovertemplate="%{text}",
        )
    most = frame.filter(total >= 0.8 * total[-1])["rank"][0]
    drawn.add_scatter(
        x=[most, most],
        y=[0, total[-1]],
        mode="lines",
        line={"color": INK, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )
    # A long tail needs a logarithmic axis, or the first groups share one pixel.
    logarithmic = last > 100
    drawn.update_xaxes(
        title_text=f"groups, most bytes first{' (logarithmic)' * logarithmic}"
        f"<br>dotted: the first {most:,} of {last:,} make up 80 %",
        type="log" if logarithmic else "linear",
        range=[0, math.log10(last)] if logarithmic else [1, last],
        dtick=1 if last < 8 else None,
    )
    drawn.update_yaxes(title_text="bytes of these groups", **bytes_axis(total[-1]))
    return legend_above(drawn.update_layout(hovermode="x unified"))


def size_age(frame: pl.DataFrame) -> go.Figure:
    """Draw `arrivals.size_age` as a heat map of bytes; an empty combination stays empty."""
    if not frame["documents"].sum():
        return empty("There are no documents to class.")
    sizes, ages = (frame[name].unique(maintain_order=True).to_list() for name in ("size_class", "age_class"))
    cells = {(row["size_class"], row["age_class"]): row for row in frame.iter_rows(named=True)}
    grid = [[cells[size, age] for age in ages] for size in sizes]
    drawn = figure(height=360)
    drawn.add_heatmap(
        x=[_relation(age) for age in ages],
        y=[_relation(size) for size in sizes],
        z=[[cell["logical_bytes"] if cell["documents"] else None for cell in row] for row in grid],
        text=[[format_bytes(cell["logical_bytes"]) if cell["documents"] else "" for cell in row] for row in grid],
        customdata=[[f"{cell['documents']:,}" for cell in row] for row in grid],
        texttemplate="%{text}",
        hovertemplate="%{y}, %{x}<br>%{text} in %{customdata} documents<extra></extra>",
        hoverongaps=False,
        colorscale=[[0, "#d6e6f2"], [0.5, "#5fa3d0"], [1, "#00507f"]],
        showscale=False,
        xgap=2,
        ygap=2,
    )
    drawn.update_xaxes(title_text="age of the document", type="category", showgrid=False)
    drawn.update_yaxes(title_text="size of the document", type="category", showgrid=False)
    return drawn.update_layout(plot_bgcolor=faint(GREY, 0.07))


def coverage_windows(coverage: Coverage) -> pl.DataFrame:
    """List the share of the stored bytes verified within each window or ever, and what became of the rest.

    Returns
    -------
    DataFrame
        ``newest_check``, ``bytes``, ``share_of_bytes``; the last four rows add up to all stored bytes.
    """
    rows = [(f"ok within {days:,} day{'s' * (days != 1)}", size) for days, size in coverage.verified_bytes.items()]
    outcomes = {
        "ok": "ok at any time",
        "unknown": "result unknown",
        "corrupt": "found corrupt",
        "never": "never checked",
    }
    rows += [(label, coverage.by_outcome[outcome].bytes) for outcome, label in outcomes.items()]
    total = coverage.physical_bytes
    # Divided one by one: Polars multiplies a column by the reciprocal, and then the whole is not quite 100 %.
    parts = [(label, size, size / total if total else None) for label, size in rows]
    schema = {"newest_check": pl.String, "bytes": pl.Int64, "share_of_bytes": pl.Float64}
    return pl.DataFrame(parts, schema=schema, orient="row")


def coverage(coverage: Coverage) -> go.Figure:
    """Draw `coverage_windows` as bars."""
    if not coverage.physical_bytes:
        return empty("No store holds anything, so there is nothing to verify.")
    frame = coverage_windows(coverage)
    names, sizes, shares = (column.to_list() for column in frame.get_columns())
    drawn = bars(
        names, shares,
        [f"{format_share(share)}, {format_bytes(size)}" for share, size in zip(shares, sizes, strict=True)],
        colors=[BLUE] * (len(names) - 3) + [PURPLE, RED, GREY], hover="%{y}: %{text}<extra></extra>",
        height=90 + 28 * len(names),
    )  # fmt: skip
    drawn.update_xaxes(title_text="share of the stored bytes", **shares_axis(ticks=3))
    return drawn.update_layout(bargap=0.35, margin_r=118)


def _relation(label: str) -> str:
    return plotly_text(label.replace(">=", "≥ ").replace("<=", "≤ ").replace("<", "< ").replace("-", "–"))

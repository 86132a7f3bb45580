"""Frames to Plotly figures, and nothing else: no reading, no writing, no showing.

Colours mean the same thing in every chart (Okabe and Ito's palette, which colour-blind readers can tell apart): blue
is stored and needed, orange is stored twice and could go, green is spared already, grey is neither. Backgrounds are
transparent and inks neutral, so a figure reads on a light and on a dark page; a report then sets the inks to its own.

Every input is aggregated (see `catalogkit.stats`), so a figure is as small for ten million documents as for ten.
"""

from __future__ import annotations

import math
import textwrap
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import plotly.graph_objects as go
import polars as pl

from catalogkit.display import clip_middle, format_bytes, format_share, plotly_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.stats import Coverage, DedupTotals

__all__ = [
    "by_column",
    "byte_steps",
    "coverage",
    "coverage_windows",
    "duplicate_groups",
    "empty",
    "growth",
    "savings_curve",
    "size_age",
    "where_bytes",
]

BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
RED: Final = "#D55E00"
SKY: Final = "#56B4E9"
PURPLE: Final = "#CC79A7"
GREY: Final = "#8A9099"
INK: Final = "#7B828C"
RULE: Final = "rgba(128,134,144,0.25)"

_FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif'
_AXIS: Final = {
    "gridcolor": RULE,
    "linecolor": RULE,
    "zerolinecolor": RULE,
    "automargin": True,
    "title": {"standoff": 10},
}
_LABEL: Final = 76  # pixels right of a figure for the labels at the ends of its bars
_TEMPLATE: Final = {
    "layout": {
        "font": {"family": _FONT, "size": 12, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": [BLUE, ORANGE, GREEN, RED, SKY, PURPLE, GREY],
        "xaxis": _AXIS,
        "yaxis": _AXIS | {"ticks": "outside", "ticklen": 6, "tickcolor": "rgba(0,0,0,0)"},
        "hoverlabel": {"align": "left", "namelength": -1},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1,
            "yanchor": "bottom",
            "traceorder": "normal",
        },
    }
}


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
    level, starts = 0, []
    for name, size in zip(names, sizes, strict=True):
        total = name in {"logical", "unique", "physical"}
        starts.append(0 if total else min(level, level + size))
        level = size if total else level + size
    figure = _figure(height=330)
    figure.add_bar(
        y=names,
        x=[abs(size) for size in sizes],
        base=starts,
        orientation="h",
        marker_color=colors,
        text=[format_bytes(size) for size in sizes],
        textposition="outside",
        cliponaxis=False,
        customdata=meanings,
        hovertemplate="<b>%{y}</b>: %{text}<br>%{customdata}<extra></extra>",
    )
    ends = [start + abs(size) for start, size in zip(starts, sizes, strict=True)]
    figure.update_xaxes(title_text="bytes", **_bytes_axis(max(ends), exact=True))
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return figure.update_layout(showlegend=False, bargap=0.3, margin_r=_LABEL)


def duplicate_groups(groups: pl.DataFrame, top: int = 20) -> go.Figure:
    """Draw the groups of `stats.dedup_groups` with most bytes beyond one copy, freed and to be freed."""
    both = pl.col("saved_bytes") + pl.col("reclaimable_bytes")
    ranked = groups.sort(both, "sha256", descending=[True, False])
    shown, rest = ranked.head(top), ranked.slice(top).select(both.sum()).item()
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
    figure = _stacked(shown, labels, parts, details)
    left = groups.height - shown.height
    more = f"<br>(not shown: {left:,} more with {format_bytes(rest)})" if left else ""
    return figure.update_xaxes(title_text=f"bytes beyond one copy{more}")


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
    figure = _stacked(rows, labels, colors, details)
    return figure.update_xaxes(title_text="bytes, stored and saved")


# -- over time, by rank, by class --------------------------------------------------------------------------------


def growth(frame: pl.DataFrame) -> go.Figure:
    """Draw `stats.growth`: running totals above, what each period brought below."""
    if frame.is_empty():
        return empty("No document has arrived yet.")
    periods, last = frame["period"].to_list(), frame.row(-1, named=True)
    logical, unique = frame["total_logical_bytes"].to_list(), frame["total_unique_bytes"].to_list()
    figure = _figure(height=470)
    mode = "lines" if len(periods) > 1 else "markers"
    lines = [("unique", unique, BLUE, "tozeroy", "top"), ("logical", logical, GREEN, "tonexty", "bottom")]
    for name, values, color, fill, anchor in lines:
        figure.add_scatter(
            x=periods,
            y=values,
            name=name,
            mode=mode,
            line={"color": color, "width": 2},
            fill=fill,
            fillcolor=_faint(color),
            text=[format_bytes(value) for value in values],
            hovertemplate="%{text}",
            showlegend=False,
        )
        figure.add_annotation(
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
        figure.add_bar(
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
    figure.update_layout(
        barmode="stack",
        bargap=0.25,
        hovermode="x unified",
        legend={"y": 0.33},
        margin_r=_LABEL,
        xaxis={
            "anchor": "y2",
            "title_text": "arrival (UTC)",
            "showgrid": False,
            "range": [periods[0] - half, periods[-1] + half],
        },
        yaxis={"domain": [0.42, 1], "title_text": "bytes so far", **_bytes_axis(max(logical))},
        yaxis2={"domain": [0, 0.32], "title_text": "in period", "anchor": "x", **_bytes_axis(max(arrived), ticks=4)},
    )
    return figure


def savings_curve(frame: pl.DataFrame) -> go.Figure:
    """Draw `stats.savings_curve`, and mark how many groups make up four fifths of it."""
    if frame.height < 2:
        saved, spare = frame.select("saved_bytes", "reclaimable_bytes").sum().row(0)
        if frame.is_empty():
            return empty("Nothing is shared and nothing is spare, so there is nothing to gain.")
        return empty(f"There is one group only: {format_bytes(saved)} saved, {format_bytes(spare)} reclaimable.")
    total, last = frame["saved_bytes"] + frame["reclaimable_bytes"], frame["rank"][-1]
    figure = _figure(height=380)
    for column, name, color in [("saved_bytes", "saved already", GREEN), ("reclaimable_bytes", "reclaimable", ORANGE)]:
        figure.add_scatter(
            x=frame["rank"].to_list(),
            y=frame[column].to_list(),
            name=name,
            mode="lines",
            stackgroup="one",
            line={"color": color, "width": 1.5},
            fillcolor=_faint(color, 0.45),
            text=[format_bytes(value) for value in frame[column]],
            hovertemplate="%{text}",
        )
    most = frame.filter(total >= 0.8 * total[-1])["rank"][0]
    figure.add_scatter(
        x=[most, most],
        y=[0, total[-1]],
        mode="lines",
        line={"color": INK, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )
    # A long tail needs a logarithmic axis, or the first groups share one pixel.
    logarithmic = last > 100
    figure.update_xaxes(
        title_text=f"groups, most bytes first{' (logarithmic)' * logarithmic}"
        f"<br>dotted: the first {most:,} of {last:,} make up 80 %",
        type="log" if logarithmic else "linear",
        range=[0, math.log10(last)] if logarithmic else [1, last],
        dtick=1 if last < 8 else None,
    )
    figure.update_yaxes(title_text="bytes of these groups", **_bytes_axis(total[-1]))
    return figure.update_layout(hovermode="x unified")


def size_age(frame: pl.DataFrame) -> go.Figure:
    """Draw `stats.size_age` as a heat map of bytes; an empty combination stays empty."""
    if not frame["documents"].sum():
        return empty("There are no documents to class.")
    sizes, ages = (frame[name].unique(maintain_order=True).to_list() for name in ("size_class", "age_class"))
    cells = {(row["size_class"], row["age_class"]): row for row in frame.iter_rows(named=True)}
    grid = [[cells[size, age] for age in ages] for size in sizes]
    figure = _figure(height=360)
    figure.add_heatmap(
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
    figure.update_xaxes(title_text="age of the document", type="category", showgrid=False)
    figure.update_yaxes(title_text="size of the document", type="category", showgrid=False)
    return figure.update_layout(plot_bgcolor=_faint(GREY, 0.07))


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
    figure = _figure(height=90 + 28 * len(names))
    figure.add_bar(
        y=names,
        x=shares,
        orientation="h",
        marker_color=[BLUE] * (len(names) - 3) + [PURPLE, RED, GREY],
        text=[f"{format_share(share)}, {format_bytes(size)}" for share, size in zip(shares, sizes, strict=True)],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{text}<extra></extra>",
    )
    figure.update_xaxes(title_text="share of the stored bytes", tickformat=".0%", range=[0, 1])
    figure.update_xaxes(tickvals=[0, 0.5, 1])
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return figure.update_layout(showlegend=False, bargap=0.35, margin_r=118)


# -- shared parts ------------------------------------------------------------------------------------------------


def empty(reason: str) -> go.Figure:
    """A figure that says why there is nothing to draw."""
    figure = _figure(height=120)
    lines = [plotly_text(line) for line in textwrap.wrap(reason, 44)]  # as much as a narrow page holds
    figure.add_annotation(text="<br>".join(lines), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)


def _figure(height: int) -> go.Figure:
    return go.Figure(layout={"template": _TEMPLATE, "height": height, "margin": {"l": 8, "r": 16, "t": 28, "b": 8}})


def _bytes_axis(largest: int, *, exact: bool = False, ticks: int = 6) -> dict[str, object]:
    """An axis of sizes from 0; `exact` ends it at the largest, for bars with their labels beyond."""
    axis: dict[str, object] = {"tickformat": "~s", "ticksuffix": "B", "rangemode": "tozero", "nticks": ticks}
    if exact:
        axis["range"] = [0, largest]
    if largest < ticks:
        axis["dtick"] = 1  # no parts of a byte
    return axis


def _stacked(
    rows: pl.DataFrame, labels: Sequence[str], parts: dict[str, tuple[str, str]], details: Sequence[str]
) -> go.Figure:
    """Horizontal bars, one per row, stacked from the columns in `parts`, each ending in its sum."""
    places = list(range(len(labels)))  # by place, not by label: two labels may be equal, or look like numbers
    totals = rows.select(pl.sum_horizontal(*parts)).to_series().to_list()
    figure = _figure(height=110 + 26 * len(labels))
    for column, (name, color) in parts.items():
        figure.add_bar(
            y=places,
            x=rows[column].to_list(),
            name=name,
            orientation="h",
            marker_color=color,
            customdata=list(details),
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.add_scatter(
        y=places,
        x=totals,
        mode="text",
        text=[f" {format_bytes(total)}" for total in totals],
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    figure.update_xaxes(**_bytes_axis(max(totals), exact=True))
    figure.update_yaxes(autorange="reversed", showgrid=False, tickvals=places, ticktext=list(labels))
    return figure.update_layout(barmode="stack", bargap=0.28, margin_r=_LABEL)


def _relation(label: str) -> str:
    return plotly_text(label.replace(">=", "≥ ").replace("<=", "≤ ").replace("<", "< ").replace("-", "–"))


def _faint(color: str, opacity: float = 0.18) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"

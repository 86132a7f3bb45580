"""An audit as pictures: what was found, of which kind, and what a sample says about what was not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit import drawing
from catalogkit.audit_codes import CODES, GROUPS, Code, Severity
from catalogkit.display import clip_middle, format_share, plotly_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from catalogkit.audit import AuditReport, Sampling

__all__ = ["by_code", "by_group", "chances", "codes", "groups", "listing", "odds"]

_COLORS: Final = {Severity.ERROR: drawing.RED, Severity.WARNING: drawing.ORANGE, Severity.INFO: drawing.SKY}


def groups(report: AuditReport) -> pl.DataFrame:
    """Where an audit looked, for how many kinds of faults, and what it found.

    Returns
    -------
    DataFrame
        ``where``; ``kinds_not_found``, ``kinds_of_error``, ``kinds_of_warning``, ``kinds_of_info``, which add up to all
        kinds that were looked for; ``findings``. A row for every group of codes.
    """
    rows = []
    for prefix, title in GROUPS.items():
        kinds = [code for code in Code if code.startswith(prefix)]
        found = [code for code in kinds if report.counts[code.value]]
        by_severity = [sum(code.severity is severity for code in found) for severity in Severity]
        count = sum(report.counts[code.value] for code in found)
        rows.append((title.partition(":")[0], len(kinds) - len(found), *by_severity, count))
    names = ["kinds_not_found", *(f"kinds_of_{severity.value}" for severity in Severity), "findings"]
    return pl.DataFrame(rows, schema={"where": pl.String, **dict.fromkeys(names, pl.Int64)}, orient="row")


def by_group(report: AuditReport) -> go.Figure:
    """Draw `groups` as bars of kinds, found and not, each ending in the number of findings."""
    frame = groups(report)
    places = list(range(frame.height))
    figure = drawing.figure(height=110 + 30 * frame.height)
    parts = {f"kinds_of_{one.value}": (one.value, color) for one, color in _COLORS.items()}
    for column, (name, color) in (parts | {"kinds_not_found": ("not found", drawing.GREEN)}).items():
        figure.add_bar(
            y=places, x=frame[column].to_list(), name=name, orientation="h", marker_color=color,
            hovertemplate="%{x} kinds<extra>" + name + "</extra>",
        )  # fmt: skip
    totals = frame.select(pl.sum_horizontal(*parts, "kinds_not_found")).to_series().to_list()
    figure.add_scatter(
        y=places, x=totals, mode="text",
        text=[f" {found:,} found" if found else " none" for found in frame["findings"]],
        textposition="middle right", cliponaxis=False, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(title_text="kinds of faults that were looked for", **drawing.counts_axis(totals))
    labels = [plotly_text(where) for where in frame["where"]]
    figure.update_yaxes(autorange="reversed", showgrid=False, tickvals=places, ticktext=labels)
    return drawing.legend_above(figure.update_layout(barmode="stack", bargap=0.3, margin_r=drawing.LABEL))


def codes(report: AuditReport) -> pl.DataFrame:
    """Which kinds of faults were found.

    Returns
    -------
    DataFrame
        ``severity``, ``code``, ``findings``, ``what_it_is``, ``what_to_do``; worst and most first.
    """
    rank = {severity: place for place, severity in enumerate(Severity)}
    found = sorted((CODES[code] for code in report.counts), key=lambda c: (rank[c.severity], -report.counts[c], c))
    rows = [(code.severity.value, code.value, report.counts[code], code.what, code.todo) for code in found]
    schema = dict.fromkeys(("severity", "code", "findings", "what_it_is", "what_to_do"), pl.String) | {
        "findings": pl.Int64
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def listing(report: AuditReport) -> pl.DataFrame:
    """Each finding on a line: ``severity``, ``code``, ``where`` (its whole path, or what it is about), ``detail``."""
    path = pl.when(pl.col("path") != "").then(pl.col("path"))
    return report.frame().select("severity", "code", pl.coalesce(path, "object").alias("where"), "detail")


def by_code(report: AuditReport, top: int = 15) -> go.Figure:
    """Draw `codes` as bars, coloured by severity."""
    frame = codes(report)
    if frame.is_empty():
        return drawing.empty("Nothing was found, so there is no kind to show.")
    shown = frame.head(top)
    places = list(range(shown.height))
    figure = drawing.figure(height=100 + 28 * shown.height)
    figure.add_bar(
        y=places,
        x=shown["findings"].to_list(),
        orientation="h",
        marker_color=[_COLORS[Severity(one)] for one in shown["severity"]],
        text=[f"{count:,}" for count in shown["findings"]],
        textposition="outside",
        cliponaxis=False,
        customdata=[f"{row[0]}<br>{plotly_text(row[3])}<br>{plotly_text(row[4])}" for row in shown.iter_rows()],
        hovertemplate="%{customdata}<extra></extra>",
    )
    left = frame.height - shown.height
    title = f"findings{f' (not shown: {left} more kinds)' if left else ''}"
    figure.update_xaxes(title_text=title, **drawing.counts_axis(shown["findings"]))
    labels = [f"{row[1]} {plotly_text(clip_middle(row[3].rstrip('.'), 40))}" for row in shown.iter_rows()]
    figure.update_yaxes(autorange="reversed", showgrid=False, tickvals=places, ticktext=labels)
    return figure.update_layout(showlegend=False, bargap=0.3, margin_r=drawing.LABEL)


def chances(sampling: Sampling) -> pl.DataFrame:
    """The chance that a sample meets at least one of so many bad copies.

    Returns
    -------
    DataFrame
        ``bad_copies``, ``share_met`` (the chance, 0 to 1); no rows for a sample of nothing.
    """
    steps = sorted({*range(1, 21), *range(20, 101, 5)})
    rows = [(bad, sampling.chance(bad)) for bad in steps if sampling.read and bad <= sampling.copies]
    return pl.DataFrame(rows, schema={"bad_copies": pl.Int64, "share_met": pl.Float64}, orient="row")


def odds(sampling: Sampling) -> go.Figure:
    """Draw `chances` as a line."""
    frame = chances(sampling)
    if frame.is_empty():
        return drawing.empty("A sample of nothing meets nothing.")
    if sampling.read >= sampling.copies:
        return drawing.empty("Every copy is read: nothing is left to chance.")
    figure = drawing.figure(height=300)
    figure.add_scatter(
        x=frame["bad_copies"].to_list(), y=frame["share_met"].to_list(), mode="lines+markers",
        line={"color": drawing.BLUE, "width": 2}, marker={"size": 5}, showlegend=False,
        text=[format_share(chance) for chance in frame["share_met"]],
        hovertemplate="of %{x} bad copies at least one: %{text}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title_text="bad copies among all", range=[0, frame["bad_copies"][-1] + 1])
    figure.update_yaxes(title_text="chance to meet one of them", **drawing.shares_axis(room=0.04))
    return figure

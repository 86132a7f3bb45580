"""Charts of an audit: what was found, by kind, and what a sample says about the rest."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit import drawing
from catalogkit.audit_codes import CODES, GROUPS, Code, Severity
from catalogkit.audit_sample import DRAWN_FROM, LEFT_OUT
from catalogkit.display import clip_middle, format_share, plotly_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import plotly.graph_objects as go

    from catalogkit.audit import AuditReport
    from catalogkit.audit_sample import Part, Sampling

__all__ = ["bounds", "by_code", "by_group", "chances", "codes", "extent", "groups", "listing", "odds"]

# What is told first of what was drawn: are bytes where they should be, have documents contents.
_WHOLE: Final = {
    "copies": (Code.MISSING_FILE, Code.WRONG_TYPE, Code.WRONG_SIZE),
    "documents": (Code.DOCUMENT_TO_NOTHING,),
}
_WHAT: Final = {"copies": "missing, or of another kind or size", "documents": "without a content"}
_COLORS: Final = {Severity.ERROR: drawing.RED, Severity.WARNING: drawing.ORANGE, Severity.INFO: drawing.SKY}


def groups(report: AuditReport) -> pl.DataFrame:
    """Where an audit looked, for how many kinds of faults, and what it found.

    Returns
    -------
    DataFrame
        ``where``; ``kinds_not_found``, ``kinds_of_error``, ``kinds_of_warning``, ``kinds_of_info``, which add up to all
        kinds that were looked for, and ``kinds_left_out`` by a sample; ``findings``. A row for every group of codes.
    """
    rows, left_out = [], LEFT_OUT if report.drawn else {}
    for prefix, title in GROUPS.items():
        kinds = [code for code in Code if code.startswith(prefix)]
        found = [code for code in kinds if report.counts[code.value]]
        by_severity = [sum(code.severity is severity for code in found) for severity in Severity]
        count = sum(report.counts[code.value] for code in found)
        left = sum(code in left_out for code in kinds if code not in found)
        rows.append((title.partition(":")[0], len(kinds) - len(found) - left, *by_severity, left, count))
    severities = [f"kinds_of_{severity.value}" for severity in Severity]
    names = ["kinds_not_found", *severities, "kinds_left_out", "findings"]
    return pl.DataFrame(rows, schema={"where": pl.String, **dict.fromkeys(names, pl.Int64)}, orient="row")


def by_group(report: AuditReport) -> go.Figure:
    """Draw `groups` as bars of kinds, found and not, each ending in the number of findings."""
    frame = groups(report)
    places = list(range(frame.height))
    figure = drawing.figure(height=110 + 30 * frame.height)
    parts = {f"kinds_of_{one.value}": (one.value, color) for one, color in _COLORS.items()}
    parts["kinds_not_found"] = ("not found", drawing.GREEN)
    if report.drawn:
        parts["kinds_left_out"] = ("left out", drawing.GREY)
    for column, (name, color) in parts.items():
        figure.add_bar(
            y=places, x=frame[column].to_list(), name=name, orientation="h", marker_color=color,
            hovertemplate="%{x} kinds<extra>" + name + "</extra>",
        )  # fmt: skip
    totals = frame.select(pl.sum_horizontal(*parts)).to_series().to_list()
    figure.add_scatter(
        y=places, x=totals, mode="text",
        text=[f" {found:,} found" if found else " none" for found in frame["findings"]],
        textposition="middle right", cliponaxis=False, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(title_text="kinds of faults", **drawing.counts_axis(totals, room=0.14))
    labels = [plotly_text(where) for where in frame["where"]]
    figure.update_yaxes(autorange="reversed", showgrid=False, tickvals=places, ticktext=labels)
    return drawing.legend_above(figure.update_layout(barmode="stack", bargap=0.3, margin_r=drawing.LABEL))


def bounds(report: AuditReport) -> pl.DataFrame:
    """What a sample says of all: for each kind of fault that was looked for in what was drawn, how many there may be.

    Returns
    -------
    DataFrame
        ``code``, ``what_it_is``, ``looked_at``, ``of`` how many, ``these`` (documents or copies), ``found``,
        ``at_most_of_all`` and ``that_is``, a share and a number, with 95 % confidence for each kind by itself. No rows
        where everything was looked at.
    """
    rows = []
    for code, these in DRAWN_FROM.items():
        part = report.parts.get(these)
        if part is None or not part.looked:
            continue
        found = report.counts[code.value]
        share = part.at_most(found) or 0.0
        rows.append((code.value, code.what, part.looked, part.of, these, found, _percent(share), _count(share, part)))
    kinds = {"looked_at": pl.Int64, "of": pl.Int64, "found": pl.Int64, "that_is": pl.Int64}
    names = ("code", "what_it_is", "looked_at", "of", "these", "found", "at_most_of_all", "that_is")
    return pl.DataFrame(rows, schema={name: kinds.get(name, pl.String) for name in names}, orient="row")


def extent(report: AuditReport, last: Mapping[str, Any]) -> list[str]:
    """What was looked at, in sentences.

    Parameters
    ----------
    last
        What `catalogkit.auditing.last_audit` says.
    """
    told = []
    for these, kinds in _WHOLE.items() if report.drawn else ():
        part, found = report.parts[these], sum(report.counts[code.value] for code in kinds)
        share = part.at_most(found)
        most = "nothing is known of the others"
        if share is not None:
            most = f"with 95 % confidence at most {_percent(share)} of all ({_count(share, part):,})"
        looked = f"{part.looked:,} of {part.of:,} {these}, drawn at random"
        told.append(f"Looked at: {looked}. Of those {_WHAT[these]}: {found:,}; {most}.")
    if report.drawn:
        told.append(
            "Single rows were questioned where they, or what they are about, were drawn; all else was asked of "
            "everything, but for what is listed under “What was not seen”."
        )
        told.append("To look at everything here, which takes longer: `-p looks=0`; `catalogkit audit` also notes it.")
    else:
        told.append(f"Looked at: every one of {report.copies:,} copies; every question was asked of everything.")
    return [*told, _of_last(last)]


def _of_last(last: Mapping[str, Any]) -> str:
    if not last:
        return "No audit of everything was noted yet; `catalogkit audit` makes one, `catalogkit maintain` every night."
    found = ", ".join(f"{last[one.value]:,} {one.value}{'s' * (last[one.value] != 1)}" for one in Severity)
    seen = "it could look everywhere" if last["complete"] else f"it could not see {last['unseen']:,} places"
    when = f"{datetime.fromisoformat(last['as_of']):%Y-%m-%d %H:%M} UTC"
    return f"The last audit of everything, of {when}, looked at {last['copies']:,} copies; {seen}, and found {found}."


def _percent(share: float) -> str:
    return "100 %" if share >= 1 else f"{100 * share:.2g} %"


def _count(share: float, part: Part) -> int:
    """So many of all, in whole numbers: the largest that is within the share."""
    return int(share * part.of + 1e-9)


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
    figure = drawing.bars(
        [f"{row[1]} {plotly_text(clip_middle(row[3].rstrip('.'), 40))}" for row in shown.iter_rows()],
        shown["findings"].to_list(), [f"{count:,}" for count in shown["findings"]],
        colors=[_COLORS[Severity(one)] for one in shown["severity"]],
        details=[f"{row[0]}<br>{plotly_text(row[3])}<br>{plotly_text(row[4])}" for row in shown.iter_rows()],
        hover="%{customdata}<extra></extra>", by_place=True, height=100 + 28 * shown.height,
    )  # fmt: skip
    left = frame.height - shown.height
    title = f"findings{f' (not shown: {left} more kinds)' if left else ''}"
    return figure.update_xaxes(title_text=title, **drawing.counts_axis(shown["findings"]))


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

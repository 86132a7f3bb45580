"""Charts of retention: what is kept and why, by age and size, what other limits would free, the back-test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit import drawing
from catalogkit.display import format_bytes, plotly_text
from catalogkit.policies import deciding

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from catalogkit.policies.backtest import RetentionBacktest

__all__ = [
    "age_size",
    "age_size_classes",
    "backtest",
    "by_reason",
    "cards",
    "curve",
    "days_to_try",
    "freed_by_days",
    "reasons",
]

# A class begins at so many bytes, or after so many days.
_SIZES: Final = {"< 10 kB": 0, "10 kB – 1 MB": 10**4, "1 – 10 MB": 10**6, "10 – 100 MB": 10**7, "≥ 100 MB": 10**8}
_AGES: Final = {"< 30 d": 0, "30 – 90 d": 30, "90 – 180 d": 90, "180 d – 1 y": 180, "1 – 2 y": 365, "≥ 2 y": 730}
_DAYS: Final = (7, 14, 21, 30, 45, 60, 75, 90, 120, 150, 180, 210, 240, 270, 300, 365, 450, 545, 730, 1095, 1825, 3650)


def reasons(decided: pl.DataFrame) -> pl.DataFrame:
    """Documents by decision and reason, those that occur.

    Returns
    -------
    DataFrame
        ``decision``, ``reason``, ``words``, ``documents``, ``logical_bytes``.
    """
    return deciding.totals(decided).filter(pl.col("documents") > 0).with_columns(pl.col("reason").cast(pl.String))


def by_reason(rows: pl.DataFrame) -> go.Figure:
    """Draw `reasons` as bars: blue is kept, orange is to be forgotten."""
    if rows.is_empty():
        return drawing.empty("There are no documents to decide about.")
    figure = drawing.bars(
        [f"{row['decision']}: {row['reason']}" for row in rows.to_dicts()], rows["documents"].to_list(),
        [f"{count:,}" for count in rows["documents"]],
        colors=[drawing.BLUE if kind == "keep" else drawing.ORANGE for kind in rows["decision"]],
        details=[[row["words"], format_bytes(row["logical_bytes"])] for row in rows.to_dicts()],
        hover="<b>%{y}</b>: %{text} documents, %{customdata[1]}<br>%{customdata[0]}<extra></extra>",
        height=110 + 34 * rows.height,
    )  # fmt: skip
    return figure.update_xaxes(title_text="documents", **drawing.counts_axis(rows["documents"]))


def age_size_classes(decided: pl.DataFrame) -> pl.DataFrame:
    """Cross the sizes of documents with the days since they were last seen; also the empty combinations.

    Returns
    -------
    DataFrame
        ``size``, ``last_seen``, ``documents``, ``to_forget`` of these, ``logical_bytes``; smallest and youngest first.
        What was last seen in the future, or at a time that is not known, is in the youngest class.
    """
    size, age = (
        # How many of the classes begin at or below it.
        pl.Series(list(starts)).search_sorted(values.fill_null(none), side="right").cast(pl.UInt8)
        for starts, values, none in (
            (_SIZES.values(), decided["bytes"], -1), (_AGES.values(), decided["age_days"].clip(0), 0)
        )
    )  # fmt: skip
    counted = (
        decided.lazy()
        .group_by(size_class=size, age_class=age)
        .agg(
            documents=pl.len().cast(pl.Int64),
            to_forget=(~pl.col("keep")).sum().cast(pl.Int64),
            logical_bytes=pl.col("bytes").sum(),
        )
        .cast({"size_class": pl.Int64, "age_class": pl.Int64})
        .collect()
    )
    sizes, ages = (
        pl.DataFrame({name: list(labels), number: range(1, len(labels) + 1)}, schema_overrides={number: pl.Int64})
        for name, number, labels in (("size", "size_class", _SIZES), ("last_seen", "age_class", _AGES))
    )
    return (
        sizes.join(ages, how="cross")
        .join(counted, on=["size_class", "age_class"], how="left", maintain_order="left")
        .select("size", "last_seen", pl.col("documents", "to_forget", "logical_bytes").fill_null(0))
    )


def age_size(classes: pl.DataFrame) -> go.Figure:
    """Draw `age_size_classes` as a heat map: the darker, the larger the share that is to be forgotten."""
    if not classes["documents"].sum():
        return drawing.empty("There are no documents to class.")
    cells = {(row["size"], row["last_seen"]): row for row in classes.to_dicts()}
    grid = [[cells[size, age] for age in _AGES] for size in _SIZES]
    figure = drawing.figure(height=330)
    figure.add_heatmap(
        x=list(_AGES),
        y=list(_SIZES),
        z=[[cell["to_forget"] / cell["documents"] if cell["documents"] else None for cell in row] for row in grid],
        text=[
            [f"{cell['to_forget']:,} of {cell['documents']:,}" if cell["documents"] else "" for cell in row]
            for row in grid
        ],
        customdata=[[format_bytes(cell["logical_bytes"]) for cell in row] for row in grid],
        texttemplate="%{text}",
        hovertemplate="%{y}, last seen %{x} ago<br>%{text} documents to forget, %{customdata} in all<extra></extra>",
        hoverongaps=False,
        zmin=0,
        zmax=1,
        colorscale=[[0, "#d6e6f2"], [0.5, "#f3cf80"], [1, drawing.ORANGE]],
        showscale=False,
        xgap=2,
        ygap=2,
        textfont={"color": "#1c2126"},
    )
    figure.update_xaxes(title_text="since it was last seen", type="category", showgrid=False)
    figure.update_yaxes(title_text="size of the document", type="category", showgrid=False)
    return figure.update_layout(plot_bgcolor=drawing.faint(drawing.GREY, 0.07))


def days_to_try(decided: pl.DataFrame, now: int) -> list[int]:
    """Values of ``age_days`` worth trying: round ones up to the age of the oldest document, and the one in force."""
    oldest = decided["age_days"].max() or 0
    assert isinstance(oldest, int)
    within = [days for days in _DAYS if days <= oldest]
    return sorted({*within, *_DAYS[len(within) : len(within) + 1], now})


def curve(decided: pl.DataFrame, now: int) -> pl.DataFrame:
    """`deciding.freed_by_days` day by day, or about that; ``tried`` is true for the values of `days_to_try`.

    Parameters
    ----------
    decided
        The decisions.
    now
        The value of ``age_days`` in force.
    """
    tried = days_to_try(decided, now) if decided.height else []
    every = max(max(tried, default=0) // 200, 1)
    line = deciding.freed_by_days(decided, [*range(1, max(tried, default=0) + 1, every), *tried])
    return line.with_columns(tried=pl.col("days").is_in(tried))


def freed_by_days(line: pl.DataFrame, now: int) -> go.Figure:
    """Draw a `curve`, with a slider that says it for the values that were tried; `now` is the one in force."""
    if line.is_empty():
        return drawing.empty("There are no documents, so nothing can be freed.")
    picked = line.filter("tried").to_dicts()
    tried = [row["days"] for row in picked]
    texts = [f"{format_bytes(row['freed_bytes'])}, {row['documents']:,} documents" for row in line.to_dicts()]
    points = [
        (
            str(row["days"]), row["days"], row["freed_bytes"],
            f"{row['days']:,} days: {format_bytes(row['freed_bytes'])}, {row['documents']:,} documents",
        )
        for row in picked
    ]  # fmt: skip
    figure = drawing.slider(
        (line["days"].to_list(), line["freed_bytes"].to_list(), texts), points,
        start=tried.index(now), hover="kept %{x} days: %{text}<extra></extra>", prefix="age_days = ", height=380,
    )  # fmt: skip
    figure.update_xaxes(title_text="age_days: how long a document is kept", range=[0, tried[-1] * 1.02])
    largest = max(line["freed_bytes"].to_list(), default=0)
    return figure.update_yaxes(title_text="bytes freed", **drawing.bytes_axis(largest))


def cards(report: RetentionBacktest) -> list[tuple[str, str, str]]:
    """The totals of a back-test: label, value, definition."""
    totals = report.totals()
    uncertain = (
        f" Of {totals['uncertain']:,} it is not known whether they were seen in between." if totals["uncertain"] else ""
    )
    return [
        (
            "Forgotten",
            f"{totals['forgotten']:,}",
            f"Times that a document would have been forgotten, of {totals['documents']:,} documents.{uncertain}",
        ),
        (
            "Saved on average",
            format_bytes(totals["saved_bytes_on_average"]),
            "Over all steps: bytes of contents of which every document was forgotten, in all stored copies.",
        ),
        (
            "Saved at the end",
            format_bytes(totals["saved_bytes"]),
            f"At the last step, of {format_bytes(totals['stored_bytes'])} that were stored without the policy.",
        ),
        (
            "Asked for again",
            f"{totals['regretted']:,}",
            "Of those forgotten: requested, or brought in again, afterwards.",
        ),
        (
            "Requests for them",
            f"{totals['requests']:,}",
            "Entries in the access log while they were gone, and their return.",
        ),
        ("To be stored again", format_bytes(totals["regretted_bytes"]), "The sizes of those asked for again."),
    ]


def backtest(report: RetentionBacktest) -> go.Figure:
    """Draw a back-test: bytes saved at each step above, documents forgotten and asked for again below."""
    steps = report.steps
    if not report.forgotten:
        return drawing.empty("In that time the policy would have forgotten nothing.")
    at, saved = steps["at"].to_list(), steps["saved_bytes"].to_list()
    figure = drawing.figure(height=430)
    figure.add_scatter(
        x=at,
        y=saved,
        name="bytes saved",
        mode="lines" if len(at) > 1 else "markers",
        line={"color": drawing.GREEN, "width": 2, "shape": "hv"},
        fill="tozeroy",
        fillcolor=drawing.faint(drawing.GREEN),
        text=[format_bytes(size) for size in saved],
        hovertemplate="%{text}",
    )
    for column, name, color in (
        ("forgotten", "forgotten", drawing.ORANGE),
        ("regretted", "asked for again", drawing.RED),
    ):
        some = steps.filter(pl.col(column) > 0)
        figure.add_scatter(
            x=some["at"].to_list(),
            y=some[column].to_list(),
            name=plotly_text(name),
            mode="markers",
            marker={"color": color, "size": 8, "symbol": "circle" if column == "forgotten" else "x"},
            yaxis="y2",
            hovertemplate="%{y:,} documents",
        )
    figure.update_layout(
        hovermode="x unified",
        xaxis={"anchor": "y2", "title_text": "step (UTC)", "showgrid": False},
        yaxis={"domain": [0.45, 1], "title_text": "bytes saved", **drawing.bytes_axis(max(saved))},
        yaxis2={
            "domain": [0, 0.33],
            "title_text": "documents",
            "anchor": "x",
            **drawing.counts_axis([*steps["forgotten"], *steps["regretted"]], ticks=4, room=0.15),
        },
    )
    return drawing.legend_above(figure)

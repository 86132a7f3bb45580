"""Charts of bills: what each tenant pays in full and split fairly, and what nobody pays for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
import polars as pl

from catalogkit import drawing
from catalogkit.billing import NOBODY
from catalogkit.display import clip_middle, format_bytes, plotly_text

if TYPE_CHECKING:
    from catalogkit.billing import Prices

__all__ = ["costs"]


def costs(bill: pl.DataFrame, prices: Prices, top: int = 20) -> go.Figure:
    """Draw a bill: a bar for the fair part of each tenant, and a mark where the full charge would be."""
    rows = bill.with_columns(name=pl.when(pl.col("tenant") == NOBODY).then(pl.lit("(no one)")).otherwise("tenant"))
    rows = rows.filter((pl.col("tenant") != NOBODY) | (pl.col("fair_cost") > 0)).head(top)
    if rows.select((pl.col("full_cost") + pl.col("fair_cost")).sum()).item() in (None, 0):
        return drawing.empty("Nothing lay in the stores in this time, so there is nothing to pay for.")
    names = [plotly_text(clip_middle(name, 30)) for name in rows["name"]]
    details = [
        f"{row['documents']:,} documents<br>{format_bytes(row['logical_bytes'])} of documents, "
        f"{format_bytes(row['fair_bytes'])} its fair part at the end<br>"
        f"in full {row['full_cost']:,} {prices.currency}, fairly {row['fair_cost']:,} {prices.currency}"
        for row in rows.iter_rows(named=True)
    ]
    figure = drawing.figure(height=120 + 34 * rows.height)
    figure.add_bar(
        y=names, x=[float(cost) for cost in rows["fair_cost"]], orientation="h", name="fair part",
        marker_color=drawing.BLUE, customdata=details, hovertemplate="<b>%{y}</b><br>%{customdata}<extra></extra>",
    )  # fmt: skip
    charged = [
        (name, float(row["full_cost"]), detail)
        for name, row, detail in zip(names, rows.iter_rows(named=True), details, strict=True)
        if row["full_cost"]
    ]
    figure.add_scatter(
        y=[name for name, _, _ in charged], x=[cost for _, cost, _ in charged], mode="markers", name="in full",
        marker={"symbol": "line-ns", "size": 18, "line": {"width": 3, "color": drawing.ORANGE}},
        customdata=[detail for _, _, detail in charged],
        hovertemplate="<b>%{y}</b><br>%{customdata}<extra></extra>",
    )  # fmt: skip
    left = bill.height - rows.height
    more = f" (not shown: {left:,} more)" if left > 1 else ""
    figure.update_xaxes(title_text=f"cost of storage, {plotly_text(prices.currency)}{more}", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.08, "x": 0})

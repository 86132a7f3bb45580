"""Charts of the whole collection: a treemap of its bytes, its stores, and the states of what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import plotly.graph_objects as go
import polars as pl

from catalogkit import drawing
from catalogkit.display import clip_middle, format_bytes, format_share, plotly_text

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["states", "stores", "treemap"]

# The palette, lightened until dark ink can be read on each of it, on a light and on a dark page.
_TILES: Final = ("#7db9dc", "#7accb5", "#f2cf7f", "#a9d8f4", "#e3b8d1", "#ec9f6b", "#c3c8ce")
_STATES: Final = {
    "needed": drawing.BLUE,
    "kept": drawing.SKY,
    "condemned": drawing.ORANGE,
    "incoming": drawing.GREY,
    "gone": drawing.RED,
}


def treemap(frame: pl.DataFrame, columns: Sequence[str], top: int = 60) -> go.Figure:
    """Draw `overview.tree` of two columns: a field for each value of the first, parted by the second.

    Beyond the `top` largest parts the rest of each field is one part, so that the picture stays small.
    """
    outer, inner = columns
    rows = frame.select(pl.col(outer, inner).fill_null(""), "stored_bytes").filter(pl.col("stored_bytes") > 0)
    if rows.is_empty():
        return drawing.empty("Nothing that a document needs is stored.")
    rest = rows.slice(top).group_by(outer).agg(pl.col("stored_bytes").sum(), parts=pl.len())
    shown = [(*row, 1) for row in rows.head(top).rows()]
    shown += [(name, f"{parts:,} others", size, parts) for name, size, parts in rest.sort(outer).rows()]
    fields = (
        rows.group_by(outer).agg(pl.col("stored_bytes").sum()).sort("stored_bytes", outer, descending=[True, False])
    )
    total = int(fields["stored_bytes"].sum())
    colors = {name: _TILES[place % len(_TILES)] for place, name in enumerate(fields[outer])}
    ids, labels, parents, values, tints, details = [], [], [], [], [], []
    for name, size in fields.rows():
        ids.append(f"o{name}")
        labels.append(plotly_text(clip_middle(name or "(none)", 40)))
        parents.append("")
        values.append(size)
        tints.append(colors[name])
        details.append(f"{format_bytes(size)}, {format_share(size / total)} of all")
    for name, part, size, _ in shown:
        ids.append(f"i{name}\x1f{part}")
        labels.append(plotly_text(clip_middle(part or "(none)", 40)))
        parents.append(f"o{name}")
        values.append(size)
        tints.append(colors[name])
        details.append(f"{format_bytes(size)}, {format_share(size / total)} of all")
    line = {"width": 1.5, "color": "rgba(255,255,255,0.75)"}
    figure = drawing.figure(height=430)
    figure.add_treemap(
        ids=ids, labels=labels, parents=parents, values=values, branchvalues="total", text=details,
        texttemplate="<b>%{label}</b><br>%{text}", hovertemplate="<b>%{label}</b><br>%{text}<extra></extra>",
        marker={"colors": tints, "pad": {"t": 22, "l": 3, "r": 3, "b": 3}, "cornerradius": 3, "line": line},
        textfont={"color": "#101418"}, tiling={"packing": "squarify"}, pathbar={"visible": False},
    )  # fmt: skip
    return figure.update_layout(margin={"t": 6, "l": 0, "r": 0, "b": 0}, uniformtext={"minsize": 10, "mode": "hide"})


def stores(frame: pl.DataFrame) -> go.Figure:
    """Draw `stats.store_usage`: what each store holds, of that spare copies, and what no document needs."""
    if frame.is_empty() or not frame["physical_bytes"].sum():
        return drawing.empty("No store holds any bytes.")
    rows = frame.with_columns(
        needed_bytes=pl.col("physical_bytes") - pl.col("reclaimable_bytes") - pl.col("unreferenced_bytes")
    ).sort("physical_bytes", "store", descending=[True, False])
    parts = {
        "needed_bytes": ("needed", drawing.BLUE),
        "reclaimable_bytes": ("spare copies", drawing.ORANGE),
        "unreferenced_bytes": ("no document needs them", drawing.PURPLE),
    }
    details = [
        f"{plotly_text(row['store'])}<br>{row['objects']:,} objects, {format_bytes(row['physical_bytes'])}"
        for row in rows.iter_rows(named=True)
    ]
    names = [plotly_text(clip_middle(name, 30)) for name in rows["store"]]
    return drawing.stacked(rows, names, parts, details).update_xaxes(title_text="physical bytes")


def states(frame: pl.DataFrame) -> go.Figure:
    """Draw `overview.states` as bars; a state that nothing is in is left out."""
    rows = frame.filter((pl.col("stored_bytes") > 0) | (pl.col("state") == "needed"))
    if not rows["stored_bytes"].sum():
        return drawing.empty("Nothing is stored.")
    sizes = rows["stored_bytes"].to_list()
    figure = drawing.bars(
        rows["state"].to_list(), sizes, [format_bytes(size) for size in sizes],
        colors=[_STATES[name] for name in rows["state"]], details=rows.select("meaning", "contents").rows(),
        hover="<b>%{y}</b>: %{text} in %{customdata[1]:,} contents<br>%{customdata[0]}<extra></extra>",
        height=100 + 34 * rows.height,
    )  # fmt: skip
    figure.update_xaxes(title_text="stored bytes", **drawing.bytes_axis(max(sizes), exact=True))
    return figure.update_layout(bargap=0.35)

"""Charts of a migration: what is to move, by kind, and from which name to which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from catalogkit import drawing
from catalogkit.display import clip_middle, format_bytes, plotly_text
from catalogkit.plan import StepKind

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from catalogkit.plan import Plan

__all__ = ["by_type", "names", "types"]


def types(moves: pl.DataFrame, top: int = 12) -> pl.DataFrame:
    """Copies that are to move, as `planning.misplaced` tells them, the largest first; the least are summed up.

    Returns
    -------
    DataFrame
        ``media_type``, ``copies``, ``bytes`` (of the copies, which a move neither adds nor frees).
    """
    counted = moves.sort("bytes", "copies", "media_type", descending=[True, True, False])
    rest = counted.slice(top).select(
        media_type=pl.lit("all others"), copies=pl.col("copies").sum(), bytes=pl.col("bytes").sum()
    )
    return pl.concat([counted.head(top), rest]) if counted.height > top else counted


def by_type(frame: pl.DataFrame) -> go.Figure:
    """Draw `types` as bars of bytes, each with its number of copies."""
    if frame.is_empty():
        return drawing.empty("Nothing has to move: every copy has its name in this layout.")
    sizes = frame["bytes"].to_list()
    figure = drawing.bars(
        [plotly_text(name) for name in frame["media_type"]], sizes, [format_bytes(size) for size in sizes],
        colors=drawing.BLUE, details=[f"{copies:,}" for copies in frame["copies"]],
        hover="%{text} in %{customdata} copies<extra></extra>", by_place=True, height=110 + 30 * frame.height,
    )  # fmt: skip
    return figure.update_xaxes(title_text="bytes of the copies", **drawing.bytes_axis(max(sizes), exact=True))


def names(plan: Plan) -> pl.DataFrame:
    """The first new name of each copy beside the old one, the middle of long ones left out, for a page to show.

    Returns
    -------
    DataFrame
        ``from``, ``to``, ``resolver``, ``media_type``.
    """
    links = plan.frame.filter(pl.col("kind") == StepKind.LINK.value).unique("unit", keep="first", maintain_order=True)
    # So that both fit beside each other on a narrow page.
    old, new = (pl.col(name).map_elements(lambda key: clip_middle(key, 36), return_dtype=pl.String)
                for name in ("from_key", "key"))  # fmt: skip
    return links.select(old.alias("from"), new.alias("to"), "resolver", "media_type")

"""What could be let go first, told from size and age alone.

There is no log of who asked for what, so nothing here knows how likely a content is to be asked for again: it is an
order in which to look, not a forecast and not a decision. The score of a content is its byte-days::

    score = stored bytes * days since the newest of its documents was last seen
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.model import to_us
from catalogkit.stats import stored_by_blob

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = ["LABEL", "STAYS", "curve", "size_age_scores"]

LABEL: Final = "Ranked by size × age only. No access log is looked at, so no chance of reuse is known or claimed."
# Why a content is not offered; the first that applies counts.
STAYS: Final = {
    "held": "a hold names it, or one of its documents",
    "source": "one of its documents has no address to fetch it from again",
}
_FETCHED: Final = r"^(?i:https?)://"


def size_age_scores(
    documents: pl.DataFrame, locations: pl.DataFrame, as_of: datetime, *, held: Iterable[str] = ()
) -> pl.DataFrame:
    """Rank contents by their byte-days; those that must stay come last, with the reason.

    Parameters
    ----------
    documents, locations
        The frames of that name; only the locations that eviction could free.
    as_of
        Ages count to this time; what was seen later is of age 0.
    held
        Digests and ids of documents that holds name, as text.

    Returns
    -------
    DataFrame
        A row for each content that documents refer to and that lies somewhere: ``sha256``, ``stored_bytes``,
        ``age_days``, ``score_byte_days`` (whole days), ``documents``, ``artifact_id``, ``resolver``, ``media_type``
        (of the first document), ``stays`` (a key of `STAYS`, or empty).
    """
    to_us(as_of)  # refuses a time without a zone
    names = pl.Series(list(held), dtype=pl.String).implode()
    named = pl.col("id").cast(pl.String).is_in(names) | pl.col("sha256").is_in(names)
    age = pl.max_horizontal(pl.lit(as_of) - pl.col("seen_at").max(), pl.lit(timedelta(0))).dt.total_days()
    stays = (
        pl.when(named.any()).then(pl.lit("held"))
        .when(~pl.col("source_url").str.contains(_FETCHED).all()).then(pl.lit("source"))
        .otherwise(pl.lit(""))
    )  # fmt: skip
    return (
        documents.lazy()
        .sort("id")
        .group_by("sha256")
        .agg(
            age.alias("age_days"), pl.len().cast(pl.Int64).alias("documents"),
            pl.col("artifact_id", "resolver", "media_type").first(), stays.alias("stays"),
        )
        .join(stored_by_blob(locations), on="sha256")
        .with_columns(score_byte_days=pl.col("stored_bytes") * pl.col("age_days"))
        .sort(pl.col("stays") != "", "score_byte_days", "stored_bytes", "sha256", descending=[False, True, True, False])
        .select("sha256", "stored_bytes", "age_days", "score_byte_days", "documents", "artifact_id", "resolver",
                "media_type", "stays")
        .collect()
    )  # fmt: skip


def curve(scores: pl.DataFrame, points: int = 400) -> pl.DataFrame:
    """How many bytes the first contents of the ranking take together.

    Returns
    -------
    DataFrame
        ``rank``, ``stored_bytes`` of all up to it, ``score_byte_days`` of this one: at most so many rows, the first and
        the last among them; what stays is left out.
    """
    ranked = scores.filter(pl.col("stays") == "").select(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("rank"), pl.col("stored_bytes").cum_sum(), "score_byte_days"
    )
    rows = min(points, ranked.height)
    return ranked[[row * (ranked.height - 1) // max(rows - 1, 1) for row in range(rows)]]

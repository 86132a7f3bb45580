"""Plans dedup: decides which copies share their bytes, and why; `planners.sharing` makes the plan.

A *group* is one content at several names in one store. Its names are those of one or more files (*objects*, as
`catalogkit.stats` counts them); one object stays, every other is *spare*, so that the spare bytes of all groups that
documents need are the reclaimable bytes of `catalogkit.stats`. Each spare object gets a reason out of
`catalogkit.policies.dedup.REASONS`: ``worthwhile``, or what speaks against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

import polars as pl

from catalogkit.policies.dedup import EFFORT, GB, REASONS, DedupPolicy, How

_TIME: Final = pl.Datetime("us", "UTC")
# Exact up to 1e20, to 18 places: the price of a byte has about twelve.
MONEY: Final = pl.Decimal(38, 18)
REASON: Final = pl.Enum(list(REASONS))
# From the best to the worst. A copy that was never checked, or could not be, may stay: nothing is linked to it before
# it was read.
HEALTH: Final = pl.Enum(["ok", "never", "unknown", "corrupt"])

# What a gatherer hands over: a row for each location of a content that has several; a row for each such content; and
# what the file system says of the files that may be shared (`there`: a file of the right size lies there;
# `clones` and `own_bytes`, only where copies are to be cloned: whether files can share data, and how much none shares).
COPIES: Final = pl.Schema(
    {
        "id": pl.Int64(),
        "store": pl.String(),
        "ours": pl.Boolean(),
        "sha256": pl.String(),
        "key": pl.String(),
        "layout": pl.String(),
        "inode": pl.Int64(),
        "mtime_ns": pl.Int64(),
        "created_at": _TIME,
        "checked_at": _TIME,
        "outcome": pl.String(),
    }
)
CONTENTS: Final = pl.Schema(
    {
        "sha256": pl.String(),
        "bytes": pl.Int64(),
        "media_type": pl.String(),
        "documents": pl.Int64(),
        "seen_at": _TIME,
        "resolvers": pl.List(pl.String()),
        "artifact_id": pl.String(),
        "resolver": pl.String(),
        "tenant": pl.String(),
    }
)
FILES: Final = pl.Schema(
    {
        "store": pl.String(),
        "key": pl.String(),
        "there": pl.Boolean(),
        "inode": pl.Int64(),
        "mtime_ns": pl.Int64(),
        "device": pl.UInt64(),
        "owner": pl.String(),
        "mode": pl.Int64(),
        "links": pl.Int64(),
        "clones": pl.Boolean(),
        "own_bytes": pl.Int64(),
    }
)
# What comes back: a row for each object of each group, the one that stays first.
DECISIONS: Final = pl.Schema(
    {
        "store": pl.String(),
        "sha256": pl.String(),
        "key": pl.String(),
        "spare": pl.Boolean(),
        "reason": REASON,
        "planned": pl.Boolean(),
        "into": pl.String(),
        "bytes": pl.Int64(),
        "names": pl.Int64(),
        "links": pl.Int64(),
        "health": HEALTH,
        "documents": pl.Int64(),
        "seen_at": _TIME,
        "steps": pl.Int64(),
        "read_bytes": pl.Int64(),
        "requests": pl.Int64(),
        "read_seconds": pl.Float64(),
        "read_cost": MONEY,
        "request_cost": MONEY,
        "time_cost": MONEY,
        "cost": MONEY,
        "saving": MONEY,
        "freed_bytes": pl.Int64(),
        "inode": pl.Int64(),
        "keys": pl.List(pl.String()),
        "mtime": pl.Int64(),
        "media_type": pl.String(),
        "artifact_id": pl.String(),
        "resolver": pl.String(),
        "tenant": pl.String(),
    }
)
GROUP: Final = ("store", "sha256")
_NUMBER: Final = "number"
# How fast bytes are read where nobody measured it or said so: see `Costs.read_mb_per_second`.
USUAL_MB_PER_SECOND: Final = 200.0
_DAY_US: Final = 86_400_000_000


def survey(copies: pl.DataFrame, contents: pl.DataFrame, policy: DedupPolicy, *, as_of: datetime) -> pl.DataFrame:
    """Say what the catalog alone has against sharing copies.

    Parameters
    ----------
    copies, contents
        Frames with the columns of `COPIES` and `CONTENTS`.

    Returns
    -------
    DataFrame
        The copies of every group, with all about their contents; ``reason`` is null where the files are to be looked
        at. A copy that was found missing is none.
    """
    checked = pl.col("checked_at").is_not_null() & (pl.col("checked_at") <= as_of) & pl.col("outcome").is_not_null()
    worst = pl.col("outcome").replace_strict({"ok": 0, "unknown": 1, "corrupt": 2}, default=0, return_dtype=pl.Int64)
    return (
        copies.lazy()
        .filter(pl.col("outcome").ne_missing("missing"))
        .filter(pl.len().over(*GROUP) > 1)
        .join(contents.lazy(), on="sha256")
        .with_columns(
            cas=pl.col("layout") == "cas",
            check=pl.when(checked).then(pl.col("checked_at").dt.epoch("us") * 4 + worst),
            reason=_refused(policy, as_of),
        )
        .collect()
    )


def _refused(policy: DedupPolicy, as_of: datetime) -> pl.Expr:
    """The first reason against a whole group, null where there is none."""
    old = others = pl.lit(False)
    if policy.max_age_days is not None:
        age_us = pl.lit(as_of).dt.epoch("us") - pl.col("seen_at").dt.epoch("us")
        old = age_us > policy.max_age_days * _DAY_US
    if policy.resolver_allowlist is not None:
        others = ~pl.col("resolvers").list.eval(pl.element().is_in(policy.resolver_allowlist)).list.all()
    return _first(
        ("unreferenced", pl.col("documents") == 0),
        ("in-place", ~pl.col("ours")),
        ("empty", pl.col("bytes") == 0),
        ("too-small", pl.col("bytes") < policy.min_file_size),
        ("too-old", old),
        ("resolver", others),
    )


def decide(
    copies: pl.DataFrame,
    files: pl.DataFrame,
    policy: DedupPolicy,
    *,
    how: How = How.LINK,
    most_links: Mapping[str, int] | None = None,
) -> pl.DataFrame:
    """Decide about every object.

    Parameters
    ----------
    copies
        What `survey` returned.
    files
        The columns of `FILES`, a row for each copy without a reason. Where there is one, it is believed before the
        catalog: a store that came back from a backup may have other files than were taken in. Without any, nothing is
        known of the files, and nothing is held against them.
    how
        How copies come to share bytes. A clone stays a file of its own, so that owners, modes, times, other names and
        the limit of names matter for the other two only.
    most_links
        How many names a file may have, by store.

    Returns
    -------
    DataFrame
        The columns of `DECISIONS`.
    """
    ranked = _ranked(_objects(copies, files))
    differing = {"other-device": "device"}
    if how is not How.CLONE:
        preserved = {"owner": policy.preserve_owner, "mode": policy.preserve_mode, "mtime": policy.preserve_mtime}
        differing |= {name: name for name, keeps in preserved.items() if keeps}
    # Files that may become one, each such class with the best of its own to be linked to.
    alike = pl.struct(_NUMBER, pl.col("bad").is_not_null(), *differing.values())
    head = pl.col("key").first().over(alike)
    unlike = [(code, pl.col(name).ne_missing(pl.col(name).first().over(_NUMBER))) for code, name in differing.items()]
    if how is not How.CAS:
        # One that differs from the best is still linked to others like itself; where all end as one name, it is not.
        unlike = [(code, differs & (pl.col("key") == head)) for code, differs in unlike]
    physical = [("held-elsewhere", pl.col("links") > pl.col("names"))]
    if how is How.CLONE:
        physical = [("no-clones", ~pl.col("clones")), ("already-cloned", pl.col("own_bytes") == 0)]
    dear = pl.col("saving") <= pl.col("cost") * _exact(Decimal(str(policy.cost_threshold)))
    verdict = _first(
        ("kept", ~pl.col("spare")),
        *unlike,
        *physical,
        ("too-costly", dear),
        ("worthwhile", pl.lit(True)),
    )
    decided = (
        ranked.with_columns(_terms(policy, how))
        .with_columns(cost=pl.sum_horizontal("read_cost", "request_cost", "time_cost"))
        .with_columns(reason=pl.coalesce("reason", "bad", verdict), into=head)
    )
    if how is How.CAS:
        decided = _one_address(decided)
    elif how is How.LINK:
        decided = _within_limits(decided, most_links or {})
    gone = pl.col("reason") == "worthwhile"
    gathers = (pl.col("reason") == "kept") & gone.any().over(_NUMBER) if how is How.CAS else pl.lit(False)
    return decided.with_columns(
        into=pl.when(gone).then("into"), freed_bytes=pl.when(gone).then("bytes").otherwise(0), planned=gone | gathers
    ).select(pl.col(name).cast(kind) for name, kind in DECISIONS.items())


def _objects(copies: pl.DataFrame, files: pl.DataFrame) -> pl.DataFrame:
    """A row for each file, with its ``keys``, the best name first; a name that leads nowhere stands for itself."""
    found = files.lazy().rename({"inode": "now_inode", "mtime_ns": "now_mtime_ns"})
    gone = pl.col("there").eq_missing(False)
    # The first of an object's names speaks for it: a content address, else the oldest.
    order = [*GROUP, ~pl.col("cas"), "created_at", "id"]
    about = [name for name in CONTENTS if name != "sha256"]
    return (
        copies.lazy()
        .join(found, on=["store", "key"], how="left")
        .with_columns(
            inode=pl.coalesce("now_inode", "inode"),
            mtime=pl.coalesce("now_mtime_ns", "mtime_ns"),
            own=pl.when(gone | pl.col("inode").is_null()).then("id"),
            there=~gone,
        )
        .sort(order)
        .group_by(*GROUP, "device", "inode", "own", maintain_order=True)
        .agg(
            pl.col("key", "reason", "ours", "cas", "created_at", "id", "there", "mtime", "owner", "mode").first(),
            pl.col("clones", "own_bytes").first(),
            pl.col(about).first(),
            # The newest check of an object's names speaks for it, and of two at one moment the worse.
            pl.col("check", "links").max(),
            keys="key",
            names=pl.len().cast(pl.Int64),
        )
        .with_columns(
            pl.col("links").fill_null(pl.col("names")),
            health=(pl.col("check") & 3).replace_strict(
                {0: "ok", 1: "unknown", 2: "corrupt"}, default="never", return_dtype=HEALTH
            ),
            reason=pl.coalesce("reason", _first(("already-shared", pl.len().over(*GROUP) == 1))),
        )
        .collect()
    )


def _ranked(objects: pl.DataFrame) -> pl.DataFrame:
    """The objects of each group with the one that stays first: fit, healthy, a content address, old."""
    bad = _first(("corrupt", pl.col("health") == "corrupt"), ("changed", ~pl.col("there")))
    order = [*GROUP, pl.col("bad").is_not_null(), "health", ~pl.col("cas"), "created_at", "id"]
    return (
        objects.with_columns(bad=bad)
        .sort(order)
        .with_columns(pl.struct(GROUP).rle_id().alias(_NUMBER))
        .with_columns(spare=pl.int_range(pl.len()).over(_NUMBER) > 0)
    )


def _terms(policy: DedupPolicy, how: How) -> list[pl.Expr]:
    """What sharing an object takes, costs and saves, term by term."""
    costs, (reads, requests) = policy.costs, EFFORT[how]
    # The one that stays takes steps only where it gets its content address, and loses its other names.
    staying = pl.col("names") + 1 - 2 * pl.col("cas").cast(pl.Int64) if how is How.CAS else pl.lit(0)
    steps = pl.when("spare").then(pl.lit(1) if how is How.CLONE else pl.col("names")).otherwise(staying)
    read_bytes, asked = steps * reads * pl.col("bytes"), steps * requests
    speed = (costs.read_mb_per_second or USUAL_MB_PER_SECOND) * 1e6
    seconds = read_bytes / speed + asked * costs.seconds_per_request
    months = Decimal(str(costs.months))
    return [
        steps.cast(pl.Int64).alias("steps"),
        read_bytes.alias("read_bytes"),
        asked.cast(pl.Int64).alias("requests"),
        seconds.alias("read_seconds"),
        _money(read_bytes, costs.per_gb_read / GB).alias("read_cost"),
        _money(asked, costs.per_1000_requests / 1000).alias("request_cost"),
        _money(seconds, costs.per_hour / 3600).alias("time_cost"),
        _money(pl.when("spare").then("bytes").otherwise(0), costs.per_gb_month * months / GB).alias("saving"),
    ]


def _money(amount: pl.Expr, price: Decimal) -> pl.Expr:
    """So much of something, at a price, in a column that adds up without rounding."""
    return (amount.cast(pl.Decimal(38, 9)) * _exact(price)).cast(MONEY)


def _exact(number: Decimal) -> pl.Expr:
    return pl.lit(number.quantize(Decimal(1).scaleb(-MONEY.scale)), dtype=MONEY)


def _one_address(decided: pl.DataFrame) -> pl.DataFrame:
    """Leave groups alone whose content address is taken by a copy that may not be replaced."""
    taken = (
        pl.col("reason").filter(pl.col("cas") & ~pl.col("reason").is_in(["kept", "worthwhile"])).first().over(_NUMBER)
    )
    return decided.with_columns(
        reason=pl.when(pl.col("reason") == "worthwhile").then(pl.coalesce(taken, "reason")).otherwise("reason")
    )


def _within_limits(decided: pl.DataFrame, most_links: Mapping[str, int]) -> pl.DataFrame:
    """Where a file would get more names than the file system allows, let some more files stay."""
    limit = pl.col("store").replace_strict(dict(most_links), default=None, return_dtype=pl.Int64)
    chosen = pl.col("reason") == "worthwhile"
    # The first of a class is the one that the others are linked to.
    wanted = (pl.col("links").first() + pl.col("names").filter(chosen).sum()).over(_NUMBER, "into")
    numbered = decided.with_row_index("row").with_columns(limit=limit)
    crowded = numbered.filter(chosen & (wanted > pl.col("limit")))
    if crowded.is_empty():
        return decided
    moved = []
    names_of_head = {(row[0], row[1]): row[2] for row in decided.select(_NUMBER, "key", "links").iter_rows()}
    for (number, into, most), rows in crowded.group_by(_NUMBER, "into", "limit", maintain_order=True):
        head, room = into, most - names_of_head[number, into]
        for row, key, names, links in rows.select("row", "key", "names", "links").iter_rows():
            stays = names > room
            head, room = (key, most - links) if stays else (head, room - names)
            moved.append((row, head, "link-limit" if stays else "worthwhile"))
    schema = {"row": pl.UInt32(), "into": pl.String(), "reason": REASON}
    return numbered.update(pl.DataFrame(moved, schema=schema, orient="row"), on="row").drop("row", "limit")


def _first(*cases: tuple[str, pl.Expr]) -> pl.Expr:
    """The code of the first case that holds, null where none does."""
    return pl.coalesce(pl.when(case).then(pl.lit(code, REASON)) for code, case in cases)

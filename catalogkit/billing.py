"""What each tenant's documents cost over a period, charged in full and split fairly, side by side.

A blob that several tenants have is stored once. *Charged in full*, each of them pays for all of it, as it would without
the others; *shared fairly*, each pays an equal part of all its copies, for as long as they share it. Fair parts and
what nobody has (garbage in its grace, what only snapshots keep) add up to what lay in the stores, to the last byte:
sums are whole numbers and fractions, rounded once, at the end, so that the rounded parts still add up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.model import BlobState, to_us

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["BILL", "NOBODY", "Charges", "Prices", "bill", "billed", "charges", "moving"]

NOBODY: Final = ""
"""Stands for bytes that no tenant has: no document can belong to it, for a tenant's name is never empty."""

# A GB is 10^9 bytes, a month a twelfth of a year of 365 days, 730 hours, as the price lists of object stores have it.
GB_MONTH: Final = 10**9 * 730 * 3600 * 10**6
MONEY: Final = 6  # digits after the point: a catalog of a few documents costs millionths

BILL: Final[dict[str, pl.DataType]] = {
    "tenant": pl.String(),
    "documents": pl.Int64(),
    "logical_bytes": pl.Int64(),
    "full_bytes": pl.Int64(),
    "fair_bytes": pl.Int64(),
    "full_gb_months": pl.Float64(),
    "fair_gb_months": pl.Float64(),
    "requests": pl.Int64(),
    "full_cost": pl.Decimal(38, MONEY),
    "fair_cost": pl.Decimal(38, MONEY),
    "requests_cost": pl.Decimal(38, MONEY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a GB kept for a month costs, and a thousand requests, in `currency`."""

    gb_month: Decimal = Decimal("0.023")  # S3 Standard, the first 50 TB, us-east-1
    thousand_requests: Decimal = Decimal("0.0004")  # S3 Standard GET, us-east-1
    currency: str = "USD"

    def __post_init__(self) -> None:
        for name in ("gb_month", "thousand_requests"):
            price = getattr(self, name)
            if not isinstance(price, Decimal) or not price.is_finite() or price < 0:
                raise InvalidInput(f'{name} is a price: give a Decimal that is not negative, such as Decimal("0.023")')
        if not self.currency.strip():
            raise InvalidInput("a price needs a currency, such as USD")


def _none() -> defaultdict[str, Fraction]:
    return defaultdict(Fraction)


@dataclass(slots=True)
class Charges:
    """What a bill is made of, by tenant, before anything is rounded; those of catalogs that share nothing add up.

    Attributes
    ----------
    full, fair
        Bytes times microseconds: in full, and shared equally. What nobody has is fairly `NOBODY`'s.
    full_now, fair_now
        Bytes at the end of the period.
    requests, documents, logical_bytes
        Requests of the period; documents at its end, and their bytes.
    """

    full: defaultdict[str, Fraction] = field(default_factory=_none)
    fair: defaultdict[str, Fraction] = field(default_factory=_none)
    full_now: defaultdict[str, Fraction] = field(default_factory=_none)
    fair_now: defaultdict[str, Fraction] = field(default_factory=_none)
    requests: Counter[str] = field(default_factory=Counter)
    documents: Counter[str] = field(default_factory=Counter)
    logical_bytes: Counter[str] = field(default_factory=Counter)

    def add(self, other: Charges) -> None:
        """Add those of another catalog, or of other documents of this one."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            for tenant, amount in theirs.items():
                mine[tenant] += amount

    def store(self, tenant: str, time: int, full: Fraction, fair: Fraction) -> None:
        """Charge bytes that are there at the end for so many microseconds."""
        self.full[tenant] += full * time
        self.fair[tenant] += fair * time
        self.full_now[tenant] += full
        self.fair_now[tenant] += fair


def bill(
    versions: pl.DataFrame,
    blobs: pl.DataFrame,
    locations: pl.DataFrame,
    accesses: pl.DataFrame,
    *,
    start: datetime,
    end: datetime,
    prices: Prices | None = None,
) -> pl.DataFrame:
    """What each tenant had, and what it cost, from `start` until `end`: `billed` of the `charges` of these frames."""
    return billed(charges(versions, blobs, locations, accesses, start=start, end=end), prices)


def charges(
    versions: pl.DataFrame,
    blobs: pl.DataFrame,
    locations: pl.DataFrame,
    accesses: pl.DataFrame,
    *,
    start: datetime,
    end: datetime,
) -> Charges:
    """Charge each tenant for what it had from `start` until `end`.

    Parameters
    ----------
    versions, blobs, locations, accesses
        Frames ``document_versions``, ``blobs``, ``locations`` and ``accesses``.
    start, end
        The period; `end` does not belong to it. `end` is no later than the frames are.

    Raises
    ------
    InvalidInput
        If the period ends before it begins.

    Notes
    -----
    Copies of a blob that lie there now count since each was made; what lay there before the oldest of them, or lies
    there no more because the blob was purged, counts as one copy. What is missing takes no room. In full, a tenant pays
    for one copy, or for its equal part where there are more copies than tenants.
    """
    first, last = period(start, end)
    found = moving(versions, blobs, locations, first, last)
    found.requests.update(_requests(versions, accesses, first, last))
    until = pl.col("valid_to").dt.timestamp("us")
    then = versions.filter(pl.col("valid_from").dt.timestamp("us") < last, until.is_null() | (until >= last))
    for tenant, count, size in then.group_by("tenant").agg(pl.len(), pl.col("bytes").sum()).iter_rows():
        found.documents[tenant], found.logical_bytes[tenant] = count, size
    return found


def period(start: datetime, end: datetime) -> tuple[int, int]:
    """A period in microseconds.

    Raises
    ------
    InvalidInput
        If it ends before it begins.
    """
    if start >= end:
        raise InvalidInput("a period ends after it begins")
    return to_us(start), to_us(end)


def moving(versions: pl.DataFrame, blobs: pl.DataFrame, locations: pl.DataFrame, first: int, last: int) -> Charges:
    """Charge for the storage of blobs whose tenants or copies may change within the period, which any may.

    Parameters
    ----------
    versions, blobs, locations
        As for `charges`; ``sha256`` may be any number that stands for a content.
    first, last
        The period, in microseconds.
    """
    held = _held(versions, first, last)
    pieces = _pieces(held, _stored(blobs, locations, first, last), blobs)
    full, fair = _parts(pieces, held, pl.col("stop") - pl.col("start"))
    full_now, fair_now = _parts(pieces.filter(pl.col("stop") == last), held, pl.lit(1))
    return Charges(full, fair, full_now, fair_now)


def billed(charged: Charges, prices: Prices | None = None) -> pl.DataFrame:
    """A bill: what was charged, priced and rounded.

    Returns
    -------
    DataFrame
        Columns as in `BILL`, dearest first, tenants with neither documents nor requests left out. ``documents``,
        ``logical_bytes``, ``full_bytes`` and ``fair_bytes`` are as of the end. A last row with the tenant `NOBODY` is
        what no document needed; its ``fair_*`` and those of all tenants add up to what lay in the stores.
    """
    costs, full, fair = prices or Prices(), charged.full, charged.fair
    known = {*full, *fair, *charged.full_now, *charged.requests, *charged.documents} - {NOBODY}
    names = [*sorted(known, key=lambda one: (-fair[one], one)), NOBODY]
    fair_bytes = _whole({name: charged.fair_now[name] for name in names})
    full_bytes = _whole({name: charged.full_now[name] for name in names})
    fair_costs = _money({name: fair[name] / GB_MONTH for name in names}, costs.gb_month)
    full_costs = _money({name: full[name] / GB_MONTH for name in names}, costs.gb_month)
    asked = _money({name: Fraction(charged.requests[name], 1000) for name in names}, costs.thousand_requests)
    rows = [
        (
            name, charged.documents[name], charged.logical_bytes[name], full_bytes[name], fair_bytes[name],
            float(full[name] / GB_MONTH), float(fair[name] / GB_MONTH), charged.requests[name],
            full_costs[name], fair_costs[name], asked[name],
        )
        for name in names
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=BILL, orient="row")


def _clip(frame: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    """Only what lies in the period, cut to it."""
    cut = frame.with_columns(
        start=pl.max_horizontal("start", pl.lit(first)), stop=pl.min_horizontal("stop", pl.lit(last))
    )
    return cut.filter(pl.col("start") < pl.col("stop"))


def _held(versions: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    """When which tenant had which blob: intervals that do not overlap."""
    raw = versions.select(
        "tenant", "sha256",
        start=pl.col("valid_from").dt.timestamp("us"), stop=pl.col("valid_to").dt.timestamp("us").fill_null(last),
    )  # fmt: skip
    who = ("tenant", "sha256")
    return (
        _clip(raw, first, last)
        .sort(*who, "start")
        .with_columns(reached=pl.col("stop").cum_max().shift(1).over(who))
        .with_columns(island=(pl.col("start") > pl.col("reached")).fill_null(True).cum_sum())
        .group_by(*who, "island")
        .agg(pl.col("start").min(), pl.col("stop").max())
        .drop("island")
    )


def _stored(blobs: pl.DataFrame, locations: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    """When a copy of which blob lay somewhere, a row for each copy."""
    # As in `stats`: paths of one store with one inode are one object.
    copies = (
        locations.filter(pl.col("outcome").is_null() | (pl.col("outcome") != "missing"))
        .with_columns(object=pl.coalesce(pl.col("inode").cast(pl.String), pl.format("l{}", "id")))
        .group_by("sha256", "store", "object")
        .agg(start=pl.col("created_at").min().dt.timestamp("us"))
        .select("sha256", "start", stop=pl.lit(last, dtype=pl.Int64))
    )
    oldest = copies.group_by("sha256").agg(oldest=pl.col("start").min())
    purged = pl.col("state") == BlobState.PURGED.value
    before = (
        blobs.filter(pl.col("state") != BlobState.INCOMING.value)
        .join(oldest, on="sha256", how="left")
        .select(
            "sha256",
            start=pl.col("created_at").dt.timestamp("us"),
            stop=pl.when(purged).then(pl.col("changed_at").dt.timestamp("us")).otherwise("oldest"),
        )
        .drop_nulls("stop")
    )
    return _clip(pl.concat([copies, before]), first, last)


def _pieces(held: pl.DataFrame, stored: pl.DataFrame, blobs: pl.DataFrame) -> pl.DataFrame:
    """The period of each stored blob, cut wherever its copies or its tenants change: ``copies``, ``tenants``."""
    steps = [
        frame.select("sha256", at=pl.col(edge), copies=pl.lit(copies * sign), tenants=pl.lit(tenants * sign))
        for frame, copies, tenants in ((stored, 1, 0), (held, 0, 1))
        for edge, sign in (("start", 1), ("stop", -1))
    ]
    return (
        pl.concat(steps)
        .group_by("sha256", "at")
        .agg(pl.col("copies").sum(), pl.col("tenants").sum())
        .sort("sha256", "at")
        .with_columns(
            pl.col("copies").cum_sum().over("sha256"),
            pl.col("tenants").cum_sum().over("sha256"),
            stop=pl.col("at").shift(-1).over("sha256"),
        )
        .filter(pl.col("copies") > 0, pl.col("stop").is_not_null())
        .rename({"at": "start"})
        .join(blobs.select("sha256", "bytes"), on="sha256")
    )


def _parts(
    pieces: pl.DataFrame, held: pl.DataFrame, time: pl.Expr
) -> tuple[defaultdict[str, Fraction], defaultdict[str, Fraction]]:
    """Bytes times `time` by tenant: in full, and shared equally; what nobody has is fairly nobody's."""
    full: defaultdict[str, Fraction] = defaultdict(Fraction)
    fair: defaultdict[str, Fraction] = defaultdict(Fraction)
    size = pl.col("bytes").cast(pl.Int128) * time
    owned = (
        pieces.filter(pl.col("tenants") > 0)
        .join(held.rename({"start": "since", "stop": "until"}), on="sha256")
        .filter(pl.col("since") <= pl.col("start"), pl.col("stop") <= pl.col("until"))
        .group_by("tenant", "tenants")
        .agg(all=(size * pl.col("copies")).sum(), alone=(size * pl.max_horizontal("copies", "tenants")).sum())
    )
    for tenant, sharing, together, alone in owned.iter_rows():
        full[tenant] += Fraction(alone, sharing)
        fair[tenant] += Fraction(together, sharing)
    fair[NOBODY] += int(pieces.filter(pl.col("tenants") == 0).select((size * pl.col("copies")).sum()).item())
    return full, fair


def _requests(versions: pl.DataFrame, accesses: pl.DataFrame, first: int, last: int) -> dict[str, int]:
    owners = versions.select("document_id", "tenant").unique("document_id")
    asked = requested(accesses, first, last).join(owners, on="document_id")
    return dict(asked.group_by("tenant").agg(pl.col("count").sum()).iter_rows())


def requested(accesses: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    """How often each document was asked for within the period: ``document_id``, ``count``."""
    within = pl.col("accessed_at").dt.timestamp("us").is_between(first, last, closed="left")
    return accesses.filter(within).group_by("document_id").agg(pl.col("count").sum())


def _whole(parts: Mapping[str, Fraction]) -> dict[str, int]:
    """Round so that the sum is that of the parts, rounded: the largest remainders get what is left over."""
    floors = {name: part.numerator // part.denominator for name, part in parts.items()}
    left = round(sum(parts.values())) - sum(floors.values())
    by_remainder = sorted(parts, key=lambda name: (floors[name] - parts[name], name))
    for name in by_remainder[: max(left, 0)]:
        floors[name] += 1
    return floors


def _money(amounts: Mapping[str, Fraction], price: Decimal) -> dict[str, Decimal]:
    exact = {name: amount * Fraction(price) * 10**MONEY for name, amount in amounts.items()}
    return {name: Decimal(part).scaleb(-MONEY) for name, part in _whole(exact).items()}

"""The dedup policy: what is worth sharing, and what reading and storing bytes costs.

Proving that copies are equal means reading them, which takes time and, in some places, money; what it frees is paid
for month by month. A copy is worth sharing when what it saves until the horizon is more than a set share of what the
proof costs::

    saving = bytes freed * price per GB and month * months
    cost   = bytes read * price per GB read + requests * price per request + seconds * price per hour
    worth it, if saving > cost_threshold * cost

Sharing a copy takes a step for each of its names (``link``), one step (``clone``), or a drop for each of its names
(``cas``). A link or a clone reads both files, which is two requests, and writes a name, which is a third; a drop reads
the copy that stays, and removes a name. The seconds are bytes read / throughput + requests * seconds per request.
"""

from __future__ import annotations

import enum
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from catalogkit.errors import InvalidInput

GB: Final = 10**9


class How(enum.StrEnum):
    """How copies come to share their bytes."""

    LINK = "link"
    CLONE = "clone"
    CAS = "cas"


# (reads, requests) of one step.
EFFORT: Final = {How.LINK: (2, 3), How.CLONE: (2, 3), How.CAS: (1, 2)}

# Why a copy is, or is not, to share its bytes: code -> (words, what would change it). The first that applies counts;
# they stand in the order in which they are asked.
REASONS: Final[dict[str, tuple[str, str]]] = {
    "unreferenced": ("no document refers to it any more", "garbage collection: `catalogkit plan gc`"),
    "in-place": (
        "its files are in their owner's hands, where nothing is ever changed",
        "take it in with `catalogkit ingest`: a store keeps equal bytes once",
    ),
    "empty": ("it has no bytes, so that sharing frees none", ""),
    "too-small": ("it is smaller than `min_file_size`", "lower `min_file_size`"),
    "too-old": ("none of its documents was seen within `max_age_days`", "raise `max_age_days`"),
    "resolver": (
        "it belongs to a document of a resolver that is not on `resolver_allowlist`",
        "add the resolver to `resolver_allowlist`",
    ),
    "already-shared": ("all its names are names of one file: there is nothing left to save", ""),
    "corrupt": ("the copy is known to be bad; it is no source and no target", "repair: `catalogkit plan repair`"),
    "changed": (
        "no file of its size lies there",
        "find out with `catalogkit verify`, then plan again",
    ),
    "other-device": ("it lies on another file system than the copy that stays", ""),
    "owner": ("it has another owner than the copy that stays, and owners are preserved", "`preserve_owner = false`"),
    "mode": ("it has another mode than the copy that stays, and modes are preserved", "`preserve_mode = false`"),
    "mtime": (
        "it has another modification time than the copy that stays, and times are preserved",
        "`preserve_mtime = false`",
    ),
    "held-elsewhere": (
        "it has names that the catalog does not know, which would keep its bytes where they are",
        "remove those names, or clone instead of linking",
    ),
    "no-clones": ("its file system cannot share data between files", "link instead of cloning"),
    "already-cloned": ("all of its data is shared with other files already", ""),
    "too-costly": (
        "what it saves is not more than `cost_threshold` of what proving it costs",
        "lower `cost_threshold`, or correct the prices",
    ),
    "link-limit": ("the copy that stays has as many names as the file system allows; this one stays beside it", ""),
    "kept": ("the copy that stays: the healthiest, a content address before a readable path, the oldest", ""),
    "worthwhile": ("equal bytes that are worth sharing", ""),
}


def _whole(name: str, value: object, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise InvalidInput(f"{name} must be a whole number from 0 to {most:,}, not {value!r}")


def _number(name: str, value: object, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InvalidInput(f"{name} must be a number from 0 to {most:,.0f}, not {value!r}")
    return value


def _money(name: str, value: object) -> Decimal:
    try:
        # By way of its text a float is the number somebody typed, not the binary fraction nearest to it.
        money = Decimal(str(value)) if isinstance(value, int | float | str | Decimal) else Decimal("NaN")
    except InvalidOperation:
        money = Decimal("NaN")
    if isinstance(value, bool) or not (money.is_finite() and 0 <= money <= 10**6):
        raise InvalidInput(f"{name} must be an amount of money from 0 to 1,000,000, not {value}")
    return money


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What storing and reading costs where the store lies. The defaults are assumptions, to be replaced by your own.

    Attributes
    ----------
    currency : str
        The name of the money all prices are in.
    per_gb_month : Decimal
        Storing 1 GB (1e9 bytes) for a month. 0.08 is what cloud price lists of 2025 ask for general-purpose SSD.
    per_gb_read : Decimal
        Reading 1 GB. Nothing on a disk of one's own; 0.01 to 0.03 for object storage that is meant to rest.
    per_1000_requests : Decimal
        A thousand requests. Nothing on a disk; about 0.0004 (reading) to 0.01 (resting classes) for object storage.
    per_hour : Decimal
        An hour of the machine that reads. 0.10 is about what two cores with 8 GB cost per hour in a cloud in 2025.
    read_mb_per_second : float or None
        How fast bytes are read. None takes what the last whole verification measured here, and 200 where there was
        none: about the sequential speed of one hard disk, or of a small cloud volume.
    seconds_per_request : float
        What one file takes beside its bytes. 0.01 is one seek of a hard disk; an SSD takes a hundredth of it.
    months : float
        The horizon: for how long the freed bytes would have been stored otherwise.
    """

    currency: str = "USD"
    per_gb_month: Decimal = Decimal("0.08")
    per_gb_read: Decimal = Decimal(0)
    per_1000_requests: Decimal = Decimal(0)
    per_hour: Decimal = Decimal("0.10")
    read_mb_per_second: float | None = None
    seconds_per_request: float = 0.01
    months: float = 12.0

    def __post_init__(self) -> None:
        for name in ("per_gb_month", "per_gb_read", "per_1000_requests", "per_hour"):
            msgspec.structs.force_setattr(self, name, _money(name, getattr(self, name)))
        _number("seconds_per_request", self.seconds_per_request, 1e6)
        _number("months", self.months, 1200)
        if self.read_mb_per_second is not None and _number("read_mb_per_second", self.read_mb_per_second, 1e9) == 0:
            raise InvalidInput("read_mb_per_second must be more than 0; leave it out to have it measured")
        if not isinstance(self.currency, str) or not self.currency.strip():
            raise InvalidInput("currency must be the name of some money, such as 'USD'")


class DedupPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which copies are to share their bytes.

    Attributes
    ----------
    min_file_size : int
        Smaller files, in bytes, are left alone: there are many of them, and they free little.
    max_age_days : int or None
        Contents none of whose documents was seen for longer are left alone; None leaves none out. What nobody fetches
        any more is what retention forgets next: its savings would end early, and the proof costs the same.
    cost_threshold : float
        What a copy saves must be more than this share of what its proof costs. 0.1 is cautious in favour of sharing;
        1 asks that it pays for itself before the horizon.
    resolver_allowlist : list of str or None
        Only contents whose documents are all of these resolvers; None allows every resolver.
    preserve_owner, preserve_mode, preserve_mtime : bool
        Linked files have one owner, one mode and one modification time: copies that differ in what is preserved are
        not linked with each other. Clones keep their own, whatever is said here.
    costs : Costs
        What storing and reading costs.

    Raises
    ------
    InvalidInput
        If a value is not acceptable.

    Examples
    --------
    >>> policy = ck.DedupPolicy(min_file_size=1_000_000)
    >>> ck.plan_dedup(c, policy).units
    0
    """

    min_file_size: int = 1_000_000
    max_age_days: int | None = 90
    cost_threshold: float = 0.10
    resolver_allowlist: list[str] | None = None
    preserve_owner: bool = True
    preserve_mode: bool = True
    preserve_mtime: bool = False
    costs: Costs = Costs()

    def __post_init__(self) -> None:
        _whole("min_file_size", self.min_file_size, 2**62)
        if self.max_age_days is not None:
            _whole("max_age_days", self.max_age_days, 36_500)
        _number("cost_threshold", self.cost_threshold, 1e6)
        for name in ("preserve_owner", "preserve_mode", "preserve_mtime"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInput(f"{name} must be true or false, not {getattr(self, name)!r}")
        allowed: object = self.resolver_allowlist
        if allowed is not None:
            if not isinstance(allowed, list | tuple | set) or not all(isinstance(name, str) for name in allowed):
                raise InvalidInput("resolver_allowlist must be a list of names of resolvers")
            msgspec.structs.force_setattr(self, "resolver_allowlist", sorted(set(allowed)))
        if not isinstance(self.costs, Costs):
            raise InvalidInput("costs must be a catalogkit.policies.dedup.Costs")

    def plain(self) -> dict[str, Any]:
        """As plain data; money as text."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values

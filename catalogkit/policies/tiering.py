"""The settings ``[tiering]``: when bytes move to a cheap store, and when they come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from catalogkit.errors import InvalidInput
from catalogkit.units import parse_bytes, parse_duration

if TYPE_CHECKING:
    from datetime import timedelta


class TierPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Two stores, and what moves between them.

    Attributes
    ----------
    hot : str
        The store that is quick; without it the one that new bytes go to.
    cold : str
        The store that is cheap.
    older_than : str
        What goes is older than this.
    unread_for : str
        What goes was not asked for, by the access log, for so long.
    least_bytes : str
        What goes is at least so large: many small objects cost more where requests are dear.
    back_after : int
        What was asked for so often within `unread_for` comes back.
    horizon : str
        How far ahead costs are compared; a move that does not pay within it is not planned.

    Raises
    ------
    InvalidInput
        If a value is not acceptable.

    Examples
    --------
    >>> ck.TierPolicy(cold="archive", older_than="26w").age().days
    182
    """

    hot: str = ""
    cold: str = ""
    older_than: str = "90d"
    unread_for: str = "90d"
    least_bytes: str = "128kB"
    back_after: Annotated[int, msgspec.Meta(ge=1)] = 2
    horizon: str = "365d"

    def __post_init__(self) -> None:
        if not self.ahead():
            raise InvalidInput("the horizon must lie ahead")
        _ = self.age(), self.unread(), self.smallest()

    def age(self) -> timedelta:
        """`older_than` as a duration."""
        return parse_duration(self.older_than)

    def unread(self) -> timedelta:
        """`unread_for` as a duration."""
        return parse_duration(self.unread_for)

    def smallest(self) -> int:
        """`least_bytes` as a number."""
        return parse_bytes(self.least_bytes)

    def ahead(self) -> timedelta:
        """`horizon` as a duration."""
        return parse_duration(self.horizon)

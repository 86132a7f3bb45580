"""The input of all scorers: objects, and when each was asked for.

An object is a content that could go: its bytes, since when it is there, the class of its source. A log says how often
it was asked for until a time, and nothing about later: whoever scores as of a time gets what was known by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.model import to_us

if TYPE_CHECKING:
    from datetime import datetime

_TIME: Final = pl.Datetime("us", "UTC")

# `since` and `until`: when somebody began and ceased to count its requests; after `until` they are unknown, not none.
# `prior`: requests before `since`, of which only their number is known.
OBJECTS: Final = pl.Schema(
    {
        "object": pl.String(),
        "name": pl.String(),
        "bytes": pl.Int64(),
        "created_at": _TIME,
        "since": _TIME,
        "until": _TIME,
        "prior": pl.Int64(),
        "source": pl.String(),
        "kind": pl.String(),
        "tenant": pl.String(),
    }
)
EVENTS: Final = pl.Schema({"object": pl.String(), "at": _TIME, "count": pl.Int64()})
# What is only compared may be told so, too: of a million objects, numbers are found several times faster than texts.
_ALSO: Final = {
    "object": pl.Int64(), "source": pl.Categorical(), "kind": pl.Categorical(), "tenant": pl.Categorical(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class History:
    """Objects and the log of requests for them.

    Attributes
    ----------
    objects
        A row for each: the columns of `OBJECTS`. Objects may be numbers; source, kind and tenant may be categorical.
    events
        How often an object was asked for in a reading of the log that ended `at` a time: the columns of `EVENTS`.
    """

    objects: pl.DataFrame
    events: pl.DataFrame

    def __post_init__(self) -> None:
        for frame, schema in ((self.objects, OBJECTS), (self.events, EVENTS)):
            fits = (kind in (schema.get(name), _ALSO.get(name)) for name, kind in frame.schema.items())
            if frame.columns != schema.names() or not all(fits):
                raise InvalidInput(f"these are not the columns of a history: {frame.schema}")

    def known(self, as_of: datetime) -> History:
        """What was known at a time: nothing that came to be, or was asked for, after it."""
        to_us(as_of)
        begun = pl.max_horizontal("created_at", "since") <= as_of
        # Whoever looks at that time does not know yet which objects will cease to be counted.
        until = pl.when(pl.col("until") <= as_of).then("until")
        objects = self.objects.filter(begun).with_columns(until=until)
        return History(objects, self.events.filter(pl.col("at") <= as_of))

    def used(self, after: datetime, horizon: timedelta) -> pl.DataFrame:
        """How often objects were asked for after a time, until a horizon later: ``object``, ``count``."""
        within = (pl.col("at") > after) & (pl.col("at") <= after + horizon)
        return self.events.filter(within).group_by("object", maintain_order=True).agg(pl.col("count").sum())

    def cuts(self, horizon: timedelta, most: int, *, first_share: float = 0.3) -> list[datetime]:
        """Times at which the past can be asked what came of it: readings of the log, with a horizon known after each.

        The newest first, half a horizon or more apart. None lies in the first share of the log, which has to be there
        to learn from, or where the log was silent for half a horizon after it: what nobody counted is not known.
        """
        readings = self.events["at"].unique().sort()
        if readings.is_empty():
            return []
        begin, end = readings[0] + (readings[-1] - readings[0]) * first_share, readings[-1] - horizon
        gaps = pl.DataFrame({"at": readings}).with_columns(next=pl.col("at").shift(-1))
        gaps = gaps.filter(pl.col("next") - pl.col("at") > horizon / 2)
        usable = readings.filter((readings >= begin) & (readings <= end))
        for start, stop in gaps.iter_rows():
            usable = usable.filter(~((usable < stop) & (usable + horizon > start)))
        if usable.is_empty():
            return []
        apart = max(horizon / 2, (usable[-1] - usable[0]) / max(most - 1, 1))
        found: list[datetime] = []
        for number in range(most):
            earlier = usable.filter(usable <= usable[-1] - apart * number)
            if earlier.is_empty():
                break
            if earlier[-1] not in found:
                found.append(earlier[-1])
        return found

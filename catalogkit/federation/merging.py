"""Merges two states of one record: pure, and the same in whatever order states come.

A record is what sites know of one document. What belongs together is one *group*: its content (digest, size, types,
the run and time it was fetched), its metadata, its life (whether it is there at all). A group holds every value that
no other one was written in the knowledge of: one as a rule, several where sites did not know of each other. The join of
two states keeps the values that both have, and of the others those that the other side never heard of; what it heard of
and has no more was written over. So the join is commutative, associative and idempotent: a multi-value register in a
state-based replicated data type (M. Shapiro, N. Preguiça, C. Baquero, M. Zawirski, "A comprehensive study of Convergent
and Commutative Replicated Data Types", INRIA RR-7506).

Of several values one is shown: a pure function of them chooses it, the same everywhere. The others stay, and are a
conflict, until somebody writes in the knowledge of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from catalogkit.federation.causality import covers, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.federation.causality import Context, Dot

GROUPS: Final = ("content", "notes", "life")
Identity = tuple[str, str, str, str, str]
"""Tenant, artifact id, source URL, resolver, variant: what makes a document the same document at every site."""


class Content(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Which bytes, and how they came."""

    sha256: bytes
    size_bytes: int
    media_type: str
    content_type: str = ""
    run_id: str = ""
    fetched_us: int | None = None


class Notes(msgspec.Struct, frozen=True, array_like=True):
    """What else was told of it, as JSON text."""

    metadata: str = "{}"


class Life(msgspec.Struct, frozen=True, array_like=True):
    """Whether it is there. Who took it away says until when sightings of it were known (microseconds).

    One that goes on living against a deletion (`over`, its dots) did so because of a hold, or of a sighting, that
    whoever deleted it did not know of.
    """

    live: bool = True
    seen_us: int = 0
    over: tuple[tuple[str, int], ...] = ()


T = TypeVar("T")


class Write(msgspec.Struct, Generic[T], frozen=True, array_like=True):
    """A value, where it was written as which change there, and when: the time decides ties only."""

    site: str
    number: int
    at_us: int
    value: T

    @property
    def dot(self) -> Dot:
        """Which change wrote it."""
        return (self.site, self.number)


class Record(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one document: every change up to a context, and the values that are left of them.

    When it was last seen is no write: the latest sighting of all counts.
    """

    context: dict[str, int] = {}
    content: tuple[Write[Content], ...] = ()
    notes: tuple[Write[Notes], ...] = ()
    life: tuple[Write[Life], ...] = ()
    seen_us: int = 0


class Shown(NamedTuple):
    """The values that are shown of a record."""

    content: Write[Content]
    notes: Write[Notes]
    life: Write[Life]

    @property
    def live(self) -> bool:
        """Whether the document is there."""
        return self.life.value.live


def new(dot: Dot, at_us: int, content: Content, notes: Notes, seen_us: int = 0) -> Record:
    """The record of a document that was never heard of."""
    return written(Record(seen_us=seen_us), dot, at_us, content=content, notes=notes, life=Life())


def written(
    record: Record,
    dot: Dot,
    at_us: int,
    *,
    content: Content | None = None,
    notes: Notes | None = None,
    life: Life | None = None,
) -> Record:
    """The record after a change by somebody who saw all there is of it: groups that are given have one value again."""
    site, number = dot
    values: dict[str, Any] = {"content": content, "notes": notes, "life": life}
    changed = {group: (Write(site, number, at_us, value),) for group, value in values.items() if value is not None}
    return msgspec.structs.replace(record, context=joined(record.context, {site: number}), **changed)


def join(one: Record, other: Record) -> Record:
    """What two states are together."""
    groups: dict[str, Any] = {
        group: _joined(getattr(one, group), one.context, getattr(other, group), other.context) for group in GROUPS
    }
    return Record(joined(one.context, other.context), **groups, seen_us=max(one.seen_us, other.seen_us))


def _joined(
    mine: Sequence[Write[Any]], my_context: Context, theirs: Sequence[Write[Any]], their_context: Context
) -> tuple[Write[Any], ...]:
    if mine == theirs:
        return tuple(mine)
    kept: dict[Dot, Write[Any]] = {}
    there, here = {one.dot for one in theirs}, {one.dot for one in mine}
    for one in mine:
        if one.dot in there or not covers(their_context, one.dot):
            kept[one.dot] = one
    for one in theirs:
        if one.dot in here or not covers(my_context, one.dot):
            # One change has one value. Should a site ever have given a number twice, all still agree on one of them.
            known = kept.get(one.dot)
            kept[one.dot] = one if known is None or _order(one) > _order(known) else known
    return tuple(kept[dot] for dot in sorted(kept))


def _order(write: Write[Any]) -> bytes:
    return msgspec.json.encode(write)


def shown(record: Record) -> Shown:
    """Which values are shown: of contents the one fetched last, of lives one that lives, else the latest by its time.

    Times decide only between values that did not know of each other; where they are equal, site and number do.
    """
    return Shown(
        max(record.content, key=lambda one: (one.value.fetched_us or one.at_us, *_tie(one))),
        max(record.notes, key=_tie),
        max(record.life, key=lambda one: (one.value.live, *_tie(one))),
    )


def _tie(write: Write[Any]) -> tuple[int, str, int]:
    return (write.at_us, write.site, write.number)


def contested(record: Record) -> list[str]:
    """The groups that somebody should look at: their values differ, or a deletion was overruled."""
    found = []
    if not any(one.value.live for one in record.life):
        return []
    if len({one.value.sha256 for one in record.content}) > 1:
        found.append("content")
    if len({one.value for one in record.notes}) > 1:
        found.append("notes")
    if len({one.value.live for one in record.life}) > 1 or any(one.value.over for one in record.life):
        found.append("life")
    return found


def plain(record: Record) -> tuple[str, int, int] | None:
    """Site, number and time of the one change that a living record is whole of; None for any other."""
    writes: tuple[Write[Any], ...] = (*record.content, *record.notes, *record.life)
    first = writes[0]
    alike = all((one.site, one.number, one.at_us) == (first.site, first.number, first.at_us) for one in writes)
    if len(writes) == 3 and alike and record.life[0].value == Life() and record.context == {first.site: first.number}:
        return first.site, first.number, first.at_us
    return None

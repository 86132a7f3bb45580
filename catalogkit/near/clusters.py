"""Clusters of near-duplicates: compares whole texts with the one that is kept.

A cluster is a star: every member was compared with the one in its middle, which is the one to keep, and is the same
text as that. Chains, in which each is like the next and the ends have nothing in common, cannot come about.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalogkit.near.shingles import Likeness, Shingles, compared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# A text that so many contents have is no document that was fetched many times, but something servers say.
LARGEST: Final = 25
_SELF: Final = Likeness(jaccard=1.0, containment=1.0, only_a=0, only_b=0, same=True)
# Texts at hand at once; a book is about 5 MB of shingles.
_AT_HAND: Final = 64


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a cluster, compared with the one in its middle (which has a likeness of 1 with itself).

    Attributes
    ----------
    row : int
        Its row among the sketches.
    likeness : Likeness
        `a` is the one in the middle, `b` this one.
    differs_a, differs_b : str
        The first words that only the one in the middle has, and that only this one has.
    """

    row: int
    likeness: Likeness
    differs_a: str = ""
    differs_b: str = ""


class Texts:
    """Shingles of texts by row, read when they are needed; those that were needed last are at hand."""

    def __init__(self, read: Callable[[int], str]) -> None:
        self._read = read
        self._at_hand: OrderedDict[int, Shingles] = OrderedDict()

    def __getitem__(self, row: int) -> Shingles:
        found = self._at_hand.pop(row, None) or Shingles(self._read(row))
        self._at_hand[row] = found
        if len(self._at_hand) > _AT_HAND:
            self._at_hand.popitem(last=False)
        return found


def clusters(
    pairs: Iterable[tuple[int, int]], best_first: Callable[[Sequence[int]], Sequence[int]], read: Callable[[int], str]
) -> list[list[Member]]:
    """Stars of the same text, the middle first; every row is in at most one.

    Parameters
    ----------
    pairs
        Rows that may be the same text, such as `catalogkit.near.pairs` finds them.
    best_first
        Puts rows in the order in which one of them would be kept, if all are the same text.
    read
        The text of a row; texts are read a few at a time, and never held.
    """
    texts, found = Texts(read), list[list[Member]]()
    for group in _connected(pairs):
        rank = {row: place for place, row in enumerate(best_first(sorted(group)))}
        # The one that is like most others is a text as it usually is: no watermark, nothing cut off.
        left = sorted(group, key=lambda row: (-len(group[row]), rank[row]))
        while len(left) > 1:
            middle, rest = left[0], left[1:]
            near = _within_two(middle, group)
            star = [one for row in rest if row in near and (one := _member(texts, middle, row))]
            if star:
                best = sorted([middle, *(one.row for one in star)], key=rank.__getitem__)
                found.append(_kept_first(texts, best, middle, star))
            taken = {one.row for one in star}
            left = [row for row in rest if row not in taken]
    return found


def _kept_first(texts: Texts, rows: list[int], middle: int, star: list[Member]) -> list[Member]:
    """A star as a cluster: in its middle the best that is the same text as every other."""
    if len(rows) <= LARGEST:
        for best in rows[: rows.index(middle)]:
            around = [one for row in rows if row != best and (one := _member(texts, best, row))]
            if len(around) == len(star):
                return [Member(best, _SELF), *around]
    return [Member(middle, _SELF), *star]


def _member(texts: Texts, middle: int, row: int) -> Member | None:
    a, b = texts[middle], texts[row]
    likeness = compared(a, b)
    return Member(row, likeness, a.only(b), b.only(a)) if likeness.same else None


def _connected(pairs: Iterable[tuple[int, int]]) -> list[dict[int, set[int]]]:
    """The pairs as groups that have nothing to do with each other: in each, the rows and their partners."""
    partners: dict[int, set[int]] = {}
    for a, b in pairs:
        partners.setdefault(a, set()).add(b)
        partners.setdefault(b, set()).add(a)
    groups, seen = list[dict[int, set[int]]](), set[int]()
    for start in partners:
        if start in seen:
            continue
        seen.add(start)
        group, ahead = dict[int, set[int]](), deque([start])
        while ahead:
            row = ahead.popleft()
            group[row] = partners[row]
            ahead.extend(partners[row] - seen)
            seen |= partners[row]
        groups.append(group)
    return groups


def _within_two(middle: int, group: Mapping[int, set[int]]) -> set[int]:
    """Partners of a row and their partners: sketches miss a pair now and then, but rarely both ways round."""
    return group[middle].union(*(group[row] for row in group[middle]))

"""Shares work among machines: each leases some of it in the catalog, and returns it when it is done.

Only where the catalog is on a server, since an embedded one has one machine. What a program that died had taken on is
free as soon as somebody on its machine looks, and elsewhere once its lease has run out.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from catalogkit.catalog.urls import file_of
from catalogkit.owners import is_dead, new_owner, retire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from collections.abc import Collection as Items
    from datetime import datetime

    from catalogkit.collection import Collection

T = TypeVar("T")

# Renewed whenever results are written down, which is every second or so where there are any; a piece may take long.
LEASE: Final = timedelta(minutes=15)
# So many pieces are taken on at once: a transaction for each would be dear, and all at once would leave others none.
PART: Final = 500


class Leases(Generic[T]):
    """What one run has taken on of some work.

    Parameters
    ----------
    work
        What kind it is; runs of another kind do not mind.
    item
        What a piece is called in the catalog.
    due
        Which of some pieces still are to be done.

    Attributes
    ----------
    shared
        Whether there can be others at all.
    elsewhere
        How many pieces others were at.
    """

    def __init__(
        self, collection: Collection, work: str, item: Callable[[T], str], due: Callable[[Sequence[T]], Items[str]]
    ) -> None:
        self._collection, self._catalog = collection, collection.catalog
        self.shared = file_of(collection.config.catalog) is None
        self.work, self._item, self._due = work, item, due
        self.owner, self.elsewhere = "", 0

    def __enter__(self) -> Leases[T]:
        if self.shared:
            self.owner, now = new_owner(), self._collection.now()
            self._renewed: datetime = now
            for owner, until in self._catalog.lessees(self.work):
                if is_dead(owner, until, now):
                    self._catalog.release(self.work, owner)
        return self

    def __exit__(self, *exc: object) -> None:
        if self.shared:
            try:
                self._catalog.release(self.work, self.owner)
            finally:
                retire(self.owner)

    def parts(self, pieces: Sequence[T]) -> Iterator[Sequence[T]]:
        """The pieces that nobody else is at, some at a time, each taken on before it is given."""
        if not self.shared:
            yield pieces
            return
        for start in range(0, len(pieces), PART):
            some = pieces[start : start + PART]
            now = self._collection.now()
            names = [self._item(one) for one in some]
            mine = self._catalog.lease(self.work, names, owner=self.owner, expires_at=now + LEASE, as_of=now)
            self.elsewhere += len(set(names) - mine)
            # Only now: what others had done since somebody asked what is due, they have given back.
            due = mine & set(self._due(some)) if mine else mine
            self._release(mine - due)
            if due:
                yield [one for one, name in zip(some, names, strict=True) if name in due]

    def done(self, pieces: Iterable[T]) -> None:
        """What became of these is written down: they are given back, and the rest is held on to."""
        if not self.shared:
            return
        self._release([self._item(one) for one in pieces])
        if (now := self._collection.now()) - self._renewed > LEASE / 5:
            self._renewed = now
            self._catalog.renew(self.work, self.owner, expires_at=now + LEASE)

    def _release(self, names: Items[str]) -> None:
        if names:
            self._catalog.release(self.work, self.owner, list(names))

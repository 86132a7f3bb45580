"""Uploads the bytes of a batch to a bucket, unless they are already there.

Nothing was written when the files were read, so each is read once more on its way, and shown only if it still holds
what it did then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.stores.contract import ObjectStat
from catalogkit.stores.s3.store import Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.catalog.contract import Known
    from catalogkit.model import Digest
    from catalogkit.places import Place
    from catalogkit.stores.s3.store import S3Layout


class Uploads:
    """A bucket, as a batch sees it."""

    def __init__(self, store: S3Layout) -> None:
        self.store = store

    def may_be_there(self, place: Place) -> bool:
        """Always: nothing was written yet."""
        return True

    def put(self, places: Sequence[Place], known: dict[Digest, Known]) -> None:
        """See to it that every place has its bytes, or say why not."""
        wanted = [place for place in places if not place.works[0].problem]
        todo = []
        for place, there in zip(wanted, self.store.stats([place.key for place in wanted]), strict=True):
            about = known.get(place.digest)
            if there is None:
                todo.append(place)
            elif about is not None and about.key == place.key and place.as_written(there, about):
                place.there = there
            elif self._holds(place) or place.bad:
                todo += [place] if place.bad else []
        turn = 0
        while todo:
            todo = self._send(todo, turn)
            turn += 1

    def _send(self, places: list[Place], turn: int) -> list[Place]:
        """Upload each from one of its files; those that have another one to try."""
        sent = [
            Sent(place.key, work.item.path, place.digest, work.entry.bytes, place.bad)
            for place in places
            for work in [place.works[min(turn, len(place.works) - 1)]]
        ]
        again = []
        for place, told in zip(places, self.store.send(sent), strict=True):
            if isinstance(told, ObjectStat):
                place.there = told
            elif told is not None:
                if turn + 1 < len(place.works):
                    again.append(place)
                else:
                    place.fail(told)
            elif not self._holds(place) and place.bad:  # somebody put something there meanwhile: once more, over it
                again.append(place)
        return again

    def _holds(self, place: Place) -> bool:
        """Whether what lies at a place is what should; if not, it is bad, or nothing of ours."""
        if found := self.store.holds(place.key, place.digest):
            place.there = found
        elif place.ours:
            place.bad = True
        else:
            place.fail(f"other bytes appeared at {place.key}; run it again")
        return place.there is not None

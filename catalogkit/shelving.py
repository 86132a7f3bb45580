"""Publishes the bytes of a batch in a local store, unless they are already there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from catalogkit.model import Layout, Mode
from catalogkit.stores.contract import ObjectStat
from catalogkit.stores.publishing import Publication

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.catalog.contract import Known
    from catalogkit.model import Digest
    from catalogkit.places import Place
    from catalogkit.stores.local import LocalStore
    from catalogkit.stores.taking import Taken, Taker


class Shelf:
    """A local store, as a batch sees it; `taker` is what its files were read with."""

    def __init__(self, store: LocalStore, layout: Layout, taker: Taker) -> None:
        self.store, self.layout, self.taker = store, layout, taker

    def put(self, places: Sequence[Place], known: dict[Digest, Known]) -> None:
        """See to it that every place has its bytes, or say why not."""
        self._look(places, known)
        self._publish(places, known)

    def may_be_there(self, place: Place) -> bool:
        """False where the bytes were written just now because their content address was free."""
        return self.layout is not Layout.CAS or place.works[0].taken.temp is None

    def _look(self, places: Sequence[Place], known: dict[Digest, Known]) -> None:
        """Find out which keys hold their bytes already; a copy is trusted while it looks as it was written."""
        proved = []
        for place in places:
            there = self.store.stat(place.key) if self.may_be_there(place) else None
            if there is None:
                continue  # publishing finds out if it is not so
            about = known.get(place.digest)
            if about is not None and about.key == place.key and self._will_do(place, there, about):
                place.there = there
            elif found := self.store.holds(place.key, place.digest):
                place.there = found
                proved.append(place.key)
            elif place.ours:
                place.bad = True
            else:
                place.fail(f"other bytes appeared at {place.key}; run it again")
        if proved:
            # Whoever put them there may have died, or not be done, before they were on the disk.
            self.store.settle(proved)

    def _publish(self, places: Sequence[Place], known: dict[Digest, Known]) -> None:
        todo: list[tuple[Place, Publication, list[ObjectStat]]] = []
        temps: dict[Digest, Taken] = {}
        for place in places:
            if place.there is not None or place.works[0].problem:
                continue
            # Equal bytes are stored once: a readable path to them is one more name of what is there.
            share = self._share(place, known)
            first = temps.get(place.digest) or self._bytes(place, share is not None)
            if first is not None:
                temps[place.digest] = first
            if share is None and first is None:
                continue
            path = self.store.path(share.key) if share else None
            looks = [share] if share else []
            if first is not None:
                assert first.stamp is not None
                looks.append(ObjectStat(place.key, first.stamp.bytes, first.mtime_ns or 0, first.inode))
            todo.append((place, Publication(place.key, first and first.temp, path, place.bad), looks))
        shown = self.store.publish([publication for _, publication, _ in todo])
        others = [
            place.key for (place, _, looks), new in zip(todo, shown, strict=True) if self._check(place, looks, new)
        ]
        if others:
            self.store.settle(others)
        if again := [place for place in places if place.bad and place.there is None and not place.works[0].problem]:
            self._publish(again, known)

    def _check(self, place: Place, looks: list[ObjectStat], new: bool) -> bool:
        """What lies at the key now must be the very file that was read, or be read again.

        Returns whether somebody else put it there, who may have died, or not be done, before it was on the disk.
        """
        there = self.store.stat(place.key)
        if there is not None and any(_same_file(there, one) for one in looks):
            place.there, place.written = there, True
        elif found := self.store.holds(place.key, place.digest):
            place.there = found
            return True
        elif new:
            self.store.quarantine(place.key)
            place.fail("it was written to while it was taken in; run it again")
        elif place.ours:
            place.bad = True  # something else lay there: once more, over it
        else:
            place.fail(f"other bytes appeared at {place.key}; run it again")
        return False

    def _bytes(self, place: Place, spare: bool) -> Taken | None:
        """A temporary file with the bytes; read again where they were left out and turn out to be needed."""
        for work in place.works:
            if work.taken.temp is not None:
                return work.taken
        if spare:
            return None
        problem = ""
        for work in place.works:
            (again,) = replace(self.taker, peek=False)([(work.item.path, f"again-{work.intent}")])
            if again.temp is not None and again.digest == place.digest:
                work.taken = again
                return again
            if again.temp is not None:
                self.store.discard(again.temp)
            problem = again.problem or "it changed while it was taken in; run it again"
        place.fail(problem)
        return None

    def _share(self, place: Place, known: dict[Digest, Known]) -> ObjectStat | None:
        """An equal, healthy file in the store, to which the place can be one more name."""
        about = known.get(place.digest)
        if about is None or about.key is None or about.key == place.key:
            return None
        there = self.store.stat(about.key)
        return there if there is not None and self._will_do(place, there, about) else None

    def _will_do(self, place: Place, there: ObjectStat, about: Known) -> bool:
        """Whether a copy is good enough; one for whose sake the source is to go is read, however it looks."""
        looks = place.as_written(there, about)
        return looks and (self.taker.mode is not Mode.MOVE or self.store.holds(there.key, place.digest) is not None)


def _same_file(one: ObjectStat, other: ObjectStat) -> bool:
    return (one.bytes, one.inode, one.mtime_ns) == (other.bytes, other.inode, other.mtime_ns)

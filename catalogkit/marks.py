"""The mark of a store: a random word that tells whose run was there last, so that a catalog's twin is found out.

A catalog that was copied has the identity and the tokens of the other one, and would take for garbage what that takes
in. So each run that adds to a store or takes from it leaves a new mark there, which its catalog alone knows. Of two
copies the first to do so goes on, and the other one, which finds a mark it does not know, is refused from then on.

The catalog remembers a mark before the store has it: whatever a crash leaves there, it knows. It remembers the marks
of all its runs of late, so that several at once do not disturb each other; the store takes a mark only in place of the
one that was looked at.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from catalogkit.errors import StoreMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.catalog.contract import Catalog
    from catalogkit.collection import Collection
    from catalogkit.stores.opening import Own

# More than runs that begin while one of them is at work on its mark: each may be about to leave its own.
KEPT: Final = 256
# Who takes in one file after the other leaves a mark no more often than this; far longer than that a file has to lie
# in a store before anybody may take it for garbage.
OFTEN: Final = timedelta(minutes=1)
# What could not be left, by catalog and store, is tried again under the same name: a disk that fails for an hour must
# not have the catalog forget what another run is about to leave there.
_untold: Final[dict[tuple[str, str], str]] = {}


def check(catalog: Catalog, store: Own) -> None:
    """Raise `StoreMismatch` where a copy of this catalog was at the store since; and as `reach` does."""
    store.reach()
    _look(catalog, store)


def renew(catalog: Catalog, store: Own) -> None:
    """Leave a new mark in a store, which ends what any copy of this catalog may do there.

    Raises
    ------
    StoreMismatch
        If a copy of this catalog was there since, or the store is another catalog's.
    """
    store.reach()
    place = (catalog.home, store.token)
    new = _untold.setdefault(place, uuid.uuid4().hex)
    while True:
        seen, text, known = _look(catalog, store)
        if _remember(catalog, store, [new, *seen, *known], text):
            break
    left = store.exchange_mark(seen, new)
    _untold.pop(place, None)
    if not left:
        check(catalog, store)  # somebody else was faster: a run of this catalog has said all there is to say


def hold(collection: Collection, store: Own) -> None:
    """Leave a new mark where this collection has left none of late; in any case raise as `check` does."""
    now, last = collection.now(), collection.marked.get(store.name)
    if last is not None and timedelta(0) <= now - last < OFTEN:
        check(collection.catalog, store)
        return
    renew(collection.catalog, store)
    collection.marked[store.name] = now


def accept(catalog: Catalog, store: Own) -> None:
    """Know whatever mark a store has from now on, because a person said that this is the catalog it goes on with."""
    store.reach()
    text, known = _remembered(catalog, store)
    while not _remember(catalog, store, [*store.marks(), *known], text):
        text, known = _remembered(catalog, store)


def _look(catalog: Catalog, store: Own) -> tuple[list[str], str | None, list[str]]:
    """The marks that are there, and what the catalog remembers; raise where it does not know them.

    It remembers a mark before the store has it, so the store is looked at first. A strange one that is gone on a second
    look was one of many that came and went while this run waited, and says nothing.
    """
    while True:
        seen = store.marks()
        text, known = _remembered(catalog, store)
        if set(seen) <= set(known):
            return seen, text, known
        if store.marks() == seen:
            raise _twin(store)


def _remember(catalog: Catalog, store: Own, marks: Sequence[str], before: str | None) -> bool:
    return catalog.note_instead(_name(store), " ".join(list(dict.fromkeys(marks))[:KEPT]), before)


def _remembered(catalog: Catalog, store: Own) -> tuple[str | None, list[str]]:
    text = catalog.noted(_name(store))
    return text, (text or "").split()


def _name(store: Own) -> str:
    return f"marks of {store.token}"


def _twin(store: Own) -> StoreMismatch:
    return StoreMismatch(
        f"another copy of this catalog has used the store at {store.root} since: this one was copied, or is an older"
        " state of it that came back, and what it does not know there is no garbage. Go on with the other one; if"
        f" that is gone for good, `catalogkit store adopt {store.name}` goes on with this one"
    )

"""What the executor can do: a function for every kind of step; `apply` calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalogkit.acts.facts import condemn, evict, forget, rearm, recall, resolve
from catalogkit.acts.leaving import drop, prepare_drop, prepare_quarantine, quarantine
from catalogkit.acts.placing import copy, link, prepare_copy, prepare_fetch, prepare_link
from catalogkit.acts.purging import purge
from catalogkit.acts.sharing import clone, prepare_clone
from catalogkit.plan import StepKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from catalogkit.acts.world import Result, Step, World

ACTS: Final[dict[str, Callable[[World, Step], Result]]] = {
    StepKind.CONDEMN: condemn,
    StepKind.REARM: rearm,
    StepKind.FORGET: forget,
    StepKind.RECALL: recall,
    StepKind.COPY: copy,
    StepKind.LINK: link,
    StepKind.CLONE: clone,
    StepKind.DROP: drop,
    StepKind.QUARANTINE: quarantine,
    StepKind.FETCH: copy,
    StepKind.EVICT: evict,
    StepKind.RESOLVE: resolve,
}
# What is done with all steps of a batch together: there are many, and what each has to ask can be asked at once.
TOGETHER: Final[dict[str, Callable[[World, Sequence[Step]], list[Result]]]] = {StepKind.PURGE: purge}
# What is read and written before the transaction, so that nobody has to wait for it.
PREPARATIONS: Final[dict[str, Callable[[World, Step], None]]] = {
    StepKind.COPY: prepare_copy,
    StepKind.LINK: prepare_link,
    StepKind.CLONE: prepare_clone,
    StepKind.DROP: prepare_drop,
    StepKind.QUARANTINE: prepare_quarantine,
    StepKind.FETCH: prepare_fetch,
}
# What takes a name away comes after everything else of a batch, in a transaction of its own: by then every reader can
# find the copy that stays.
REMOVES: Final = frozenset({StepKind.PURGE, StepKind.DROP})

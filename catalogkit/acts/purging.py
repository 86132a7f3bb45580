"""The purge step: deletes condemned bytes that nothing needs, from the disk and then from the catalog, in batches.

First the catalog is asked about all of a batch, then each file is looked at and removed in one breath, then the records
go, all in one transaction. To ask about all beforehand is as good as to ask before each: nobody else can write until
the transaction ends, and removing what nothing needs never makes anything needed. A crash leaves records of files that
are gone, which the next run finds gone; it never leaves a file that no record tells of, for the transaction ends only
when the removal is on stable storage. The disk sees to that while the records go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.acts.facts import needed
from catalogkit.acts.world import Result, unless
from catalogkit.errors import InvalidInput, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.acts.world import Step, World


def purge(world: World, steps: Sequence[Step]) -> list[Result]:
    """Remove copies of condemned blobs, and condemned strays, that nothing needs; a blob without copies just ends."""
    hand = world.hand
    ids = {name: store_id for name, (store_id, _) in world.stores.items()}
    copies = [(one.sha256, one.since, *_place(one, ids)) for one in steps if one.sha256 is not None]
    answers = iter(hand.purgeable(copies))
    results = [_purge(world, one, None if one.sha256 is None else next(answers)) for one in steps]
    done = [one for one, result in zip(steps, results, strict=True) if result.outcome == "done"]
    with world.settling():
        hand.drop_copies([(one.sha256, ids[one.store], one.key) for one in done if one.sha256 and one.store])
        for one in done:
            if one.sha256 is None:
                hand.drop_stray(ids[one.store or ""], one.key)
            elif one.store is None:
                hand.end_blob(one.digest)
    return results


def _place(step: Step, ids: dict[str, int]) -> tuple[int | None, str | None]:
    return (None, None) if step.store is None else (ids[step.store], step.key)


def _purge(world: World, step: Step, why: str | None) -> Result:
    """Remove a file, unless there is a reason not to; of a stray that is still to be found."""
    try:
        if why is None:
            why = world.hand.stray_purgeable(world.place(step)[0], step.key, step.since) or needed(world, step)
        return unless(why) if why else world.remove(step)
    except (StoreError, InvalidInput) as problem:
        return Result("failed", str(problem))

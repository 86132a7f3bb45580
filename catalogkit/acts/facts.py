"""Steps that change only the catalog: condemn, rearm, forget, recall, evict, resolve."""

from __future__ import annotations

from typing import Final

from catalogkit.acts.world import Result, Step, World, unless
from catalogkit.layouts import digest_of
from catalogkit.model import Outcome

NEEDED: Final = "it is all that is left of bytes that something needs; repair them first"


def condemn(world: World, step: Step) -> Result:
    """Condemn a blob, or a stray file that is still the one that was planned."""
    if step.sha256 is not None:
        return unless(world.hand.condemn_blob(step.digest, step.since))
    if why := world.changed(step) or needed(world, step):
        return unless(why)
    store_id, _ = world.place(step)
    return unless(world.hand.condemn_stray(store_id, step.key, step.bytes, step.inode, step.mtime_ns))


def rearm(world: World, step: Step) -> Result:
    """Take a blob or a stray back from the condemned."""
    if step.sha256 is None:
        return unless(world.hand.rearm_stray(world.place(step)[0], step.key))
    return unless(_lost(world, step) or world.hand.rearm_blob(step.digest))


def forget(world: World, step: Step) -> Result:
    """Forget a document, if it is still what it was and was not seen since."""
    # What was downloaded again since the plan was made is wanted again, whoever had it forgotten, and why.
    return unless(world.hand.forget(step.document_id, step.digest, step.since))


def recall(world: World, step: Step) -> Result:
    """Bring a forgotten document back."""
    return unless(_lost(world, step) or world.hand.recall(step.document_id, step.digest))


def evict(world: World, step: Step) -> Result:
    """Note that a blob's last copy is about to go on purpose; the drops that follow in its unit take its copies."""
    return unless(world.hand.evict(step.digest))


def resolve(world: World, step: Step) -> Result:
    """Write one of the values that sites left of a document, if they still are those that were planned."""
    chosen, _, values = step.origin.partition(" of ")
    return unless(world.hand.resolve(step.document_id, step.key, chosen, values))


def _lost(world: World, step: Step) -> str:
    """A purge that was cut short may have left a condemned blob's record, but not its bytes."""
    condemned = world.hand.state(step.digest) == "condemned"
    return "no copy of its bytes is left" if condemned and not world.bytes_left(step.digest) else ""


def needed(world: World, step: Step) -> str:
    """Whether a stray is all that is left of a blob: somebody moved it, or an older catalog does not know it yet."""
    wanted, named = world.hand.lost(step.bytes), digest_of(step.key)
    if named and world.hand.state(named) == "live" and not world.bytes_left(named):
        wanted = [*wanted, named]
    _, store = world.place(step)
    right = any(world.proofs.look(store, step.key, one, step.bytes).outcome is Outcome.OK for one in wanted)
    return NEEDED if right else ""

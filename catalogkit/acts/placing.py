"""Steps that put bytes at a key: copy, fetch, link.

A copy is written, and its digest proved, under a temporary name before the transaction; inside it the file gets its
name. A name shows whole, proved bytes or nothing, and bytes at a key are exchanged by renaming over them: at no moment
is there nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from catalogkit.acts.world import (
    DONE,
    EARLIER,
    GONE,
    NOT_PLANNED,
    OTHER_BYTES,
    OWNERS,
    UNDECIDED,
    UNWANTED,
    Brought,
    Result,
    Step,
    World,
    unless,
)
from catalogkit.addresses import redacted
from catalogkit.errors import Archived, KeyTaken, SourceError, StoreError, StoreFull, StoreUnreachable
from catalogkit.layouts import cas_key
from catalogkit.model import Outcome
from catalogkit.stores.local import LocalStore
from catalogkit.stores.publishing import QUARANTINE, Publication
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from catalogkit.model import Digest
    from catalogkit.stores.opening import Own

    Source = Callable[[], BinaryIO]

BAD_SOURCE: Final = "the copy it should come from does not hold these bytes now"
SUPERSEDED: Final = "another plan did that"
NO_FETCHING: Final = "fetching was not allowed; apply it again with --fetch, or with a fetcher"
# Why a file cannot have one more name: the limit is reached, the file system has none, or it is another one.
_NO_MORE_NAMES: Final = {
    errno.EMLINK: "the file has as many names as the file system allows",
    errno.EPERM: "the file system gives this file no more names",
    errno.ENOTSUP: "the file system has no links",
    errno.EXDEV: "they lie on different file systems",
}


# -- copy and fetch ----------------------------------------------------------------------------------------------------


def prepare_copy(world: World, step: Step) -> None:
    """Copy the bytes into the target's store under a temporary name, proving them on the way."""
    target = world.own(step.store)
    if target is None or _right_there(world, step, target):
        return
    if target.stat(step.key) is None or world.recorded(step) or _same_file(world, step):
        world.brought[step.unit, step.step] = _bring(world, step, target)


def prepare_fetch(world: World, step: Step) -> None:
    """Have the bytes brought from where they came from; they count only if their digest is right."""
    target = world.own(step.store)
    if target is None or _right_there(world, step, target):
        return
    if target.stat(step.key) is None or world.recorded(step):
        world.brought[step.unit, step.step] = _fetch(world, step, target)


def _fetch(world: World, step: Step, target: Own) -> Brought:
    """Try every source of the bytes, that of the step's document first."""
    if world.fetcher is None:
        return Brought(result=Result("failed", NO_FETCHING))
    origins = sorted(world.catalog.origins_of(step.digest), key=lambda one: one[0] != step.document_id)
    problems = []
    for url in dict.fromkeys(url for _, url in origins):
        fetched = world.temp(target)
        try:
            world.fetcher(url, fetched, step.digest, world.size(step.digest))
            brought = _receive(world, target, partial(_file, fetched), step, here=True)
            if brought.result.outcome == "done":
                return brought
            if brought.temp:
                target.discard(brought.temp)
            problems.append(f"{redacted(url)} has other bytes now")
        except StoreFull:
            raise
        except (SourceError, StoreError, OSError) as problem:
            problems.append(str(problem))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fetched)
    # It may be otherwise tomorrow.
    return Brought(result=Result("failed", "; ".join(problems) or "nobody knows where it came from"))


def _right_there(world: World, step: Step, target: Own) -> bool:
    """Whether right bytes lie at the target already, in a file of its own."""
    if _same_file(world, step) or target.stat(step.key) is None:
        return False
    found = world.proofs.prove(target, step.key, step.digest, world.size(step.digest))
    return found.outcome is Outcome.OK


def _same_file(world: World, step: Step) -> bool:
    """Whether a step's source and target are names of one file."""
    if step.from_key is None or step.from_key.startswith(QUARANTINE):
        return False
    source, target = world.source(step), world.place(step)[1]
    if isinstance(source, S3Layout) or isinstance(target, S3Layout):
        return (source.name, step.from_key) == (target.name, step.key)
    here, there = target.path(step.key), source.path(step.from_key)
    try:
        # In a store of ours a symbolic link is a view, and no name of the file it shows.
        return os.path.samestat(os.lstat(here), os.stat(there, follow_symlinks=not isinstance(source, LocalStore)))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as problem:
        raise StoreUnreachable(f"cannot look at {target.describe(step.key)}: {problem.strerror}") from problem


def _bring(world: World, step: Step, target: Own) -> Brought:
    try:
        return _receive(world, target, partial(world.source(step).open, step.origin), step)
    except StoreFull:
        raise
    except Archived:
        return Brought(result=_asked_for(world, step))
    except (StoreError, OSError) as problem:
        return Brought(result=Result("failed", f"the copy it should come from cannot be read: {problem}"))


def _asked_for(world: World, step: Step) -> Result:
    """Ask for bytes out of an archive: the step waits for them, and is taken up when the plan is applied again."""
    source = world.source(step)
    assert isinstance(source, S3Layout)
    try:
        words, wait = source.restore(step.origin)
        return Result("waiting", words, wait=wait)
    except StoreError as problem:
        return Result("failed", f"its bytes lie in an archive, and cannot be asked for: {problem}")


def _receive(world: World, target: Own, source: Source, step: Step, *, here: bool = False) -> Brought:
    """Have what a source holds written; what lies on this machine alone is written by it."""
    ask = _at_once if here or world.executor is None else world.ask
    if isinstance(target, S3Layout):
        return _upload(world, target, source, step, ask)
    temp = world.temp(target)
    digest: Digest = ask(_written, target, source, temp, ask is not _at_once)
    return Brought(target.name, temp, DONE if digest == step.digest else unless(BAD_SOURCE))


def _upload(world: World, target: S3Layout, source: Source, step: Step, ask: Callable[..., Any]) -> Brought:
    """A bucket has no temporary names: the bytes show at their key right away, if they are right, and are read back.

    Should the step be refused in the end, they are a stray, which the next garbage collection finds.
    """
    size, replace = world.size(step.digest), target.stat(step.key) is not None
    try:
        ask(_uploaded, target, source, step.key, size, step.digest, replace)
    except KeyTaken:
        pass  # somebody was quicker: what lies there now is read next
    except SourceError:
        return Brought(result=unless(BAD_SOURCE))
    world.proofs.prove(target, step.key, step.digest, size)
    return Brought(target.name)


def _file(path: str) -> BinaryIO:
    return open(path, "rb")


def _at_once(fn: Callable[..., Any], *args: Any) -> Any:
    return fn(*args)


def _written(target: LocalStore, source: Source, temp: str, elsewhere: bool) -> Digest:
    if not elsewhere:
        with source() as file:
            return target.receive(file, temp)
    target.discard(temp)  # a worker may have died writing it
    with source() as file:
        digest = target.receive(file, temp)
    target.settle_temps([temp])  # the machine that asked cannot see to that
    return digest


def _uploaded(target: S3Layout, source: Source, key: str, size: int, digest: Digest, replace: bool) -> None:
    with source() as file:
        target.receive(file, key, size, digest, replace=replace)


def copy(world: World, step: Step) -> Result:
    """Put the bytes at a key, in a file of its own; over what lies there only if that is a copy of them gone bad.

    A target that is one more name of the source's file gets a file of its own: that is the way back from a link.
    """
    target, hand, digest = world.own(step.store), world.hand, step.digest
    if target is None:
        return unless(OWNERS)
    store_id, _ = world.place(step)
    if why := hand.placeable(digest, store_id, step.key):
        return unless(why)
    there, same = target.stat(step.key), _same_file(world, step)
    recorded, uploaded = world.recorded(step), isinstance(target, S3Layout) and (step.unit, step.step) in world.brought
    if there is not None and not same:
        found = world.outcome(target, step.key, digest)
        if found is Outcome.OK:
            return _record(world, step, target, "repaired" if recorded and uploaded else "")
        if not recorded:
            return unless(OTHER_BYTES)
        if found is Outcome.UNKNOWN:
            return Result("failed", "what lies there cannot be read now")
    brought = world.brought.get((step.unit, step.step), Brought(result=Result("failed", "it changed meanwhile")))
    if brought.result.outcome != "done":
        return brought.result
    if not isinstance(target, LocalStore):
        return Result("failed", "it was uploaded, and is gone or other bytes by now")
    if there is not None and same:
        target.swap(brought.temp, step.key)
        return _record(world, step, target, "parted")
    if not target.show(Publication(step.key, brought.temp, replace=there is not None)):
        return unless(OTHER_BYTES)
    return _record(world, step, target, "repaired" if recorded else "")


def _record(world: World, step: Step, target: Own, effect: str) -> Result:
    """Write down that right bytes lie at the key, which was just proved."""
    store_id, _ = world.place(step)
    there = target.stat(step.key)
    if there is None:
        return Result("failed", GONE)
    new = world.recorded(step) is None
    world.named(target, step.key)
    # That the right bytes arrived in an archive is no check.
    read = not (isinstance(target, S3Layout) and target.settings.archive)
    world.hand.place(step.digest, store_id, step.key, there.inode, there.mtime_ns, there.bytes, read=read)
    return Result("done", effect="new" if new else effect)


# -- link --------------------------------------------------------------------------------------------------------------


def prepare_link(world: World, step: Step) -> None:
    """Read both ends."""
    target, size = world.local(step.store), world.size(step.digest)
    if target is None or _superseded(world, step):
        return
    world.proofs.prove(target, step.origin, step.digest, size)
    if target.stat(step.key) is not None:
        world.proofs.prove(target, step.key, step.digest, size)


def _superseded(world: World, step: Step) -> bool:
    """Whether another plan gave the bytes this name, and took the one away that they had."""
    keys = {one.key for one in world.copies(step.digest) if one.store == step.store}
    return step.inode is None and step.key in keys and step.from_key not in (None, *keys)


def link(world: World, step: Step) -> Result:
    """Make the key one more name of the file at `from_key`: a new one, or in place of another file of equal bytes.

    A step that means a file to be replaced says which by its inode, modification time and size. A copy gone bad is
    replaced by one that does not, and put aside. The looks of the file at `from_key` are written down anew where they
    are not as recorded: it was read, too, and a store that came back from a backup has other files than were taken in.
    """
    result = _link(world, step)
    target = world.local(step.store)
    if result.outcome == "done" and target is not None:
        store_id, _ = world.place(step)
        there = target.stat(step.origin)
        for one in world.copies(step.digest):
            known = (one.store, one.key) == (step.store, step.origin)
            if not known or there is None or (one.inode, one.mtime_ns) == (there.inode, there.mtime_ns):
                continue
            if world.outcome(target, step.origin, step.digest) is Outcome.OK:
                world.hand.place(step.digest, store_id, step.origin, there.inode, there.mtime_ns, there.bytes)
    return result


def _link(world: World, step: Step) -> Result:
    target, hand, digest = world.local(step.store), world.hand, step.digest
    if target is None or world.local(step.from_store or step.store) is None:
        return unless(OWNERS)
    if step.from_store not in (None, step.store):
        return unless("only files of one store can be linked")
    store_id, _ = world.place(step)
    if why := hand.placeable(digest, store_id, step.key):
        return unless(why)
    if _superseded(world, step):
        return unless(SUPERSEDED)
    there, planned, same = target.stat(step.key), step.inode is not None, _same_file(world, step)
    right = there is not None and world.outcome(target, step.key, digest) is Outcome.OK
    if right and (same or not planned):
        return _record(world, step, target, "")
    if planned and not right:
        return unless(GONE if there is None else OTHER_BYTES)
    if world.outcome(target, step.origin, digest) is not Outcome.OK:
        # Where that was to be made good first, it may be yet.
        waits = UNDECIDED & hand.outcomes_before(step.unit, step.step)
        return Result("failed", EARLIER) if waits else unless(BAD_SOURCE)
    if there is None:
        return _new_name(world, step, target)
    if planned:
        why = NOT_PLANNED if world.changed(step) else "" if world.recorded(step) else UNWANTED
        return unless(why) if why else _replace(world, step, target)
    if (shown := target.view_at(step.key)) and shown in {cas_key(digest), *(one.key for one in world.copies(digest))}:
        # A view of these bytes makes room for them: its path is readable before, after and meanwhile.
        return _replace(world, step, target)._replace(freed=0)
    if world.recorded(step) and world.outcome(target, step.key, digest) is Outcome.CORRUPT:
        return _new_name(world, step, target, replace=True)
    return unless(OTHER_BYTES)


def _new_name(world: World, step: Step, target: LocalStore, *, replace: bool = False) -> Result:
    known, source = world.recorded(step) is not None, target.path(step.origin)
    try:
        if replace:  # by way of a temporary name, for what takes the place of another file is renamed
            source, origin = world.temp(target), source
            target.link(origin, source)
        shown = target.show(Publication(step.key, source, replace=replace))
    except StoreError as problem:
        if getattr(problem.__cause__, "errno", None) not in _NO_MORE_NAMES:
            raise
        # Rare, and the bytes were just read: they are copied here, while others wait.
        brought = _bring(world, step, target)
        if brought.result.outcome != "done":
            return brought.result
        target.settle_temps([brought.temp])
        shown = target.show(Publication(step.key, brought.temp, replace=replace))
    if not shown:
        return unless(OTHER_BYTES)
    world.proofs.touched(target, step.origin)
    return _record(world, step, target, "repaired" if known else "")


def _replace(world: World, step: Step, target: LocalStore) -> Result:
    temp = world.temp(target)
    try:
        target.files.link(target.path(step.origin), temp)
    except OSError as problem:
        if problem.errno in _NO_MORE_NAMES:
            return unless(_NO_MORE_NAMES[problem.errno])
        return Result("failed", f"it cannot be linked: {problem.strerror}")
    freed = target.swap(temp, step.key)
    world.proofs.touched(target, step.origin)
    return _record(world, step, target, "replaced")._replace(freed=freed)

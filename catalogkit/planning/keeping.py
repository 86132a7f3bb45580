"""Plans saved in a collection: approving one, giving one up, listing those that wait."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogkit.approval import DEFAULT_RULE, FILE, Approval, approve_plan
from catalogkit.errors import InvalidInput, PlanError
from catalogkit.plan import Plan, Saved
from catalogkit.planning.common import applied, user_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from catalogkit.catalog.contract import PlanRow
    from catalogkit.collection import Collection


def approve(
    path: str | os.PathLike[str],
    rule: str = DEFAULT_RULE,
    *,
    include: Iterable[int] = (),
    exclude: Iterable[int] = (),
    approved_by: str | None = None,
    as_of: datetime | None = None,
) -> Approval:
    """Approve a saved plan, or the part of it that fits a rule; writes the approval beside it.

    Where nothing fits, nobody has approved anything, whatever was approved before: the plan is a draft, and waits.
    Units that are left out by name were decided on, also where no other is left: that is written down.

    Parameters
    ----------
    path
        The plan's folder.
    rule
        An SQL condition over the plan's columns; an empty text is everything.
    include, exclude
        Units that are in, or out, whatever the rule says.
    approved_by
        Who says yes; the user's name without it.

    Examples
    --------
    >>> home = ck.plan_forget(c, [3]).save(c.path / "plans")
    >>> ck.approve(home, "bytes < 1000", include=[0], approved_by="ada").approved_by
    'ada'
    """
    plan = Plan.load(os.fspath(path))
    who = approved_by or user_name()
    when = as_of or datetime.now(UTC)
    rejected = list(exclude)
    approval = approve_plan(plan, rule, include=include, exclude=rejected, approved_by=who, as_of=when)
    if rejected or approval.units(plan):
        approval.save(os.fspath(path))
    else:
        (Path(path) / FILE).unlink(missing_ok=True)
    return approval


def give_up(collection: Collection, plan_id: str, reason: str, *, as_of: datetime | None = None) -> PlanRow:
    """Give up a plan that was begun and is not to be finished: what it kept is let go, what is left of it never done.

    What was done stays done, in the journal, and can be undone with `plan_undo`. Somebody who is applying the plan at
    this moment is stopped before the next batch. A given-up plan is not taken up again: a new one looks at what there
    is by then.

    Parameters
    ----------
    plan_id
        The id of the plan, or the beginning of it that no other has.
    reason
        Why, for whoever asks later.

    Raises
    ------
    InvalidInput
        If there is no such plan, it has ended, or no reason is given. Nothing is changed then.

    Examples
    --------
    >>> from threading import Event
    >>> plan, stop = ck.plan_forget(c, [3]), Event()
    >>> stop.set()
    >>> ck.apply(c, plan, unapproved=True, max_share=1.0, stop=stop).stopped
    'stopped'
    >>> ck.give_up(c, plan.id, "we keep it after all").given_up
    'we keep it after all'
    """
    if not reason.strip():
        raise InvalidInput("say why the plan is given up; whoever finds it later will ask")
    row = applied(collection, plan_id)
    if not collection.catalog.end_plan(row.id, given_up=reason.strip(), as_of=as_of or collection.now()):
        raise InvalidInput(f"plan {row.id[:12]} has ended; `catalogkit plan undo {row.id[:12]}` takes back what it did")
    return applied(collection, row.id)


def unfinished_plans(collection: Collection, kind: str) -> list[Path]:
    """Where plans of a kind lie that were begun here, and are not finished; the oldest first."""
    folder = collection.path / "plans"
    begun = [row for row in collection.catalog.plans() if row.kind == kind and row.ended_at is None]
    homes = [sorted(folder.glob(f"{kind}-*-{row.id[:12]}")) for row in begun if not row.given_up]
    return [home[0] for home in reversed(homes) if home]


def waiting_plans(collection: Collection) -> list[dict[str, Any]]:
    """Plans saved in the collection that were not begun: id, kind, units, bytes_freed, state and path, newest first.

    The state is ``draft``, ``approved`` or ``expired``. A plan that cannot be read is ``unreadable``, and comes last.
    """
    begun = {row.id for row in collection.catalog.plans()}
    now = collection.now()
    found = [_listed(about.parent, now) for about in (collection.path / "plans").glob("*/plan.json")]
    found.sort(key=lambda pair: (pair[0], pair[1]["path"]), reverse=True)
    return [one for _, one in found if one["id"] not in begun]


def earlier_plan(collection: Collection, plan: Plan) -> Plan | None:
    """The newest plan of the same kind that was saved in the collection for an earlier time, whatever became of it."""
    found = []
    for about in (collection.path / "plans").glob(f"{plan.head.kind}-*/plan.json"):
        with contextlib.suppress(InvalidInput, PlanError):  # what cannot be read tells nothing
            head = Saved.read(about.parent).head
            if head.kind == plan.head.kind and head.as_of < plan.head.as_of:
                found.append((head.as_of, str(about.parent)))
    for _, home in sorted(found, reverse=True):
        with contextlib.suppress(InvalidInput, PlanError):
            return Plan.load(home)
    return None


def _listed(home: Path, now: datetime) -> tuple[datetime, dict[str, Any]]:
    """When a saved plan was made, and what a list says of it; its steps are not read."""
    facts: dict[str, Any] = {"id": "", "kind": "", "units": 0, "bytes_freed": 0}
    try:
        saved, approval = Saved.read(home), Approval.load(home)
        facts = {"id": saved.id, "kind": saved.head.kind, "units": saved.units, "bytes_freed": saved.bytes_freed}
        if saved.units is None:
            plan = Plan.load(home)
            facts |= {"units": plan.units, "bytes_freed": plan.bytes_freed()}
    except (InvalidInput, PlanError):
        return datetime.min.replace(tzinfo=UTC), {**facts, "state": "unreadable", "path": str(home)}
    approved = approval is not None and approval.plan_id == saved.id
    state = "expired" if now >= saved.head.expires_at else "approved" if approved else "draft"
    return saved.head.as_of, {**facts, "state": state, "path": str(home)}

"""Plans that are kept in a collection: saying yes to one, and which of them wait."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from catalogkit.approval import DEFAULT_RULE, Approval, approve_plan
from catalogkit.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    """
    plan = Plan.load(os.fspath(path))
    who = approved_by or getpass.getuser()
    when = as_of or datetime.now(UTC)
    approval = approve_plan(plan, rule, include=include, exclude=exclude, approved_by=who, as_of=when)
    approval.save(os.fspath(path))
    return approval


def waiting_plans(collection: Collection) -> list[dict[str, Any]]:
    """Plans saved in the collection that were not begun: id, kind, units, state and path, newest first."""
    begun = {row.id for row in collection.catalog.plans()}
    found = []
    for head in sorted((collection.path / "plans").glob("*/plan.json"), reverse=True):
        plan = Plan.load(head.parent)
        if plan.id not in begun:
            state = "approved" if Approval.load(head.parent) else "draft"
            facts = {"id": plan.id, "kind": plan.head.kind, "units": plan.units, "bytes_freed": plan.bytes_freed()}
            found.append({**facts, "state": state, "path": str(head.parent)})
    return found

"""Texts of a review: the phrase to type, what cannot be undone, the receipt."""

from __future__ import annotations

import shlex
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from catalogkit.plan import StepKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from catalogkit.approval import Approval
    from catalogkit.catalog.contract import PlanRow
    from catalogkit.plan import Plan
    from catalogkit.unit_table import Totals

# The phrase names the gravest of what happens, and to how many of what.
_GRAVEST: Final = (
    *(
        StepKind.PURGE,
        StepKind.EVICT,
        StepKind.ABANDON,
        StepKind.DROP,
        StepKind.QUARANTINE,
        StepKind.FORGET,
        StepKind.CONDEMN,
    ),
    *(StepKind.FETCH, StepKind.RESOLVE, StepKind.CLONE, StepKind.LINK, StepKind.COPY, StepKind.RECALL, StepKind.REARM),
)
_NOUNS: Final[dict[str, str]] = {
    StepKind.PURGE: "RECORD", StepKind.FORGET: "DOCUMENT", StepKind.RECALL: "DOCUMENT", StepKind.ABANDON: "INGEST",
    StepKind.EVICT: "CONTENT", StepKind.RESOLVE: "CONFLICT",
}  # fmt: skip
# These are facts in the catalog alone, and change no file.
_FACTS: Final = {StepKind.CONDEMN, StepKind.REARM, StepKind.FORGET, StepKind.RECALL}
UNDOABLE: Final = {
    StepKind.CONDEMN, StepKind.FORGET, StepKind.COPY, StepKind.LINK, StepKind.DROP, StepKind.EVICT,
}  # fmt: skip


def phrase(totals: Totals, kinds: Mapping[str, int]) -> str:
    """What has to be typed to approve: what happens, to how many. Another selection has another phrase.

    Parameters
    ----------
    kinds
        How many of the selected units have a step of each kind.
    """
    gravest = next((kind for kind in _GRAVEST if kinds.get(kind)), None)
    if gravest is None:
        return ""
    # A purge is counted in files, for those are gone for good.
    files = gravest == StepKind.PURGE and totals.files > 0
    number, noun = (totals.files, "FILE") if files else (totals.units, _NOUNS.get(gravest, ""))
    words = [gravest.upper(), str(number), f"{noun}{'S' * (number != 1)}" if noun else ""]
    if totals.last_copies:
        words.append(f"INCLUDING {totals.last_copies} LAST COP{'Y' if totals.last_copies == 1 else 'IES'}")
    return " ".join(filter(None, words))


def waits_for_purge(kinds: Mapping[str, int]) -> bool:
    """Whether what is freed goes only with a later purge; links, drops and the like free it at once."""
    return any(kinds.get(kind) for kind in (StepKind.CONDEMN, StepKind.FORGET))


def consequences(totals: Totals, kinds: Mapping[str, int], repairs: bool = False) -> str:
    """What cannot be undone of what is selected, in a sentence; `repairs` says that bad copies are made good."""
    if not totals.units:
        return "Nothing is selected."
    said = []
    if totals.files:
        said.append(f"{count(totals.files, 'file')} will be removed for good")
    elif purged := kinds.get(StepKind.PURGE, 0):
        said.append(f"{count(purged, 'record')} of bytes that are gone will be closed")
    for kind, noun, what in (
        (StepKind.ABANDON, "unfinished ingest", "dropped for good"),
        (StepKind.EVICT, "content", "gone until it is fetched again from where it came from"),
        (StepKind.QUARANTINE, "bad file", "put aside"),
        (StepKind.FETCH, "file", "fetched again"),
        (StepKind.RESOLVE, "conflict", "decided at all sites, and the other values let go of"),
        (StepKind.CLONE, "file", "made to share its data with another, which shows nowhere"),
    ):
        if number := kinds.get(kind, 0):
            said.append(f"{count(number, noun)} will be {what}")
    if totals.last_copies:
        said.append(f"{count(totals.last_copies, 'row')} {'is' if totals.last_copies == 1 else 'are'} the last copy")
    if said:
        return f"Cannot be undone: {', '.join(said)}."
    if repairs:
        return "Bad bytes are put aside and kept; what was made good is not undone."
    if set(kinds) <= _FACTS:
        once = " What several documents share counts once, with the last of them." if kinds.get(StepKind.FORGET) else ""
        return f"Everything here can be undone; no file is touched.{once}"
    return "Everything here can be undone; of what is removed another copy stays."


def notices(plan: Plan) -> list[str]:
    """What a plan says of itself that a person should know first: what it leaves out, what it costs."""
    return [*filter(None, [plan.head.complete]), *plan.head.policy.get("told", ())]


def what_to_select(plan: Plan, folder: Path | None) -> str:
    """Where nothing is selected: how to come to something that can be approved."""
    if not plan.units:
        return "Nothing to do."
    some_left = plan.frame.filter("last_copy")["unit"].n_unique() < plan.units
    why = "No unit is selected" if some_left else "All units are last copies, which are selected only on request"
    place = shlex.quote(str(folder)) if folder else "PLAN"
    return f"{why}: `catalogkit review {place} --where ''` selects everything, another condition a part."


def receipt(row: PlanRow, approval: Approval | None, undoable: bool) -> dict[str, Any]:
    """Who approved what, when; what was done and skipped; how to undo it."""
    facts: dict[str, Any] = {
        "state": (
            f"Given up: {row.given_up}"
            if row.given_up
            else "Applied"
            if row.ended_at
            else "Waiting; apply it again once the bytes are there"
            if row.waiting and not row.failed
            else "Stopped; apply it again to go on"
        ),
        "plan": f"{row.kind} {row.id[:12]}",
        "approved": f"{approval.approved_by}, {at(approval.approved_at)}" if approval else "without an approval",
        "begun": at(row.begun_at),
        "ended": at(row.ended_at) if row.ended_at else "not yet",
        "done": row.done,
        "skipped": row.skipped,
        "failed": row.failed,
        **({"waiting": row.waits} if row.waiting else {}),
        "bytes_freed": row.bytes_freed,
        "selected": approval.rule or "everything" if approval else "everything",
    }
    if approval and (approval.include or approval.exclude):
        for units, words in ((approval.include, "taken in by hand"), (approval.exclude, "left out by hand")):
            facts["selected"] += f"; {count(len(units), 'unit')} {words}" if units else ""
    if row.done and undoable:
        facts["undo"] = f"catalogkit plan undo {row.id[:12]}"
    return facts


def count(number: int, noun: str) -> str:
    """A number and its noun, in the plural where it is not one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def at(moment: datetime) -> str:
    """A moment, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

"""The nightly round: verify, back up, plan and report, and collect what needs a person instead of stopping at it.

Each step is a verb that can also be called by itself; a round only puts them in order, gives them their limits from
``[maintain]`` of the settings, and goes on where one fails. A round that was interrupted needs no memory of where it
was: the next one reads what is longest unchecked, keeps the same day under the same name, and plans from what is there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import CatalogKitError, InvalidInput, MaintenanceRuns, PlanError
from catalogkit.policies.maintain import PLANNED, STEPS, USUAL_REPORTS
from catalogkit.progress import OnProgress, quiet
from catalogkit.signals import operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from catalogkit.approval import Approval
    from catalogkit.collection import Collection
    from catalogkit.plan import Plan
    from catalogkit.policies.maintain import MaintainConfig

__all__ = ["Maintenance", "maintain"]

LOCK: Final = "maintain.lock"
BY: Final = "catalogkit maintain"
SHOWN: Final = 20  # findings of a step that the list of what waits names one by one


@dataclass(slots=True)
class Maintenance:
    """What a round did.

    Attributes
    ----------
    steps : dict of str to dict
        A section for each step, in order: its ``outcome`` (``done``, ``waits``, ``failed``, ``interrupted`` or
        ``skipped``), ``seconds``, and what it has to say; a failed one has its ``error``, a skipped one says ``why``.
    waits : list of dict
        What needs a person: ``step``, ``what`` in words, and ``path`` of a plan or a place.
    """

    as_of: datetime
    seconds: float = 0.0
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    waits: list[dict[str, str]] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        """The steps that failed."""
        return [name for name, told in self.steps.items() if told["outcome"] == "failed"]

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped before its end."""
        return any(told["outcome"] == "interrupted" for told in self.steps.values())

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {"failed": self.failed, "interrupted": self.interrupted}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        shown = {name: in_words(told) for name, told in self.steps.items()}
        return facts("Maintenance", shown | {f"waits: {one['what']}": one["path"] for one in self.waits[:SHOWN]})


def in_words(told: dict[str, Any]) -> str:
    """The section of a step as a line."""
    seen = ("ok", "corrupt", "missing", "unknown", "findings", "label", "name", "units", "bytes_freed", "applied",
            "reports", "plans", "removed")  # fmt: skip
    parts = [told["outcome"], told.get("error", told.get("why", ""))]
    for name in seen:
        value = told.get(name)
        if name == "findings":  # of which the first are listed
            value = told.get("all_findings", value)
        elif name == "applied" and value:
            value = value["done"]
        if value not in (None, "", [], {}, 0):
            count = len(value) if isinstance(value, list | dict) else value
            parts.append(f"{name.replace('_', ' ')} {count:,}" if isinstance(count, int) else str(count))
    return ", ".join(filter(None, parts))


@operation("maintain")
def maintain(
    collection: Collection,
    *,
    as_of: datetime | None = None,
    progress: OnProgress = quiet,
    stop: threading.Event | None = None,
    on_step: Callable[[str], None] = lambda name: None,
) -> Maintenance:
    """Do the nightly round as ``[maintain]`` of the settings says: verify, audit, snapshot, backup, plan, report, tidy.

    Plans are saved and never applied, but for the kinds that the settings name in ``apply``. A step that fails is told,
    and the others are done all the same.

    Parameters
    ----------
    as_of
        The time of the round; the collection's clock without it.
    progress
        Called now and then by what takes long.
    stop
        Set it from another thread to stop at the next whole step of the work under way.
    on_step
        Called with the name of each step before it begins.

    Raises
    ------
    MaintenanceRuns
        If a round is under way; the message says whose, and since when. Nothing is done then.

    Examples
    --------
    >>> import catalogkit as ck
    >>> with ck.open("papers") as c:  # doctest: +SKIP
    ...     done = ck.maintain(c)
    >>> [one["path"] for one in done.waits]  # doctest: +SKIP
    """
    when, began = as_of or collection.now(), time.monotonic()
    with _alone(collection.path / LOCK, when):
        round_ = _Round(collection, when, progress, stop or threading.Event())
        for name in STEPS:
            on_step(name)
            round_.do(name)
        round_.result.seconds = round(time.monotonic() - began, 3)
    return round_.result


class _Round:
    """One round: a method for each step, which returns what it has to say, with ``waits`` for a person."""

    def __init__(self, collection: Collection, when: datetime, progress: OnProgress, stop: threading.Event) -> None:
        self.collection, self.when, self.progress, self.stop = collection, when, progress, stop
        self.settings: MaintainConfig = collection.config.maintain
        self.result = Maintenance(when)

    def do(self, name: str) -> None:
        """Do one step; whatever goes wrong in it is told, and ends no other."""
        began = time.monotonic()
        told: dict[str, Any]
        if name in self.settings.skip:
            told = {"outcome": "skipped", "why": "the settings skip it"}
        elif self.stop.is_set():
            told = {"outcome": "interrupted", "why": "not begun"}
        else:
            try:
                told = self._plan(name) if name in PLANNED else getattr(self, f"_{name}")()
            except KeyboardInterrupt:
                self.stop.set()
                told = {"outcome": "interrupted"}
            except CatalogKitError as problem:
                told = {"outcome": "interrupted" if self.stop.is_set() else "failed", "error": str(problem)}
            except Exception as problem:  # noqa: BLE001 - whatever it is, the other steps are done, and it is told
                told = {"outcome": "failed", "error": f"{type(problem).__name__}: {problem}"}
        waits = told.pop("waits", [])
        self.result.waits += [{"step": name, **one} for one in waits]
        told.setdefault("outcome", "waits" if waits else "done")
        self.result.steps[name] = {
            "outcome": told.pop("outcome"),
            "seconds": round(time.monotonic() - began, 3),
            **told,
        }

    # -- proving -------------------------------------------------------------------------------------------------

    def _verify(self) -> dict[str, Any]:
        from catalogkit.verify import verify

        limits: Any = self.settings.verify.limits()
        found = verify(self.collection, as_of=self.when, progress=self.progress, stop=self.stop, **limits)
        told = found.to_dict()
        told |= {"findings": told["findings"][:SHOWN], "all_findings": len(found.findings)}
        waits = [{"what": f"{one.outcome}: {one.detail}", "path": one.place}
                 for one in found.findings if one.outcome != "ok"]  # fmt: skip
        told |= {} if found.checked else {"why": "nothing was due"}
        return told | self._ended(found.stopped == "interrupted") | {"waits": _few(waits, "catalogkit plan repair")}

    def _audit(self) -> dict[str, Any]:
        from catalogkit.auditing import audit

        found = audit(
            self.collection, self.settings.audit.sample, as_of=self.when, progress=self.progress, stop=self.stop
        )
        told = found.to_dict()
        told |= {"findings": told["findings"][:SHOWN], "all_findings": len(found.findings)}
        told |= {"unseen": told["unseen"][:SHOWN]}
        waits = [{"what": f"{one.code.value}: {one.detail}", "path": one.path or one.object}
                 for one in found.findings if one.severity.value != "info"]  # fmt: skip
        waits += [{"what": f"not seen: {one.why}", "path": one.what} for one in found.unseen]
        return told | self._ended(found.interrupted) | {"waits": _few(waits, "catalogkit audit")}

    def _ended(self, interrupted: bool) -> dict[str, Any]:
        return {"outcome": "interrupted"} if interrupted else {}

    # -- keeping -------------------------------------------------------------------------------------------------

    def _snapshot(self) -> dict[str, Any]:
        from catalogkit.snapshots import list_snapshots, take_snapshot
        from catalogkit.units import parse_duration

        settings = self.settings.snapshot
        label = f"{settings.prefix}-{self.when:%Y-%m-%d}"
        for kept in list_snapshots(self.collection, as_of=self.when):
            if kept.label == label:
                return kept.to_dict() | {"why": "taken already"}
        end = self.when + parse_duration(settings.keep_for)
        return take_snapshot(self.collection, label, expires_at=end, as_of=self.when).to_dict()

    def _backup(self) -> dict[str, Any]:
        from catalogkit.backups.making import backup_catalog
        from catalogkit.backups.target import place_in, target_of
        from catalogkit.backups.thinning import thin_backups

        settings, place = self.settings.backup, self.collection.config.backup
        if not place.destination:
            return {"outcome": "skipped", "why": "the settings name no destination under [backup]"}
        folder = place_in(self.collection.path, place.destination)
        made = backup_catalog(
            folder, collection=self.collection, copy_bytes=settings.with_bytes, as_of=self.when, progress=self.progress
        )
        told: dict[str, Any] = made.to_dict() | {"removed": []}
        if settings.thin:
            done = thin_backups(target_of(folder), place.rules, collection=self.collection, as_of=self.when)
            told |= {"removed": done.removed, "bytes_freed": done.bytes_freed}
        lacking = f"the bytes of {made.lacking:,} contents could not be copied"
        return told | ({"waits": [{"what": lacking, "path": made.path}]} if made.lacking else {})

    # -- planning ------------------------------------------------------------------------------------------------

    def _plan(self, kind: str) -> dict[str, Any]:
        from catalogkit import planning
        from catalogkit.plan import Plan

        if kind == "tier" and not self.collection.config.tiering.cold:
            return {"outcome": "skipped", "why": "the settings name no cold store under [tiering]"}
        if kind == "tier" and (begun := planning.unfinished_plans(self.collection, kind)):
            return self._go_on(begun[0])
        plan: Plan = getattr(planning, f"plan_{kind}")(self.collection, as_of=self.when)
        if not plan.units:
            why = [{"what": f"not everything could be planned: {plan.head.complete}", "path": ""}]
            told = {**_summed(plan), "path": "", "applied": None, "why": "nothing to do"}
            return told | {"waits": why if plan.head.complete else []}
        home, approved = self._waiting(plan)
        told = {**_summed(plan), "new": home is None, "applied": None}
        home = home or plan.save(self.collection.path / "plans")
        told["path"] = str(home)
        words = f"{kind}: {plan.units:,} units, {plan.bytes_freed():,} bytes"
        if kind in self.settings.apply and not approved:
            return told | self._apply(Plan.load(home), home, words)
        words += ", approved and not applied" if approved else ""
        return told | {"waits": [{"what": words, "path": str(home)}]}

    def _go_on(self, home: Path) -> dict[str, Any]:
        """Take up a plan that waits for bytes out of an archive; what else is to move comes after it."""
        from catalogkit.approval import Approval
        from catalogkit.plan import Plan

        plan = Plan.load(home)
        told, words = {**_summed(plan), "path": str(home), "new": False, "applied": None}, f"{plan.head.kind}: begun"
        if plan.head.kind not in self.settings.apply:
            return told | {"waits": [{"what": f"{words} and not finished; apply it again", "path": str(home)}]}
        return told | self._apply(plan, home, words, Approval.load(home))

    def _waiting(self, plan: Plan) -> tuple[Path | None, bool]:
        """A plan that waits with the very steps of this one, so that nobody is asked the same anew each night.

        And whether somebody approved it: then it is theirs to apply.
        """
        from catalogkit.plan import Plan
        from catalogkit.planning import waiting_plans

        for one in waiting_plans(self.collection):
            home = Path(one["path"])
            if one["kind"] == plan.head.kind and one["units"] == plan.units and one["state"] in ("draft", "approved"):
                with contextlib.suppress(InvalidInput, PlanError):
                    if Plan.load(home).frame.equals(plan.frame):
                        return home, one["state"] == "approved"
        return None, False

    def _apply(self, plan: Plan, home: Path, words: str, approval: Approval | None = None) -> dict[str, Any]:
        """Carry out what no person has to look at; what the brakes hold back, or fails, waits."""
        from catalogkit.apply import apply
        from catalogkit.planning import approve

        approval = approval or approve(home, approved_by=BY, as_of=self.when)
        try:
            done = apply(
                self.collection, plan, approval=approval, as_of=self.when, progress=self.progress, stop=self.stop
            )
        except PlanError as held:
            os.unlink(home / "approval.json")  # it waits as a draft: to approve it is up to a person
            return {"waits": [{"what": f"{words}: {held}", "path": str(home)}]}
        counts = {name: getattr(done, name) for name in ("done", "skipped", "failed", "waiting", "bytes_freed")}
        left = (("failed", "steps failed; apply it again"), ("waiting", "steps wait for bytes out of an archive"))
        said = [f"{words}: {counts[name]:,} {what}" for name, what in left if counts[name]]
        return {"applied": counts, **self._ended(bool(done.stopped)),
                "waits": [{"what": one, "path": str(home)} for one in said]}  # fmt: skip

    # -- telling -------------------------------------------------------------------------------------------------

    def _reports(self) -> dict[str, Any]:
        from catalogkit.reports import lacking, run_report

        names = self.settings.reports
        if names is None:  # nobody asked for them by name, so it is no failure where they cannot be made
            if missing := lacking():
                return {"outcome": "skipped", "why": f"reports need {missing}: pip install 'catalogkit[report]'"}
            names = USUAL_REPORTS
        made: dict[str, str] = {}
        broken: dict[str, str] = {}
        for name in names:
            if self.stop.is_set():
                return {"outcome": "interrupted", "reports": made, "errors": broken}
            try:
                done = run_report(
                    name, {}, self.collection.path / "reports", collection=str(self.collection.path), as_of=self.when
                )
                made[name] = str(done.html)
            except CatalogKitError as problem:
                broken[name] = str(problem)
        told: dict[str, Any] = {"reports": made, "errors": broken}
        return told | ({"outcome": "failed", "error": "; ".join(dict.fromkeys(broken.values()))} if broken else {})

    def _tidy(self) -> dict[str, Any]:
        from catalogkit.planning import waiting_plans
        from catalogkit.report_index import runs, write_index
        from catalogkit.units import parse_duration

        settings, plans, reports = self.settings.tidy, 0, 0
        if settings.plans:
            from catalogkit.plan import Saved

            end = self.when - parse_duration(settings.plans)
            for one in waiting_plans(self.collection):
                if one["state"] == "expired" and Saved.read(one["path"]).head.expires_at <= end:
                    shutil.rmtree(one["path"])
                    plans += 1
        folder = self.collection.path / "reports"
        if settings.reports and folder.is_dir():
            seen: set[str] = set()
            for run in runs(folder):  # newest first in each report: that one stays
                if run.report in seen and run.at < self.when - parse_duration(settings.reports):
                    for kind in ("html", "json", "ipynb"):
                        run.stem.with_suffix(f".{kind}").unlink(missing_ok=True)
                    reports += 1
                seen.add(run.report)
            if reports:
                write_index(folder)
        return {"plans": plans, "reports": reports}


def _summed(plan: Plan) -> dict[str, Any]:
    return {name: value for name, value in plan.summary().items() if name not in ("kind", "as_of")}


def _few(waits: list[dict[str, str]], command: str) -> list[dict[str, str]]:
    """The first of them, and one line for the rest."""
    if len(waits) <= SHOWN:
        return waits
    return [*waits[:SHOWN], {"what": f"and {len(waits) - SHOWN:,} more: `{command}`", "path": ""}]


@contextlib.contextmanager
def _alone(path: Path, when: datetime) -> Iterator[None]:
    """Hold the lock of a collection's rounds. The kernel lets go of it when its holder dies, however that happens."""
    from catalogkit.planning.common import user_name

    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise MaintenanceRuns(f"a round is under way: {_holder(file.read())}; nothing was done") from None
        file.truncate(0)
        about = {"pid": os.getpid(), "host": socket.gethostname(), "user": user_name(), "since": when.isoformat()}
        file.write(json.dumps(about))
        file.flush()
        yield
        file.truncate(0)


def _holder(text: str) -> str:
    try:
        return "process {pid} of {user} on {host}, since {since}".format_map(json.loads(text))
    except (ValueError, KeyError):
        return f"somebody holds {LOCK}"

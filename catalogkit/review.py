"""`Review`: the state of a review: filter, choose, approve, apply, keep the receipt.

This is the logic, without widget, kernel or terminal; those are faces of it (`catalogkit.widgets`,
`catalogkit.review_forms`). Opening a review changes nothing. Saying yes writes one file beside the plan.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogkit import review_words
from catalogkit.apply import BATCH, apply
from catalogkit.apply_report import ApplyReport
from catalogkit.approval import FILE, Approval, approve_plan
from catalogkit.errors import CatalogKitError, InvalidInput, PlanError
from catalogkit.plan import Plan, StepKind
from catalogkit.planning.common import user_name
from catalogkit.progress import Progress
from catalogkit.review_words import at, count
from catalogkit.selecting import Choice, Slice

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from catalogkit.catalog.contract import PlanRow
    from catalogkit.collection import Collection

__all__ = ["Review", "Slice", "State"]


class State(enum.StrEnum):
    """How far a plan is."""

    DRAFT = "Draft"
    APPROVED = "Approved"
    APPLIED = "Applied"
    GIVEN_UP = "Given up"


class Review(Choice):
    """A plan under review.

    Parameters
    ----------
    plan
        The plan, or the folder it was saved in.
    collection
        The collection it is for; without one a plan can be looked at and approved, not applied.
    folder
        Where the plan is saved. Without one it is saved in the collection's ``plans`` when it is approved.
    max_share
        The largest share of all stored bytes that may go at once; what the plan's policy says without it.
    batch
        Steps in one transaction; a stop is heeded after each.
    clock
        Gives the time; the collection's clock without it.

    Attributes
    ----------
    approval : Approval or None
        The yes that lies beside the plan.
    report : ApplyReport or None
        What came of applying it, in this review.
    progress : Progress or None
        How far applying is.
    problem : str
        Why applying ended early, where an error ended it.
    """

    def __init__(
        self,
        plan: Plan | str | os.PathLike[str],
        collection: Collection | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        max_share: float | None = None,
        batch: int = BATCH,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        if not isinstance(plan, Plan):
            folder, plan = plan, Plan.load(Path(plan))
        self.folder = Path(folder) if folder is not None else None
        self.collection, self.batch = collection, batch
        self.max_share = max_share if max_share is not None else float(plan.head.policy.get("max_share", 0.5))
        self.clock = clock or (collection.clock if collection else lambda: datetime.now(UTC))
        found = Approval.load(self.folder) if self.folder else None
        # An approval of an earlier plan that lay in this folder says nothing about this one.
        self.approval = found if found and found.plan_id == plan.id else None
        super().__init__(plan, self.approval.selection if self.approval else None)
        self._approved = self.selected if self.approval else None
        self.report: ApplyReport | None = None
        self.progress: Progress | None = None
        self.problem = ""
        self._row = self._applied_row()
        self._stop, self._lock, self._running = threading.Event(), threading.Lock(), False

    # -- where it stands ---------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Draft until exactly what is selected was approved; Applied once nothing of it is left to do, or Given up."""
        if self._row is not None and self.ended:
            return State.GIVEN_UP if self._row.given_up else State.APPLIED
        if self._approved is not None and not (self._approved != self.selected).any():
            return State.APPROVED
        return State.DRAFT

    @property
    def ended(self) -> bool:
        """Whether nothing of it is left to do: it was applied, or given up."""
        return self._row is not None and self._row.ended_at is not None

    @property
    def running(self) -> bool:
        """Whether it is being applied now."""
        return self._running

    @property
    def phrase(self) -> str:
        """What has to be typed to approve: what happens, to how many. Another selection has another phrase."""
        return review_words.phrase(self.totals(), self.kinds())

    def consequences(self) -> str:
        """What cannot be undone of what is selected, in a sentence."""
        return review_words.consequences(self.totals(), self.kinds(), self.plan.head.kind == "repair")

    def brakes(self) -> list[str]:
        """Why this cannot be approved now; empty if it can."""
        totals, head = self.totals(), self.plan.head
        said = []
        if self._running:
            said.append("It is being applied.")
        if self._row is not None and self._row.ended_at is not None:
            given_up, ended = self._row.given_up, at(self._row.ended_at)
            how = f"given up {ended} ({given_up})" if given_up else f"applied {ended}; a plan is applied once"
            said.append(f"It was {how}. Make a new one for the rest.")
        elif self.clock() >= head.expires_at and self._row is None:
            said.append(f"It expired {at(head.expires_at)}; it can be looked at. Make a new one to go on.")
        if self.collection is not None and self.collection.identity != head.catalog:
            said.append(f"It is for catalog {head.catalog[:8]}, not for {self.collection.identity[:8]}.")
        if not self.table.height:
            said.append("There is nothing in it.")
        elif not totals.units:
            said.append("Nothing is selected.")
        if totals.share is not None and totals.share > self.max_share:
            said.append(
                f"The selection is {totals.share:.1%} of all stored bytes, more than the {self.max_share:.0%} that may"
                " go at once. Select less."
            )
        return said

    def apply_brakes(self) -> list[str]:
        """Why this cannot be applied now; empty if it can."""
        said = self.brakes()
        if self.collection is None:
            said.append("Applying needs the collection: ck.review(plan, collection), or `catalogkit apply`.")
        if not said and self.state is not State.APPROVED:
            said.append("What is selected is not approved." if self.approval else "It is not approved.")
        return said

    def must_be_open(self) -> None:
        """Raise a `PlanError` once the selection has to stay: while it is being applied, and after."""
        if self._running:
            raise PlanError("it is being applied")
        if self.ended:
            raise PlanError(f"it was {self.state.value.lower()}; nothing can be chosen any more")

    # -- explaining --------------------------------------------------------------------------------------------

    def why(self, unit: int) -> list[str]:
        """Why a unit is in the plan, in sentences: the plan's reason, then what the catalog says now."""
        steps = self.steps(unit)
        said = []
        for step in steps.iter_rows(named=True):
            what = step["key"] or step["sha256"] or f"document {step['document_id']}"
            said.append(f"{step['kind']} {what}: {self.plan.words(step['reason'])}")
        first = steps.row(0, named=True)
        if first["since"] is not None:
            age = count(first["age_days"], "day")
            said.append(f"so since {at(first['since'])}, {age} before the plan was made")
        if steps["last_copy"].any():
            said.append("it is the last copy of something, so it is not selected unless somebody says so")
        subject = first["sha256"] or first["document_id"]
        if self.collection is not None and subject is not None:
            from catalogkit.planning import why

            try:
                said += [f"now: {sentence}" for sentence in why(self.collection, subject, as_of=self.clock())]
            except InvalidInput as problem:
                said.append(f"now: {problem}")
        return said

    def as_python(self) -> str:
        """A line of Python that approves exactly this selection, without any widget."""
        place = repr(str(self.folder)) if self.folder else f"plan.save({str(self._home())!r})"
        return f"ck.approve({place}, {self.selection.arguments()})"

    def commands(self) -> list[str]:
        """What to type in a terminal to approve this selection and to apply it."""
        import shlex

        place = shlex.quote(str(self.folder)) if self.folder else "PLAN"
        selection = self.selection
        words = [f"catalogkit approve {place} --where {shlex.quote(selection.rule)}"]
        words += [f"--include {unit}" for unit in selection.include]
        words += [f"--exclude {unit}" for unit in selection.exclude]
        fetches = StepKind.FETCH in self.plan.frame["kind"]
        private = " --private" if self.plan.head.policy.get("private") else ""
        return [" ".join(words), f"catalogkit apply {place}{f' --fetch{private}' if fetches else ''}"]

    def what_to_select(self) -> str:
        """Where nothing is selected: how to come to something that can be approved."""
        return review_words.what_to_select(self.plan, self.folder)

    # -- saying yes --------------------------------------------------------------------------------------------

    def approve(self, by: str | None = None, *, typed: str) -> Approval:
        """Say yes to what is selected; writes the approval beside the plan.

        Parameters
        ----------
        by
            Who says it; the user's name without it.
        typed
            The `phrase`, to the letter.

        Raises
        ------
        PlanError
            If something is in the way, or the phrase is another one. Nothing is written then.
        """
        if brakes := self.brakes():
            raise PlanError(brakes[0])
        if typed.strip() != self.phrase:
            raise PlanError(f"type {self.phrase} to approve; nothing was approved")
        chosen = self.selection
        approval = approve_plan(
            self.plan,
            chosen.rule,
            include=chosen.include,
            exclude=chosen.exclude,
            approved_by=by if by is not None else user_name(),
            as_of=self.clock(),
        )
        if self.folder is None:
            self.folder = self.plan.save(self._home())
        approval.save(self.folder)
        self.approval, self._approved = approval, self.selected
        return approval

    @property
    def can_withdraw(self) -> bool:
        """Whether there is an approval that nothing was done about yet."""
        return self.approval is not None and not self._running and self._row is None

    def withdraw(self) -> None:
        """Take an approval back.

        Raises
        ------
        PlanError
            If there is none, or the plan is being applied, or was.
        """
        if not self.can_withdraw:
            raise PlanError("there is no approval, or applying it has begun; what was done, a plan can undo")
        if self.folder is not None:
            (self.folder / FILE).unlink(missing_ok=True)
        self.approval = self._approved = None

    # -- carrying it out ---------------------------------------------------------------------------------------

    def start(self, on_change: Callable[[], None] = lambda: None) -> threading.Thread | None:
        """Apply what was approved, in a thread of its own, so that a kernel goes on answering.

        Parameters
        ----------
        on_change
            Called from that thread after every batch, and when it has ended.

        Returns
        -------
        threading.Thread or None
            None where it is being applied already: a second click does nothing.

        Raises
        ------
        PlanError
            If something is in the way.
        """
        with self._lock:
            if self._running:
                return None
            if brakes := self.apply_brakes():
                raise PlanError(brakes[0])
            self._stop.clear()
            self._running, self.problem, self.progress = True, "", None
        thread = threading.Thread(target=self._carry_out, args=(on_change,), name="catalogkit-apply", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Stop after the batch under way. What is left can be applied later."""
        self._stop.set()

    def apply(self, on_change: Callable[[], None] = lambda: None) -> ApplyReport:
        """Apply what was approved, and wait for it.

        Raises
        ------
        PlanError
            If something is in the way, or it ended with an error.
        """
        thread = self.start(on_change)
        if thread is None:
            raise PlanError("it is being applied already")
        try:
            thread.join()
        except KeyboardInterrupt:
            self.stop()
            thread.join()
        if self.report is None or self.problem:
            raise PlanError(self.problem)
        return self.report

    def _carry_out(self, on_change: Callable[[], None]) -> None:
        def tell(progress: Progress) -> None:
            self.progress = progress
            on_change()

        try:
            assert self.collection is not None
            report = apply(
                self.collection,
                self.plan,
                approval=self.approval,
                max_share=self.max_share,
                batch=self.batch,
                as_of=self.clock(),
                progress=tell,
                stop=self._stop,
            )
            self.report = report
        except CatalogKitError as problem:
            self.problem = str(problem)
        except Exception as problem:  # noqa: BLE001 - whoever looks on must hear of it; a thread has nobody to raise to
            self.problem = f"{type(problem).__name__}: {problem}"
        finally:
            with contextlib.suppress(CatalogKitError):
                self._row = self._applied_row()
            self._running = False
            on_change()

    # -- the receipt -------------------------------------------------------------------------------------------

    def receipt(self) -> dict[str, Any]:
        """Who approved what, when; what was done, skipped and why; how to undo it. Empty before it was applied."""
        if self._row is None:
            return {}
        undoable = self.plan.frame["kind"].is_in(list(review_words.UNDOABLE)).any()
        return review_words.receipt(self._row, self.approval, undoable)

    def reasons_not_done(self) -> dict[str, int]:
        """Why steps were skipped, failed or wait, and how many each."""
        if self._row is None or self.collection is None or not self._row.skipped + self._row.failed + self._row.waiting:
            return {}
        journal = self.collection.catalog.journal(self.plan.id)
        return dict(Counter(step.why for step in journal if step.why).most_common())

    def _applied_row(self) -> PlanRow | None:
        if self.collection is None:
            return None
        return next((row for row in self.collection.catalog.plans() if row.id == self.plan.id), None)

    def _home(self) -> Path:
        return self.collection.path / "plans" if self.collection is not None else Path("plans")

    def __repr__(self) -> str:
        return f"Review({self.plan!r}, {self.state.value})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.review_forms import render_text, static_html

        return {"text/html": static_html(self), "text/plain": render_text(self)}

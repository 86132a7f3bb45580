"""The result of applying a plan: what was done, skipped and failed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalogkit.acts.placing import SUPERSEDED

if TYPE_CHECKING:
    from catalogkit.acts.world import Result, Step

KEPT_NOTES: Final = 1000


@dataclass(slots=True)
class ApplyReport:
    """What came of a plan in this run; `already` counts the steps that earlier runs decided.

    `elsewhere` are those of contents that other runs were at, and which were left to them; `others` has the units that
    others do, or did.
    `waiting` are those that wait for bytes out of an archive: apply the plan again once they are there.
    `bytes_freed` and `removed` are what this run took from the file system: a file that was gone already, or that has
    other names, frees nothing.
    """

    plan_id: str = ""
    done: int = 0
    skipped: int = 0
    failed: int = 0
    waiting: int = 0
    removed: int = 0
    bytes_freed: int = 0
    already: int = 0
    elsewhere: int = 0
    seconds: float = 0.0
    stopped: str = ""
    why: dict[str, int] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)
    others: set[int] = field(default_factory=set, repr=False)

    def add(self, steps: list[Step], results: list[tuple[Step, Result]]) -> None:
        """Count a batch that was committed: one that could not be did not happen."""
        self.already += len(steps) - len(results)
        for step, result in results:
            setattr(self, result.outcome, getattr(self, result.outcome) + 1)
            self.removed += result.removed
            self.bytes_freed += result.freed
            if result.why == SUPERSEDED:
                self.others.add(step.unit)
            if result.why:
                self.why[result.why] = self.why.get(result.why, 0) + 1
                if len(self.notes) < KEPT_NOTES:
                    self.notes.append(step.told() | {"outcome": result.outcome, "why": result.why})

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {name: value for name, value in asdict(self).items() if name != "others"}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        names = ("plan_id", "done", "skipped", "failed", "waiting", "removed", "bytes_freed", "already", "stopped")
        return facts("Applied", {name: getattr(self, name) for name in names} | self.why)

"""What a check-up found: a line for each thing that was looked at, with what to do where it is not well."""

from __future__ import annotations

import re
import textwrap
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

from catalogkit.reprs import printable

if TYPE_CHECKING:
    from datetime import datetime

OK, WARNING, PROBLEM = "ok", "warning", "problem"
_WORST_FIRST: Final = (PROBLEM, WARNING, OK)
_SIGNS: Final = {PROBLEM: "✗", WARNING: "!", OK: "✓"}


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
        What.
    outcome : str
        ``ok``, ``warning`` or ``problem``.
    detail : str
        What was found, in words.
    advice : str
        What to do; empty where all is well.
    """

    name: str
    outcome: str
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Checkup:
    """What `catalogkit.doctor` found.

    Attributes
    ----------
    collection : str
        Which collection; empty where none was looked at.
    as_of : datetime
        When.
    checks : tuple of HealthCheck
        Everything that was looked at, problems first, then warnings.

    Examples
    --------
    >>> [one.name for one in ck.doctor(c).problems]
    []
    """

    collection: str
    as_of: datetime
    checks: tuple[HealthCheck, ...]

    @classmethod
    def of(cls, collection: str, as_of: datetime, checks: list[HealthCheck]) -> Checkup:
        """These checks, the worst first, else in the order in which they were made."""
        return cls(collection, as_of, tuple(sorted(checks, key=lambda one: _WORST_FIRST.index(one.outcome))))

    @property
    def problems(self) -> list[HealthCheck]:
        """What is wrong."""
        return [one for one in self.checks if one.outcome == PROBLEM]

    @property
    def warnings(self) -> list[HealthCheck]:
        """What somebody should look at."""
        return [one for one in self.checks if one.outcome == WARNING]

    @property
    def well(self) -> bool:
        """Whether there is neither."""
        return not self.problems and not self.warnings

    @property
    def title(self) -> str:
        """All of it in a line."""
        counts = (("problem", len(self.problems)), ("warning", len(self.warnings)))
        found = " and ".join(f"{count} {word}{'s' * (count > 1)}" for word, count in counts if count) or "all is well"
        return f"{self.collection or 'This machine, no collection'}: {found}"

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"collection": self.collection, "as_of": self.as_of, "well": self.well,
                "problems": len(self.problems), "warnings": len(self.warnings),
                "checks": [asdict(one) for one in self.checks]}  # fmt: skip

    def in_lines(self, width: int = 100) -> list[str]:
        """As lines for people; only an advice may be longer than `width`, since it is there to be copied."""
        name = max(map(len, (one.name for one in self.checks)), default=0)
        lines, margin = [printable(self.title)], " " * (name + 6)
        for one in self.checks:
            head = f"  {_SIGNS[one.outcome]} {one.name:<{name}}  "
            lines += textwrap.wrap(
                printable(one.detail), max(width, name + 40), initial_indent=head, subsequent_indent=margin,
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
            lines += [f"{margin}> {printable(one.advice)}"] if one.advice else []
        return lines

    def __repr__(self) -> str:
        return f"Checkup({self.title!r})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": "\n".join(self.in_lines()), "text/html": self._html()}

    def _html(self) -> str:
        left = "text-align:left;vertical-align:top"
        rows = "".join(
            f'<tr><td style="{left};white-space:nowrap">{_SIGNS[one.outcome]} {one.outcome}</td>'
            f'<th scope="row" style="{left};white-space:nowrap">{escape(one.name)}</th>'
            f'<td style="{left}">{escape(printable(one.detail))}{_html_of(one.advice)}</td></tr>'
            for one in self.checks
        )
        return f"<table><caption><b>{escape(printable(self.title))}</b></caption>{rows}</table>"


def _html_of(advice: str) -> str:
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(printable(advice)))
    return f"<br>→ {marked}" if advice else ""


def of_error(name: str, problem: Exception, otherwise: str) -> HealthCheck:
    """A problem in the words of the error; what it says after a semicolon, or to install, is what to do."""
    detail, _, advice = str(problem).partition("; ")
    if advice.startswith("nothing was "):  # a comfort, and no advice
        advice = ""
    if not advice and ": pip install " in detail:
        detail, _, what = detail.partition(": pip install ")
        advice = f"`pip install {what}`"
    return HealthCheck(name, PROBLEM, detail, advice or otherwise)

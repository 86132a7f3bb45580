"""Approvals: which units of a plan somebody agreed to, as a rule and exceptions, bound to the plan's id."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.errors import InvalidInput, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from catalogkit.plan import Plan

FILE: Final = "approval.json"
# Rows that are the last copy of something start unselected: whoever wants them says so.
DEFAULT_RULE: Final = "NOT last_copy"


@dataclass(frozen=True, slots=True)
class Selection:
    """Units of a plan: those whose every step fits a rule, and exceptions.

    Attributes
    ----------
    rule : str
        An SQL condition over the plan's columns and ``age_days``, such as ``resolver = 'core' AND age_days > 180``.
    include, exclude : tuple of int
        Units that are in, or out, whatever the rule says.
    """

    rule: str = DEFAULT_RULE
    include: tuple[int, ...] = ()
    exclude: tuple[int, ...] = ()

    def units(self, plan: Plan) -> set[int]:
        """The selected units.

        Raises
        ------
        InvalidInput
            If the rule is not a condition over the plan's columns.
        """
        fits = plan.frame.select("unit", fits=fitting(facts(plan), self.rule))
        by_rule = fits.group_by("unit").agg(pl.col("fits").all()).filter("fits")["unit"]
        return (set(by_rule.to_list()) | set(self.include)) - set(self.exclude)

    def as_python(self, path: str) -> str:
        """The line of Python that makes the same selection without a widget."""
        return f"ck.approve({path!r}, {self.arguments()})"

    def arguments(self) -> str:
        """The rule and the exceptions as arguments of a call."""
        parts = [repr(self.rule)]
        parts += [f"{name}={list(value)!r}" for name in ("include", "exclude") if (value := getattr(self, name))]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody's yes to some units of one plan."""

    plan_id: str
    rule: str
    include: tuple[int, ...]
    exclude: tuple[int, ...]
    approved_by: str
    approved_at: datetime

    @property
    def selection(self) -> Selection:
        """What was selected."""
        return Selection(self.rule, self.include, self.exclude)

    def units(self, plan: Plan) -> set[int]:
        """The approved units."""
        return self.selection.units(plan)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {"approved_at": self.approved_at.isoformat()}

    def save(self, folder: Path | str) -> Path:
        """Write it beside its plan."""
        path = Path(folder) / FILE
        path.write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, folder: Path | str) -> Approval | None:
        """The approval beside a plan, or None where there is none.

        Raises
        ------
        PlanError
            If it cannot be read.
        """
        path = Path(folder) / FILE
        if not path.exists():
            return None
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                plain["plan_id"],
                plain["rule"],
                tuple(map(int, plain["include"])),
                tuple(map(int, plain["exclude"])),
                plain["approved_by"],
                datetime.fromisoformat(plain["approved_at"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise PlanError(f"the approval at {path} cannot be read: {problem}; approve the plan again") from None


def approve_plan(
    plan: Plan,
    rule: str = DEFAULT_RULE,
    *,
    include: Iterable[int] = (),
    exclude: Iterable[int] = (),
    approved_by: str,
    as_of: datetime,
) -> Approval:
    """Say yes to the units that fit a rule, with exceptions.

    Raises
    ------
    InvalidInput
        If nobody says it, the rule is no condition, or an exception is no unit of the plan.
    """
    if not approved_by.strip():
        raise InvalidInput("an approval needs the name of whoever gives it")
    selection = Selection(rule, tuple(sorted(set(include))), tuple(sorted(set(exclude))))
    known = set(plan.frame["unit"].unique().to_list())
    strange = (set(selection.include) | set(selection.exclude)) - known
    if strange:
        raise InvalidInput(f"the plan has no unit {min(strange)}")
    selection.units(plan)
    return Approval(plan.id, rule, selection.include, selection.exclude, approved_by, as_of)


def facts(plan: Plan) -> pl.DataFrame:
    """What a rule is about: the steps, and ``age_days``, whole days from `since` to the plan's `as_of`."""
    return plan.frame.with_columns(age_days=(pl.lit(plan.head.as_of) - pl.col("since")).dt.total_days())


def fitting(frame: pl.DataFrame, rule: str) -> pl.Series:
    """For every row of `frame` whether it fits a rule.

    Raises
    ------
    InvalidInput
        If the rule is no condition over the frame's columns, or cannot be decided (a text that is no number).
    """
    try:
        return frame.with_columns(__fits__=condition(frame, rule))["__fits__"]
    except pl.exceptions.PolarsError as problem:
        raise InvalidInput(f"not a condition: {rule!r}: {str(problem).splitlines()[0]}") from None


def condition(frame: pl.DataFrame, rule: str) -> pl.Expr:
    """An SQL condition as an expression that is true or false for every row of `frame` (unknown is false).

    Raises
    ------
    InvalidInput
        If it is not a condition over the frame's columns.
    """
    if not rule.strip():
        return pl.lit(True)
    try:
        expression = pl.sql_expr(rule)
        kind = frame.head(0).select(expression.alias("fits")).schema["fits"]
    except (pl.exceptions.PolarsError, ValueError) as problem:
        what = str(problem).partition("; valid columns")[0]
        raise InvalidInput(f"not a condition: {rule!r}: {what}; columns are {', '.join(frame.columns)}") from None
    if kind != pl.Boolean:
        raise InvalidInput(f"not a condition: {rule!r} is neither true nor false")
    return expression.fill_null(False)

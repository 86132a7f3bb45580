"""Chooses units of a plan: filters, a rule and exceptions, live totals.

Every unit has one place in a table, and what is selected is one column of truth values beside it; so a plan of a
million units answers at once. Nothing here changes anything but what is selected.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import polars as pl

from catalogkit.approval import Selection, facts, fitting
from catalogkit.errors import InvalidInput
from catalogkit.unit_table import Totals, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from catalogkit.plan import Plan

T = TypeVar("T")

FACETS: Final = ("reason", "resolver", "media_type", "tenant")
HISTOGRAMS: Final = ("bytes", "age_days")
SORTS: Final = ("unit", "bytes", "age_days", "artifact_id", *FACETS)
BINS: Final = 20
_TOP: Final = 12
_WIDTHS: Final = (1, 2, 7, 14, 30, 60, 90, 180, 365)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the plan to click on: its name, the condition that filters to it, and how much of it is selected."""

    label: str
    clause: str
    total: int
    selected: int


class Choice:
    """Which units of a plan are selected, and which are looked at.

    Parameters
    ----------
    plan
        The plan.
    selection
        What is selected at first.
    """

    def __init__(self, plan: Plan, selection: Selection | None = None) -> None:
        self.plan = plan
        rows = facts(plan)
        self._rows = rows if rows["unit"].is_sorted() else rows.sort("unit", maintain_order=True)
        self._place = self._rows["unit"].rle_id()
        self.table, self._joint = tables(self._rows, self._place)
        each = self._rows.select("kind", place=self._place)
        if self.table.height < each.height:
            each = each.unique(maintain_order=True)
        self._kinds = each["kind"], each["place"]
        # A class of sizes is a condition on steps, so sizes are those of steps here; ages are the same for all of them.
        values = {"bytes": self.table["size"], "age_days": self.table["age_days"]}
        self._scales = {name: _edges(name, values[name]) for name in HISTOGRAMS}
        parts = self.table.select(
            *(pl.col(name).cast(pl.Categorical(pl.Categories.random())) for name in FACETS),
            *(_binned(values[name], self._scales[name]).alias(name) for name in HISTOGRAMS),
        )
        # Units that agree in all of these are one cell: to count the few cells is quicker than to count the units.
        self._cell = _cells(parts)
        self._cells = (
            parts.with_columns(cell=self._cell).group_by("cell").agg(pl.all().first(), pl.len().alias("total"))
        )
        self._orders: dict[tuple[str, bool], pl.Series] = {}
        self._figures: dict[str, Any] = {}
        self.set_filter("")
        self.select(selection or Selection())

    # -- what is selected --------------------------------------------------------------------------------------

    @property
    def selected(self) -> pl.Series:
        """For each row of `table` whether it is selected. It is replaced, never changed in place."""
        return self._selected

    @selected.setter
    def selected(self, chosen: pl.Series) -> None:
        self._selected = chosen
        self._figures.clear()

    @property
    def selection(self) -> Selection:
        """The rule, and as exceptions whatever differs from it."""
        units = self.table["unit"]
        include = units.filter(self.selected & ~self._by_rule)
        exclude = units.filter(self._by_rule & ~self.selected)
        return Selection(self.rule, tuple(include.to_list()), tuple(exclude.to_list()))

    def mask(self, selection: Selection) -> pl.Series:
        """A selection as one truth value for each unit.

        Raises
        ------
        InvalidInput
            If its rule is no condition, or an exception is no unit.
        """
        chosen = self._fits(selection.rule).clone()
        for units, value in ((selection.include, True), (selection.exclude, False)):
            if units:
                chosen = chosen.scatter(self._places(units), value)
        return chosen

    def select(self, selection: Selection) -> None:
        """Select exactly this."""
        self.selected = self.mask(selection)
        self.rule, self._by_rule = selection.rule, self._fits(selection.rule)

    def toggle(self, unit: int) -> bool:
        """Select a unit, or leave it out after all; returns which of the two."""
        [place] = self._places([unit])
        value = not self.selected[place]
        self.selected = self.selected.clone().scatter(place, value)
        return value

    def include_filtered(self) -> int:
        """Select every unit that fits the filter, beside what is selected; returns how many fit."""
        return self._choose(self.selected | self.matches, f"({self.rule or 'TRUE'}) OR ({self.filter or 'TRUE'})")

    def exclude_filtered(self) -> int:
        """Leave out every unit that fits the filter; returns how many fit."""
        # A condition on a missing value is neither true nor false, and its negation neither.
        negated = f"({self.rule or 'TRUE'}) AND NOT coalesce({self.filter or 'TRUE'}, FALSE)"
        return self._choose(self.selected & ~self.matches, negated)

    def only_filtered(self) -> int:
        """Select the units that fit the filter and no others; returns how many."""
        return self._choose(self.matches, self.filter)

    def _choose(self, wanted: pl.Series, composed: str) -> int:
        """Select `wanted` by the simplest rule that says it; what a rule misses becomes exceptions."""
        for rule in (self.rule, self.filter, composed):
            fits = self._fits(rule)
            if rule == composed or not (fits != wanted).any():
                self.rule, self._by_rule, self.selected = rule, fits, wanted
                break
        return self.matching

    # -- what is looked at -------------------------------------------------------------------------------------

    @property
    def matching(self) -> int:
        """How many units fit the filter."""
        return int(self.matches.sum())

    @property
    def matching_last_copies(self) -> int:
        """How many of those take a last copy."""
        return int((self.matches & self.table["last_copy"]).sum())

    def set_filter(self, text: str) -> int:
        """Look at the units whose every step fits a condition; returns how many.

        Raises
        ------
        InvalidInput
            If it is no condition. The filter stays as it was.
        """
        self.matches, self.filter = self._fits(text), text.strip()
        return self.matching

    def toggle_clause(self, clause: str) -> int:
        """Add a condition to the filter, or take it out if it is there."""
        text = self.filter
        for piece in (f" AND {clause}", f"{clause} AND ", clause):
            if piece in text:
                return self.set_filter(text.replace(piece, "", 1))
        if " or " in text.lower():
            text = f"({text})"
        return self.set_filter(f"{text} AND {clause}" if text else clause)

    def page(self, start: int, count: int, sort: str = "unit", descending: bool = False) -> pl.DataFrame:
        """Rows `start` to ``start + count`` of the units that fit the filter, with ``selected``.

        Raises
        ------
        InvalidInput
            If there is no such column to sort by.
        """
        if sort not in SORTS:
            raise InvalidInput(f"no order by {sort!r}; use {', '.join(SORTS)}")
        if (sort, descending) not in self._orders:
            order = self.table[sort].arg_sort(descending=descending, nulls_last=True)
            self._orders[sort, descending] = order
        order = self._orders[sort, descending]
        shown = order.filter(self.matches.gather(order)).slice(max(0, start), max(0, count))
        return self.table[shown].with_columns(selected=self.selected.gather(shown))

    def steps(self, unit: int) -> pl.DataFrame:
        """The steps of one unit."""
        [place] = self._places([unit])
        return self._rows.filter(self._place == place)

    # -- figures -----------------------------------------------------------------------------------------------

    def totals(self) -> Totals:
        """What is selected, in figures; several names of one object count once, and only together."""
        return self._once("totals", self._sum)

    def facets(self) -> dict[str, list[Slice]]:
        """By reason, resolver, media type and tenant: how many units there are, and how many are selected."""
        return self._once(
            "facets",
            lambda: {
                name: [self._slice(name, *row) for row in self._counted(name).head(_TOP).rows()] for name in FACETS
            },
        )

    def histograms(self) -> dict[str, list[Slice]]:
        """By size and by age, in at most 20 classes."""
        return self._once("histograms", lambda: {n: self._histogram(n) for n in HISTOGRAMS if self._scales[n]})

    def ages(self) -> str:
        """The ages of what is selected, from newest to oldest, in words."""
        ages = self.table["age_days"].filter(self.selected).drop_nulls()
        if ages.is_empty():
            return "n/a"
        newest, oldest = cast("int", ages.min()), cast("int", ages.max())
        return f"{newest:,} d" if newest == oldest else f"{newest:,} to {oldest:,} d"

    def kinds(self) -> dict[str, int]:
        """How many of the selected units have a step of each kind."""
        kinds, places = self._kinds
        return self._once("kinds", lambda: dict(kinds.filter(self.selected.gather(places)).value_counts().rows()))

    def _once(self, name: str, compute: Callable[[], T]) -> T:
        """A figure, computed once for each selection."""
        if name not in self._figures:
            self._figures[name] = compute()
        figure: T = self._figures[name]
        return figure

    def _sum(self) -> Totals:
        names = ("alone", "files", "last_copy", "final", "steps")
        row = self.table.select(names).filter(self.selected).sum().row(0, named=True)
        freed = row["alone"] + self._joint.freed(self.selected)
        stored = self.plan.head.physical_bytes
        units, of = int(self.selected.sum()), self.table.height
        share = freed / stored if stored else None
        last, final = int(row["last_copy"]), int(row["final"])
        return Totals(units, of, int(row["steps"]), int(freed), share, int(row["files"]), last, final)

    def _counted(self, name: str) -> pl.DataFrame:
        counted = self._once("cells", self._count_cells).group_by(name).agg(pl.col("total", "chosen").sum())
        return counted.sort("total", pl.col(name).cast(pl.String), descending=[True, False], nulls_last=True)

    def _count_cells(self) -> pl.DataFrame:
        chosen = pl.DataFrame({"cell": self._cell}).filter(self.selected).group_by("cell").agg(pl.len().alias("chosen"))
        return self._cells.join(chosen, on="cell", how="left").with_columns(pl.col("chosen").fill_null(0))

    def _slice(self, column: str, value: str | None, total: int, selected: int) -> Slice:
        if value is None:
            return Slice("(none)", f"{column} IS NULL", total, selected)
        return Slice(value, "{} = '{}'".format(column, value.replace("'", "''")), total, selected)

    def _histogram(self, name: str) -> list[Slice]:
        edges = self._scales[name]
        counts = {bin_: counts for bin_, *counts in self._counted(name).rows() if bin_ is not None}
        shown = []
        for number, (low, high) in enumerate(itertools.pairwise(edges), 1):
            total, selected = counts.get(number, (0, 0))
            shown.append(Slice(f"{low}:{high}", f"({name} >= {low} AND {name} < {high})", total, selected))
        return shown

    # -- places ------------------------------------------------------------------------------------------------

    def _fits(self, rule: str) -> pl.Series:
        fits = fitting(self._rows, rule)
        if self.table.height == self._rows.height:
            return fits
        by_unit = pl.DataFrame({"place": self._place, "fits": fits}).group_by("place").agg(pl.col("fits").all())
        return by_unit.sort("place")["fits"]

    def _places(self, units: Sequence[int]) -> list[int]:
        known = self.table["unit"]
        places: list[int] = known.search_sorted(pl.Series(units, dtype=pl.Int64)).to_list()
        for unit, place in zip(units, places, strict=True):
            if place >= known.len() or known[place] != unit:
                raise InvalidInput(f"the plan has no unit {unit}")
        return places


def _edges(name: str, values: pl.Series) -> list[int]:
    """The limits of at most 20 classes: doubling for sizes, equal steps of days for ages; none without values."""
    low, high = values.min(), values.max()
    if not isinstance(low, int) or not isinstance(high, int):
        return []
    if name == "bytes":
        steps = max(1, math.ceil(high.bit_length() / (BINS - 1)))
        edges = [0, *(1 << power for power in range(0, high.bit_length() + steps, steps))]
        return edges[max(i for i, edge in enumerate(edges) if edge <= low) :]
    width = next((w for w in _WIDTHS if (high - low) // w < BINS), (high - low) // (BINS - 1) + 1)
    first = low - low % width
    return list(range(first, high + width + 1, width))


def _cells(parts: pl.DataFrame) -> pl.Series:
    """A number for every row, the same for rows that agree in every column."""
    cell, size = pl.repeat(0, parts.height, dtype=pl.UInt64, eager=True), 1
    for column in parts.get_columns():
        codes = (column.to_physical().cast(pl.UInt64) + 1).fill_null(0)
        values = cast("int", codes.max() or 0) + 1
        if size * values >= 1 << 64:
            cell, size = cell.rank("dense").cast(pl.UInt64), parts.height + 1
        cell, size = cell * values + codes, size * values
    return cell


def _binned(values: pl.Series, edges: list[int]) -> pl.Series:
    """The number of the class of every value, from 1."""
    if not edges:
        return pl.Series(values=[None], dtype=pl.UInt32).new_from_index(0, values.len())
    return pl.Series(edges, dtype=pl.Int64).search_sorted(values, side="right")

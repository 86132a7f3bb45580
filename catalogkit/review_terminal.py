"""Reviews in a terminal: a dialogue, and the options of the command line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from catalogkit.approval import DEFAULT_RULE, Selection
from catalogkit.display import format_bytes
from catalogkit.errors import CatalogKitError, InvalidInput, PlanError
from catalogkit.review_forms import columns, largest, printable, render_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from catalogkit.review import Review


def choose(
    review: Review, *, where: str | None = None, include: Iterable[int] = (), exclude: Iterable[int] = ()
) -> None:
    """Select what the options of a command line say: a rule (all but last copies without one) and exceptions.

    Raises
    ------
    InvalidInput
        If the rule is no condition, or an exception is no unit of the plan.
    """
    review.select(Selection(DEFAULT_RULE if where is None else where, tuple(include), tuple(exclude)))


HELP: Final = """\
  filter CONDITION   look at units that fit, such as: filter resolver = 'core' AND age_days > 180
  select, deselect   take in, or leave out, every unit that fits the filter
  only               select those that fit the filter and no others
  toggle UNIT        take one in, or leave it out
  why UNIT           why it is in the plan
  python             the line of Python that makes this selection
  approve            approve what is selected
  quit               leave; nothing changes"""


def ask(
    review: Review,
    *,
    read: Callable[[str], str] = input,
    write: Callable[[str], object] = sys.stdout.write,
    by: str | None = None,
) -> bool:
    """Review in a conversation; returns whether the plan was approved. The end of the input is a no.

    Parameters
    ----------
    read, write
        How a line is asked for, and how text is shown.
    """
    write(f"{render_text(review)}\n\n{HELP}\n")
    while True:
        try:
            word, _, rest = read("review> ").strip().partition(" ")
            if word in ("quit", "q", "exit"):
                return False
            if word == "approve":
                if brakes := review.brakes():  # before anything is asked for
                    raise PlanError(brakes[0])
                review.approve(by, typed=read(f"type {review.phrase} to approve: "))
                write(f"Approved {review.totals().units:,} units; now run: {review.commands()[1]}\n")
                return True
            if word:
                write(printable(f"{_answer(review, word, rest.strip())}\n"))
        except EOFError:
            return False
        except CatalogKitError as problem:
            write(printable(f"{problem}\n"))


def _answer(review: Review, word: str, rest: str) -> str:
    if word == "filter":
        review.set_filter(rest)
        return "\n".join(columns(largest(review))) + f"\n{review.matching:,} units fit"
    if word == "python":
        return review.as_python()
    if word in ("toggle", "why") and rest.isascii() and rest.isdigit():
        if word == "why":
            return "\n".join(review.why(int(rest)))
        review.toggle(int(rest))
    elif word in ("select", "deselect", "only"):
        acts = {"select": review.include_filtered, "deselect": review.exclude_filtered, "only": review.only_filtered}
        acts[word]()
    else:
        raise InvalidInput(f"no such command: {word}\n{HELP}")
    totals = review.totals()
    return f"{totals.units:,} of {totals.of:,} selected, {format_bytes(totals.bytes)}. {review.consequences()}"

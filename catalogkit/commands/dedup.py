"""Command `plan dedup`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogkit.commands.planned import Limit, Out, about, keep, what_next
from catalogkit.commands.plans import planning
from catalogkit.door import DONE, LOOK, Json, machine
from catalogkit.policies.dedup import How

if TYPE_CHECKING:
    from catalogkit.opportunities import DedupOpportunities
    from catalogkit.policies.dedup import DedupPolicy


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    planning.command("dedup")(plan_dedup)


def plan_dedup(
    context: typer.Context,
    how: Annotated[
        How, typer.Option(help="Names of one file, files that share data, or one copy at its content address.")
    ] = How.LINK,
    min_file_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Leave smaller files alone, such as 1MB.")
    ] = None,
    max_age_days: Annotated[
        int | None, typer.Option(metavar="DAYS", min=0, help="Leave alone what was not seen for longer.")
    ] = None,
    cost_threshold: Annotated[
        float | None, typer.Option(min=0, help="The share of the proof's cost that a copy must save more than.")
    ] = None,
    resolver: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only documents of this resolver; may be repeated.")
    ] = None,
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Make spare copies of equal bytes share their space, by [dedup] of the settings and these options."""
    from catalogkit.planning import analyze_dedup_opportunities
    from catalogkit.terminal import say, tell
    from catalogkit.units import parse_bytes

    given = {
        "min_file_size": None if min_file_size is None else parse_bytes(min_file_size),
        "max_age_days": max_age_days,
        "cost_threshold": cost_threshold,
        "resolver_allowlist": resolver or None,
    }
    with context.obj.open() as collection:
        policy = _changed(collection.config.dedup, given)
        found = analyze_dedup_opportunities(policy, collection=collection, how=how.value)
        plan = found.to_plan(limit)
        home = keep(collection, plan, out)
    to_machine = machine(context, as_json)
    values: dict[str, Any] = about(plan, home, to_machine)
    say(values | (found.to_dict() if to_machine else {}), to_machine, "Plan: dedup")
    if not to_machine:
        sys.stdout.write(_in_words(found))
    if not plan.units:
        tell("Nothing is worth sharing.")
        return DONE
    tell(what_next(home))
    return LOOK


def _changed(policy: DedupPolicy, given: dict[str, Any]) -> DedupPolicy:
    """The settings' policy with what was given on the command line."""
    from msgspec.structs import replace

    return replace(policy, **{name: value for name, value in given.items() if value is not None})


def _in_words(found: DedupOpportunities) -> str:
    """The cost model term by term, and what speaks against the copies that stay."""
    currency = found.policy.costs.currency
    lines = ["What it costs and saves:"]
    for term, amount, value in found.terms().iter_rows():
        money = "" if value is None else f"{value:>16,.6f} {currency}"
        lines.append(f"  {term:<28}  {amount:>24}  {money}".rstrip())
    reasons = found.reasons()
    if len(reasons):
        lines.append(f"  {'Groups':>9}  {'spare copies':>13}  {'bytes':>19}")
    for reason, words, groups, copies, size in reasons.iter_rows():
        lines.append(f"  {groups:>9,}  {copies:>13,}  {size:>19,}  {words} ({reason})")
    return "\n".join(lines) + "\n"

"""Command `plan retention`, with its back-test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogkit.commands.planned import Limit, Out, about, keep, what_next
from catalogkit.commands.plans import planning
from catalogkit.door import DONE, LOOK, Json, machine

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from catalogkit.plan import Plan
    from catalogkit.policies.retention import RetentionPolicy


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    planning.command("retention")(plan_retention)


def plan_retention(
    context: typer.Context,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="A tenant that has a policy of its own: for its documents only; or a TOML file with a policy to try."
            " Else [retention] of the settings.",
        ),
    ] = None,
    backtest: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Plan nothing: try the policy on so much of the past, such as 180d."),
    ] = None,
    step: Annotated[str, typer.Option(help="How often a back-test applies the policy.")] = "1d",
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Forget what the retention policy no longer keeps; bytes that nobody needs then become garbage."""
    from catalogkit.planning import plan_retention as make
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        chosen, tenant = _policy(collection, policy)
        if backtest is not None:
            return _try(collection, chosen, tenant, (backtest, step), machine(context, as_json))
        plan = make(collection, chosen, tenant=tenant, limit=limit)
        home = keep(collection, plan, out)
    to_machine = machine(context, as_json)
    values: dict[str, Any] = about(plan, home, to_machine)
    if to_machine:
        values |= {"decisions": _counts(plan), "remarks": chosen.remarks()}
    say(values, to_machine, "Plan: retention")
    if not to_machine:
        for row in _counts(plan):
            sys.stdout.write("  {decision:<7} {documents:>11,}  {words} ({reason})\n".format_map(row))
    for remark in chosen.remarks():
        tell(f"Note: {remark}.")
    if not plan.units:
        tell("Nothing is due.")
        return DONE
    tell(what_next(home))
    return LOOK


def _try(
    collection: Collection, policy: RetentionPolicy, tenant: str | None, times: tuple[str, str], to_machine: bool
) -> int:
    """Try a policy on the past, and tell what came of it."""
    from catalogkit.display import format_bytes
    from catalogkit.planning import backtest_retention
    from catalogkit.terminal import say, tell
    from catalogkit.units import parse_duration

    now, (length, step) = collection.now(), (parse_duration(one) for one in times)
    report = backtest_retention(collection, policy, tenant=tenant, since=now - length, step=step, as_of=now)
    say(report.to_dict() if to_machine else report.totals(), to_machine, "Back-test of a retention policy")
    for row in report.regrets.head(10).to_dicts() if not to_machine else ():
        sys.stdout.write(
            f"  {row['artifact_id']}: forgotten {row['forgotten_at']:%Y-%m-%d}, asked for {row['asked_at']:%Y-%m-%d},"
            f" {row['requests']:,} requests, {format_bytes(row['bytes'])}\n"
        )
    if (more := report.regrets.height - 10) > 0 and not to_machine:
        sys.stdout.write(f"  and {more:,} more\n")
    if uncertain := report.totals()["uncertain"]:
        tell(f"Of {uncertain:,} it is not known whether they were seen in between: they count as if they were not.")
    return DONE


def _policy(collection: Collection, given: str | None) -> tuple[RetentionPolicy, str | None]:
    """The policy a person means, and the tenant whose documents it is for, if it is for one."""
    from catalogkit.errors import InvalidInput
    from catalogkit.planning.retention import policy_of, read_policy

    if given is not None and given.endswith(".toml"):
        return read_policy(Path(given)), None
    policy = policy_of(collection)
    if given is not None and given not in policy.tenants:
        there = ", ".join(policy.tenants) or "none"
        raise InvalidInput(f"the settings have no [retention.tenants.{given}], they have {there}; a file ends in .toml")
    return policy, given


def _counts(plan: Plan) -> list[dict[str, Any]]:
    """How many documents are kept and forgotten, by reason."""
    from catalogkit.policies.retention import REASONS

    due = dict(plan.totals().select("reason", "units").rows())
    kept = dict(plan.head.policy["kept"])
    return [
        {"decision": decision, "reason": reason, "documents": count, "words": REASONS[reason]}
        for decision, counts in (("keep", kept), ("forget", due))
        for reason, count in counts.items()
    ]

"""Commands `access`, `plan evict`, `plan fetch`, `evictions`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogkit.commands.planned import Out, about, ending, keep, planned
from catalogkit.commands.plans import planning
from catalogkit.door import DONE, Json, machine

if TYPE_CHECKING:
    from catalogkit.eviction.scoring import Card

accesses = typer.Typer(help="The access log: import logs, list the imported files.", no_args_is_help=True)
SHOWN = 10


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(accesses, name="access")
    planning.command("evict")(plan_evict)
    planning.command("fetch")(plan_fetch)
    app.command()(evictions)


@accesses.command("import")
def access_import(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Logs or tables; .gz is unpacked.")],
    form: Annotated[str, typer.Option("--format", help="web, s3, table, or auto, which looks.")] = "auto",
    kind: Annotated[str, typer.Option(help="What these accesses are called.")] = "read",
    every: Annotated[str, typer.Option(help="Requests of a document within so long become one row.")] = "1m",
    as_json: Json = False,
) -> int:
    """Add the logs of a web server or of S3, or tables, to the access log; a file is read once."""
    from catalogkit.access_logs import import_accesses
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        done = [import_accesses(collection, file, form=form, kind=kind, every=every) for file in files]
    names = ("entries", "matched", "unmatched", "other", "documents", "rows")
    totals: dict[str, Any] = {name: sum(getattr(one, name) for one in done) for name in names}
    again = [one.name for one in done if one.again]
    if machine(context, as_json):
        say(totals | {"again": again, "files": [one.to_dict() for one in done]}, True, "Accesses")
        return DONE
    say(totals | {"files": len(done), "read before": len(again)}, False, "Accesses")
    examples = [name for one in done for name in one.examples][:SHOWN]
    if examples:
        tell(f"{totals['unmatched']:,} requests are for nothing this catalog knows, such as {', '.join(examples)}")
    return DONE


@accesses.command("list")
def access_list(context: typer.Context, as_json: Json = False) -> int:
    """The files that the access log was read from."""
    from dataclasses import asdict

    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        files = [asdict(one) | {"sha256": str(one.sha256)} for one in collection.catalog.access_files()]
    if machine(context, as_json):
        say({"files": files}, True, "Access logs")
        return DONE
    if not files:
        tell("no log was read yet; `catalogkit access import FILE` reads one")
    for one in files:
        until = f"until {one['last_at']:%Y-%m-%d %H:%M}" if one["last_at"] else "empty"
        sys.stdout.write(f"{one['entries']:>9,} requests, {one['matched']:,} matched, {until}  {one['name']}\n")
    return DONE


def plan_evict(
    context: typer.Context,
    bytes_to_free: Annotated[str | None, typer.Option("--bytes", help="Free so much, such as 10GB.")] = None,
    number: Annotated[int | None, typer.Option("-n", min=1, help="At most so many contents.")] = None,
    horizon: Annotated[str, typer.Option(help="How far ahead requests count.")] = "30d",
    last_copies: Annotated[
        bool, typer.Option("--last-copies", help="Also the last copy of what can be fetched again.")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="Also what only hosts of private addresses have.")] = False,
    learn: Annotated[bool, typer.Option(help="Whether a model may be learned from the access log.")] = True,
    aim: Annotated[str, typer.Option(help="What to keep few: requests, refetch, topn, or balanced.")] = "balanced",
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Evict bytes that can be fetched again and are least likely to be asked for."""
    from catalogkit.planners.evict import EvictionPolicy
    from catalogkit.planning.evict import SmartEvictionPolicy
    from catalogkit.terminal import say, tell
    from catalogkit.units import parse_bytes, parse_duration

    policy = EvictionPolicy(last_copies=last_copies, private=private)
    size = parse_bytes(bytes_to_free) if bytes_to_free is not None else None
    with context.obj.open() as collection:
        smart = SmartEvictionPolicy(collection, horizon=parse_duration(horizon), policy=policy, learn=learn, aim=aim)
        plan = smart.plan(number, bytes_to_free=size)
        home = keep(collection, plan, out)
        if home:
            smart.keep(plan, Path(home))
    to_machine = machine(context, as_json)
    values = about(plan, home, to_machine) | {"ranked_by": smart.card.method, "why": smart.card.why}
    say(values, to_machine, "Plan: evict")
    for line in _words(smart.card):
        tell(line)
    return ending(plan, home)


def _words(card: Card) -> list[str]:
    lines = []
    if not card.told_by:
        lines.append("So no chance of reuse is known or claimed; `catalogkit access import` reads a log.")
    elif card.promised is not None:
        lines.append(
            f"On the log's past {card.promised:,.0f} contents were expected to be asked for; {card.came:,} were."
        )
    if card.drifted:
        moved = ", ".join(f"{name} by {by:+.1f} standard deviations" for name, by in card.drifted.items())
        lines.append(f"What is there now differs from what the model learned from: {moved}.")
    return lines


def evictions(context: typer.Context, as_json: Json = False) -> int:
    """What each plan of evictions promised, and what came back."""
    from catalogkit.formats import format_bytes
    from catalogkit.planning.evicted import eviction_promises
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        rows, now = eviction_promises(collection).to_dicts(), collection.now()
    if machine(context, as_json):
        say({"evictions": rows}, True, "Evictions")
        return DONE
    if not rows:
        tell("nothing was evicted yet; `catalogkit plan evict` says what could be")
    for row in rows:
        gone = f"{row['contents']:,} content{'' if row['contents'] == 1 else 's'}, {format_bytes(row['bytes'])}"
        promised = "" if row["expected_back"] is None else f" of {row['expected_back']:,.1f} expected"
        word = "until" if row["due_at"] and row["due_at"] <= now else "before"
        due = "" if row["due_at"] is None else f" {word} {row['due_at']:%Y-%m-%d}"
        how = f"{row['asked_for']:,} asked for, {row['fetched_again']:,} fetched again"
        sys.stdout.write(
            f"{row['evicted_at']:%Y-%m-%d %H:%M}  {row['plan_id'][:12]}  {gone}:"
            f" {row['came_back']:,} came back{promised}{due} ({how})\n"
        )
    return DONE


def plan_fetch(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID...", help="Documents; all that were evicted.")] = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Fetch evicted documents again from where they came from; `apply` needs --fetch."""
    from catalogkit.planning.evicted import plan_fetch as make

    return planned(context, lambda collection: make(collection, ids or None), out, as_json)

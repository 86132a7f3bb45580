"""Commands `plan gc`, `purge`, `undo`, `give-up`, `forget`; `review`, `approve`, `apply`, `plans`, `why`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from catalogkit.commands.planned import Limit, Out, Private, planned
from catalogkit.door import DONE, INTERRUPTED, LOOK, Json, machine
from catalogkit.errors import CatalogKitError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalogkit.collection import Collection
    from catalogkit.fetching import Fetcher
    from catalogkit.plan import Plan
    from catalogkit.planners.gc import GCPolicy

planning = typer.Typer(help="Make a plan; nothing happens before it is approved and applied.", no_args_is_help=True)

# What follows once a plan of a kind was carried out; `_UNDO` for those that have nothing of their own to say.
_UNDO: Final = "`catalogkit plan undo {id}` takes it back."
_GARBAGE: Final = f"Bytes that nothing else needs are garbage now: `catalogkit plan gc` collects them. {_UNDO}"
_AFTER: Final = {
    "forget": _GARBAGE,
    "retention": _GARBAGE,
    "near": _GARBAGE,
    "gc": f"Condemned, and still there: `catalogkit plan purge` frees it once its grace is over. Until then, {_UNDO}",
    "purge": "What was purged cannot be taken back.",
    "undo": "It is as it was, as far as nothing was purged.",
}

PlanName = Annotated[str, typer.Argument(metavar="PLAN", help="The path that `plan` printed, or the plan's id.")]
Include = Annotated[list[int] | None, typer.Option(help="A unit that is in, whatever --where says.")]
Exclude = Annotated[list[int] | None, typer.Option(help="A unit that is out, whatever --where says.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(planning, name="plan")
    for command in (review, approve, apply, plans, why, forget):
        app.command()(command)


@planning.command("gc")
def plan_gc(
    context: typer.Context,
    stray_age: Annotated[str, typer.Option(help="How old a file without a record must be.")] = "3d",
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Condemn what nothing refers to: blobs, stray files, ingests that died."""
    from catalogkit.planning import plan_gc as make
    from catalogkit.planning.gc import kept_garbage
    from catalogkit.units import parse_duration

    policy = _policy(stray_age=parse_duration(stray_age))
    return planned(context, lambda collection: make(collection, policy, limit=limit), out, as_json, kept_garbage)


@planning.command("purge")
def plan_purge(
    context: typer.Context,
    grace: Annotated[str, typer.Option(help="How long it must have been garbage.")] = "14d",
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Remove the bytes of what was condemned, once the grace is over."""
    from catalogkit.planning import plan_purge as make
    from catalogkit.units import parse_duration

    policy = _policy(grace=parse_duration(grace))
    return planned(context, lambda collection: make(collection, policy, limit=limit), out, as_json)


@planning.command("undo")
def plan_undo(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The id of an applied plan.")],
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Take back what a plan did, as far as nothing was purged."""
    from catalogkit.planning import plan_undo as make

    return planned(context, lambda collection: make(collection, _id_of(plan)), out, as_json)


@planning.command("give-up")
def give_up(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The path or the id of a plan that was begun.")],
    reason: Annotated[str, typer.Option(help="Why; shown to whoever finds it later.")],
    as_json: Json = False,
) -> int:
    """End a plan that cannot be finished: what it kept is let go; what it did stays, and can be undone."""
    from catalogkit.planning import give_up as let_go
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        row = let_go(collection, _id_of(plan), reason)
    counts = {name: getattr(row, name) for name in ("done", "skipped", "failed", "waiting")}
    say({"id": row.id, "kind": row.kind, "given_up": row.given_up, **counts}, machine(context, as_json), "Given up")
    if row.done:
        tell(f"What it did stays done; `catalogkit plan undo {row.id[:12]}` takes it back.")
    return DONE


@planning.command("forget")
def plan_forget(
    context: typer.Context,
    ids: Annotated[list[int], typer.Argument(metavar="ID...")],
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Forget documents; their bytes become garbage if nothing else needs them."""
    from catalogkit.planning import plan_forget as make

    return planned(context, lambda collection: make(collection, ids), out, as_json)


def forget(
    context: typer.Context,
    ids: Annotated[list[int], typer.Argument(metavar="ID...")],
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Plan to forget documents (the same as `plan forget`)."""
    return plan_forget(context, ids, out, as_json)


def approve(
    context: typer.Context,
    plan: PlanName,
    where: Annotated[str | None, typer.Option(help='Only units that fit, such as "bytes > 1000".')] = None,
    include: Include = None,
    exclude: Exclude = None,
    by: Annotated[str | None, typer.Option(help="Who approves; else your user name.")] = None,
    as_json: Json = False,
) -> int:
    """Approve a plan, or part of it; without --where everything but last copies."""
    from catalogkit.approval import DEFAULT_RULE
    from catalogkit.plan import Plan
    from catalogkit.planning import approve as say_yes
    from catalogkit.terminal import say, tell

    home = _home(context, plan)
    given = say_yes(
        home, DEFAULT_RULE if where is None else where, include=include or (), exclude=exclude or (), approved_by=by
    )
    loaded = Plan.load(home)
    units = given.units(loaded)
    values = {"id": loaded.id, "approved": len(units), "of": loaded.units, "approved_by": given.approved_by}
    say(values | {"path": str(home)}, machine(context, as_json), "Approved")
    if units or not loaded.units:
        return DONE
    if where is None:
        tell(f"Nothing was approved: all units are last copies. If that is meant: catalogkit approve {home} --where ''")
    else:
        tell("Nothing was approved: no unit fits --where.")
    return LOOK


def apply(
    context: typer.Context,
    plan: PlanName,
    max_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="The share of all bytes that may go; else the plan's policy.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Steps in one transaction.")] = 1000,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Allow to download again what a repair plans to fetch.")
    ] = False,
    private: Private = False,
    as_json: Json = False,
) -> int:
    """Carry out what was approved; run it again to go on."""
    from catalogkit.apply import apply as carry_out
    from catalogkit.approval import Approval
    from catalogkit.plan import Plan
    from catalogkit.terminal import progress_bar, say, stoppable, tell

    home = _home(context, plan)
    loaded, approval = Plan.load(home), Approval.load(home)
    with context.obj.open() as collection, progress_bar("apply") as progress, stoppable() as stop:
        report = carry_out(
            collection, loaded, approval=approval, max_share=max_share, batch=batch, progress=progress, stop=stop,
            fetcher=_fetcher(private) if fetch else None,
        )  # fmt: skip
        waits = next((row.waits for row in collection.catalog.plans() if row.id == report.plan_id), "")
    for note in report.notes[:50]:
        tell(f"{note['outcome']}: {note['sha256'] or note['key'] or note['document_id']}: {note['why']}")
    say(report.to_dict(), machine(context, as_json), "Applied")
    if report.stopped:
        return INTERRUPTED
    if report.waiting:
        tell(f"{waits}: once the bytes are out of their archive, apply the plan again.")
    if report.elsewhere:
        tell(f"{report.elsewhere:,} steps were left to another run; if that one died, apply the plan again.")
    if report.done:
        tell(_AFTER.get(loaded.head.kind, _UNDO).format(id=loaded.id[:12]))
    return LOOK if report.failed + report.waiting else DONE


def _fetcher(private: bool) -> Fetcher:
    try:
        from catalogkit.fetching import Fetcher
    except ModuleNotFoundError as missing:
        raise InvalidInput(f"fetching needs {missing.name}: pip install 'catalogkit[fetch]'") from None
    return Fetcher(private=private)


def plans(context: typer.Context, as_json: Json = False) -> int:
    """List plans that wait for review, and plans that were applied."""
    from dataclasses import asdict

    from catalogkit.planning import waiting_plans
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        applied = [asdict(row) | {"waits": row.waits} for row in collection.catalog.plans()]
        waiting = waiting_plans(collection)
    if machine(context, as_json):
        say({"waiting": waiting, "applied": applied}, True, "Plans")
        return DONE
    if not waiting and not applied:
        tell("no plans; `catalogkit plan --help` lists the kinds")
    for one in waiting:
        sys.stdout.write("{id:.12}  {kind:<8}  {units:>9,} units  {state:<9}  {path}\n".format_map(one))
    for one in applied:
        counts = "{done:>9,} done, {skipped:,} skipped, {failed:,} failed".format_map(one)
        counts += f", {one['waits']}" if one["waits"] else ""
        more = "" if one["ended_at"] else "  unfinished: apply it again to go on, or `plan give-up` it"
        more = f"  given up: {one['given_up']}" if one["given_up"] else more
        sys.stdout.write(f"{one['id']:.12}  {one['kind']:<8}  {counts}  {one['begun_at']:%Y-%m-%d %H:%M}{more}\n")
    return DONE


def why(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="DIGEST|PATH|ID", help="A digest may be cut short.")],
    as_json: Json = False,
) -> int:
    """Why bytes are kept, or why they are going."""
    from catalogkit.planning import why as explain
    from catalogkit.terminal import say

    with context.obj.open() as collection:
        sentences = explain(collection, subject)
    if machine(context, as_json):
        say({"why": sentences}, True, "Why")
    else:
        sys.stdout.write("\n".join(sentences) + "\n")
    return DONE


def review(
    context: typer.Context,
    plan: PlanName,
    where: Annotated[str | None, typer.Option(help='Select units that fit, such as "bytes > 1000".')] = None,
    include: Include = None,
    exclude: Exclude = None,
    yes: Annotated[bool, typer.Option("--approve", help="Approve what is selected, without asking.")] = False,
    by: Annotated[str | None, typer.Option(help="Who approves; else your user name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 20,
    as_json: Json = False,
) -> int:
    """Look at a plan: what it would do, and why; in a terminal, filter, choose and approve. Opening changes nothing."""
    from catalogkit.plan import Plan
    from catalogkit.review import Review, State
    from catalogkit.review_forms import render_text
    from catalogkit.review_terminal import ask, choose
    from catalogkit.terminal import say

    home = _home(context, plan)
    with _door(context, Plan.load(home)) as collection:
        looked_at = Review(home, collection)
        if where is not None or include or exclude:
            choose(looked_at, where=where, include=include or (), exclude=exclude or ())
        to_machine = machine(context, as_json)
        if yes:
            looked_at.approve(by, typed=looked_at.phrase)
        elif sys.stdin.isatty() and not to_machine and looked_at.state is State.DRAFT:
            return DONE if ask(looked_at, by=by) else LOOK
        totals = looked_at.totals()
        if to_machine:
            values = looked_at.plan.summary() | {"state": looked_at.state.value, "selected": totals.units}
            say(values | {"selected_bytes": totals.bytes, "path": str(home)}, True, "Review")
        else:
            sys.stdout.write(render_text(looked_at, limit) + "\n")
        return LOOK if looked_at.state is State.DRAFT and looked_at.plan.units else DONE


@contextlib.contextmanager
def _door(context: typer.Context, plan: Plan) -> Iterator[Collection | None]:
    """The collection a plan is for, where it is at hand; a plan can be looked at anywhere."""
    try:
        collection = context.obj.open()
    except CatalogKitError:
        yield None
        return
    with collection:
        yield collection if collection.identity == plan.head.catalog else None


def _policy(**values: Any) -> GCPolicy:
    from catalogkit.planners.gc import GCPolicy

    return GCPolicy(**values)


def _home(context: typer.Context, name: str) -> Path:
    """The folder of a plan, by its path or by the beginning of its id."""
    path = Path(name)
    if (path / "plan.json").is_file():
        return path
    with context.obj.open() as collection:
        folder: Path = collection.path / "plans"
    homes = [head.parent for head in folder.glob("*/plan.json")]
    found = [home for home in homes if name and home.name.rpartition("-")[2].startswith(name[:12])]
    if len(found) != 1:
        raise InvalidInput(f"{len(found) or 'no'} plans are called {name!r}; give the path that `plan` printed")
    return found[0]


def _id_of(name: str) -> str:
    """A plan's id, from itself or from its folder."""
    if (Path(name) / "plan.json").is_file():
        from catalogkit.plan import Plan

        return Plan.load(name).id
    return name

"""Commands `migrate`, `plan migrate`, `views`, `migrate-catalog`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from catalogkit.commands.planned import Limit, Out, planned
from catalogkit.commands.plans import planning
from catalogkit.door import DONE, INTERRUPTED, LOOK, Json, machine

To = Annotated[str, typer.Option("--to", help="cas or policy.")]
NoViews = Annotated[bool, typer.Option("--no-views", help="Leave no symbolic links at the old paths.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(migrate)
    app.command()(views)
    app.command("migrate-catalog")(migrate_catalog)


@planning.command("migrate")
def plan_migrate(
    context: typer.Context,
    to: To = "cas",
    no_views: NoViews = False,
    keep: Annotated[bool, typer.Option("--keep", help="Add the new names only; old ones stay as copies.")] = False,
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Move what is stored to another layout, copy by copy."""
    from catalogkit.planning import plan_migrate as make

    views = not no_views
    return planned(context, lambda one: make(one, to, views=views, keep=keep, limit=limit), out, as_json)


def migrate(
    context: typer.Context,
    batch_size: Annotated[int, typer.Option(min=1, help="Copies in one batch.")] = 100,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Do not read every copy again at the end.")] = False,
    no_views: NoViews = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show how much there is to move.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Move back what was moved.")] = False,
    as_json: Json = False,
) -> int:
    """Move everything to content addresses in batches, while work goes on; new documents follow."""
    from catalogkit.migrating import migrate_to_cas_gradual, rollback_migration
    from catalogkit.terminal import progress_bar, say, stoppable, tell

    with context.obj.open() as collection, progress_bar("migrate") as progress, stoppable() as stop:
        if rollback:
            report = rollback_migration(collection)
        else:
            report = migrate_to_cas_gradual(
                batch_size, not no_verify, collection=collection, dry_run=dry_run, views=not no_views,
                progress=progress, stop=stop,
            )  # fmt: skip
    to_machine = machine(context, as_json)
    values = report.to_dict()
    if not to_machine:
        shown = {name: value for name, value in values.items() if value and name not in ("plans", "why")}
        values = shown | report.why
    say(values, to_machine, "Migration")
    if not report.moved and not report.left and not report.stopped:
        tell("Nothing is left to move.")
    if report.stopped == "stopped":
        tell("Stopped after a whole batch; run it again to go on.")
        return INTERRUPTED
    return LOOK if report.failed or report.stopped or (report.left and not dry_run) else DONE


def views(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where; else views/ in the collection.")
    ] = None,
    template: Annotated[str | None, typer.Option(help="Such as {resolver}/{artifact_id}/{basename}.")] = None,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Only remove the links that a migration left.")] = False,
    as_json: Json = False,
) -> int:
    """Make readable paths that lead to the stored bytes, and remove outdated ones."""
    from catalogkit.terminal import say, tell
    from catalogkit.viewing import drop_old_paths, make_views

    with context.obj.open() as collection:
        if drop_old:
            say({"removed": drop_old_paths(collection)}, machine(context, as_json), "Views")
            return DONE
        report = make_views(collection, folder, template=template)
    to_machine = machine(context, as_json)
    values = report.to_dict()
    say(values if to_machine else values | {"in_the_way": len(report.in_the_way)}, to_machine, "Views")
    for path in report.in_the_way[:50]:
        tell(f"in the way: {path}")
    return LOOK if report.in_the_way else DONE


def migrate_catalog(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM", help="sqlite:///file; relative to the collection.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="postgresql://user@host/database, an empty one.")],
    as_json: Json = False,
) -> int:
    """Copy a catalog to a PostgreSQL server and compare both ends; run it again if it was interrupted."""
    from catalogkit.catalog.relocating import move_catalog
    from catalogkit.collection import home_of
    from catalogkit.terminal import say, tell

    report = move_catalog(source, target, base=home_of(context.obj.folder), as_of=datetime.now(UTC))
    quiet = machine(context, as_json)
    facts = {name: f"{rows:,} rows, {digest[:8]}" for name, (rows, digest) in report.tables.items() if rows}
    say(report.to_dict() if quiet else facts, quiet, "Catalog moved; the same at both ends")
    if not quiet:
        tell(f'Now write  catalog = "{report.target}"  into catalogkit.toml, and move the old file away.')
    return DONE

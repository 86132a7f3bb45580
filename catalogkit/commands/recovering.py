"""Commands `backup`, `backups`, `drill`, `recover`, `rebuild`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogkit.door import DONE, LOOK, Json, machine
from catalogkit.errors import CatalogKitError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from catalogkit.collection import Collection

Dest = Annotated[
    str | None,
    typer.Argument(metavar="[DEST]", help="The folder of backups, or a bucket's URL; else what the settings say."),
]
Into = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The file to write; else the catalog of the settings. Needed for a catalog on a server."
    ),
]
SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (backup, backups, drill, recover, rebuild):
        app.command()(command)


def backup(
    context: typer.Context,
    destination: Dest = None,
    with_uri: Annotated[bool, typer.Option("--with-uri", help="Record where the stores are.")] = False,
    with_bytes: Annotated[bool, typer.Option("--with-bytes", help="Copy the documents' bytes as well.")] = False,
    thin: Annotated[bool, typer.Option("--thin", help="Then remove backups that no rule keeps.")] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Begin anew: earlier backups there are gone.")] = False,
    as_json: Json = False,
) -> int:
    """Back up the catalog; others can go on writing to it."""
    from catalogkit.backups.making import backup_catalog
    from catalogkit.backups.target import target_of
    from catalogkit.backups.thinning import thin_backups
    from catalogkit.terminal import progress_bar, say, tell

    with context.obj.open() as collection, progress_bar("backup") as progress:
        place = _destination(destination, collection)
        made = backup_catalog(
            place, with_uri, collection=collection, copy_bytes=with_bytes, anew=anew, progress=progress
        )
        values = made.to_dict() | {"removed": [], "bytes_freed": 0}
        if thin:
            done = thin_backups(
                target_of(place), collection.config.backup.rules, collection=collection, as_of=collection.now()
            )
            values |= {"removed": done.removed, "bytes_freed": done.bytes_freed}
    to_machine = machine(context, as_json)
    if not to_machine:
        values = {k: v for k, v in values.items() if k not in ("catalog", "schema", "content_sha256", "name")}
        values["removed"] = len(values["removed"])
        if not with_bytes:
            del values["copied_bytes"], values["lacking"]
    say(values, to_machine, f"Backup {made.name}")
    if made.lacking:
        tell(f"the bytes of {made.lacking:,} documents could not be copied; `catalogkit verify` says why")
        return LOOK
    return DONE


def backups(
    context: typer.Context,
    destination: Dest = None,
    thin: Annotated[bool, typer.Option("--thin", help="Remove those that no rule keeps.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what --thin would remove, and why.")] = False,
    as_json: Json = False,
) -> int:
    """List backups: what each keeps, when a drill last proved it, and which rules keep it."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from catalogkit.backups.listing import list_backups
    from catalogkit.backups.target import target_of
    from catalogkit.backups.thinning import decide, thin_backups
    from catalogkit.planners.thin import Keep
    from catalogkit.terminal import say, tell

    collection = _perhaps(context)
    try:
        now = collection.now() if collection else datetime.now(UTC)
        place = _destination(destination, collection)
        keep = collection.config.backup.rules if collection else Keep()
        rows = list_backups(place, collection=collection, as_of=now)
        decisions = {one.name: one for one in decide(target_of(place), keep)}
        values: dict[str, Any] = {"destination": place, "backups": [], "removed": [], "bytes_freed": 0}
        for row in rows:
            why = list(decisions[row.name].reasons) if row.name in decisions else []
            values["backups"].append(asdict(row) | {"kept_by": why})
        if thin and not dry_run:
            done = thin_backups(target_of(place), keep, collection=collection, as_of=now)
            values |= {"removed": done.removed, "bytes_freed": done.bytes_freed}
    finally:
        if collection:
            collection.close()
    damaged = any(row.damaged or row.proved is False for row in rows)
    if machine(context, as_json):
        say(values, True, "Backups")
        return LOOK if damaged else DONE
    _print_backups(values["backups"], now)
    if not rows:
        tell(f"no backups in {place}; `catalogkit backup {place}` makes one")
    for name in values["removed"]:
        tell(f"removed {name}")
    if thin and not dry_run:
        tell(f"{len(values['removed'])} removed, {values['bytes_freed']:,} bytes freed")
    return LOOK if damaged else DONE


def _print_backups(rows: Iterable[dict[str, Any]], now: Any) -> None:
    from catalogkit.display import format_bytes

    write = sys.stdout.write
    write(f"{'backup':<29} {'documents':>11} {'added':>9} {'keeps':>9}  {'proved':<13} kept by\n")
    for row in rows:
        if row["damaged"]:
            write(f"{row['name']:<29} DAMAGED: {row['damaged']}\n")
            continue
        keeps = "?" if row["held_bytes"] is None else format_bytes(row["held_bytes"])
        proved = "never" if row["proved_at"] is None else _age(now - row["proved_at"])
        proved = f"FAILED {proved}" if row["proved"] is False else proved
        why = ", ".join(row["kept_by"]) or "nothing: --thin removes it"
        write(
            f"{row['name']:<29} {row['documents']:>11,} {format_bytes(row['written_bytes']):>9} {keeps:>9}"
            f"  {proved:<13} {why}\n"
        )


def _age(length: Any) -> str:
    hours = max(0, length.total_seconds()) / 3600
    return f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} days ago"


def drill(
    context: typer.Context,
    destination: Dest = None,
    sample: Annotated[int, typer.Option(min=0, help="How many blobs to read.")] = 100,
    as_json: Json = False,
) -> int:
    """Restore the newest backup to a scratch place, check it, read a sample of its blobs, record the proof."""
    from catalogkit.backups.drilling import drill as practise
    from catalogkit.terminal import say, tell

    collection = _perhaps(context)
    try:
        found = practise(_destination(destination, collection), collection=collection, sample=sample)
    finally:
        if collection:
            collection.close()
    for problem in found.problems[:SHOWN]:
        tell(problem)
    if found.unreachable:
        tell(f"a store is away: {found.unreachable:,} of {found.sampled:,} blobs prove nothing; is the disk mounted?")
    say(found.to_dict(), machine(context, as_json), "Drill")
    return DONE if found.ok and not found.unreachable else LOOK


def recover(
    context: typer.Context,
    path: Annotated[
        str, typer.Argument(metavar="BACKUP", help="A backup's folder or URL; of a folder of backups the newest.")
    ],
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this nothing is changed.")] = False,
    into: Into = None,
    as_json: Json = False,
) -> int:
    """Restore the catalog from a backup, also when it is lost. The replaced catalog is kept."""
    from catalogkit.backups.recovering import recover_from_backup
    from catalogkit.collection import catalog_file
    from catalogkit.terminal import say, tell

    context.obj.measure()
    catalog = into or catalog_file(context.obj.folder)
    found = recover_from_backup(path, catalog, dry_run=not apply)
    to_machine = machine(context, as_json)
    if to_machine:
        say(found.to_dict(), True, "Recover")
    else:
        _print_recovery(found)
        if found.applied:
            tell("Done. Check it with `catalogkit status`, and its bytes with `catalogkit audit`.")
        else:
            tell("Nothing was changed; run it again with --apply.")
    if not found.applied or found.missing_blobs:
        return LOOK
    return DONE


def _print_recovery(found: Any) -> None:
    from catalogkit.reprs import facts

    changes = {name: found.changes[name] for name in found.changes}
    values: dict[str, object] = {
        "backup": f"{found.backup}, made {found.backup_as_of:%Y-%m-%d %H:%M} UTC",
        "documents": found.documents,
        "catalog": found.catalog,
        "before" if found.applied else "now": found.was,
        **changes,
        **{f"blobs {state} since": count for state, count in found.gone.items() if count},
        "bytes missing in the stores": f"{found.missing_bytes:,} ({found.missing_blobs:,} blobs)",
    }
    if found.applied:
        values |= {"kept as": found.kept or "-", "blobs only the replaced one knew": found.carried}
    sys.stdout.write(facts("Recovered" if found.applied else "What recovery would change", values)["text/plain"] + "\n")
    signs = {"only in the backup": "+", "only in the catalog": "-", "changed": "~"}
    for row in found.rows[:SHOWN]:
        sys.stdout.write(f"  {signs[row[0]]} {row[2]}  {row[4]}  {row[3]}\n")
    if len(found.rows) > SHOWN:
        sys.stdout.write(f"    and {sum(found.changes.values()) - SHOWN:,} more; --json or `differences()` has them\n")
    for one in found.missing[:SHOWN]:
        where = "the backup has them" if one.in_backup else "not in the backup either"
        sys.stdout.write(f"  ! {one.sha256[:12]}  {one.bytes:,} bytes of {one.documents} documents: {where}\n")
    for why in found.away:
        sys.stdout.write(f"  ? {why}\n")


def rebuild(
    context: typer.Context,
    facts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Parquet that describes the documents; else the newest snapshot."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this nothing is changed.")] = False,
    into: Into = None,
    as_json: Json = False,
) -> int:
    """Make a new catalog from the stores alone, reading every byte, when there is no backup."""
    from catalogkit.backups.rebuilding import rebuild_catalog
    from catalogkit.terminal import progress_bar, say, tell

    context.obj.measure()
    with progress_bar("rebuild") as progress:
        found = rebuild_catalog(context.obj.folder, facts=facts, into=into, dry_run=not apply, progress=progress)
    for problem in found.problems[:SHOWN]:
        tell(problem)
    to_machine, values = machine(context, as_json), found.to_dict()
    if not to_machine:
        told = {"named": "documents the facts describe", "without_bytes": "described, but without bytes"}
        values = {told.get(name, name): value for name, value in values.items()}
    say(values, to_machine, "Rebuilt" if found.applied else "What would be rebuilt")
    if not found.applied:
        tell("Nothing was changed; run it again with --apply.")
    return DONE if found.applied and not found.problems else LOOK


def _perhaps(context: typer.Context) -> Collection | None:
    """The collection, where it can be opened: backups can be looked at when all else is lost."""
    try:
        opened: Collection = context.obj.open()
    except CatalogKitError:
        return None
    return opened


def _destination(given: str | None, collection: Collection | None) -> str:
    """The place of backups: as given, else as in the settings, where these can be read."""
    from catalogkit.backups.target import destination_of

    if collection is None:
        return destination_of(given, Path(), "")
    return destination_of(given, collection.path, collection.config.backup.destination)

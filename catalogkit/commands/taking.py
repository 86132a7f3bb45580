"""Commands `preview`, `init`, `ingest`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from catalogkit.door import DONE, INTERRUPTED, LOOK, Json, machine
from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    from catalogkit.preview import FolderPreview

FEW, SHOWN = 10, 50  # files that are named for one reason, reasons that are named


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (preview, init, ingest):
        app.command()(command)


def preview(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders and files.")],
    follow_links: Annotated[bool, typer.Option("--follow-links", help="Look at what symbolic links point to.")] = False,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Files read at once.")] = None,
    as_json: Json = False,
) -> int:
    """Report what folders hold: files, sizes, duplicates; needs no collection, writes nothing."""
    from catalogkit.preview import preview as look
    from catalogkit.terminal import progress_bar, say, stoppable, tell

    with progress_bar("preview") as progress, stoppable() as stop:
        seen = look(*paths, follow_links=follow_links, concurrency=concurrency, progress=progress, stop=stop)
    for path, reason in seen.failures[:FEW]:
        tell(f"not read: {path}: {reason}")
    if seen.failed > FEW:
        tell(f"not read: {seen.failed - FEW:,} more; --json names the first thousand")
    if machine(context, as_json):
        say(seen.to_dict(), True, "Preview")
    else:
        values = seen.totals() | {f"files in {end or 'no ending'}": n for end, n in seen.endings.most_common(FEW)}
        say(values | {f"skipped: {why}": n for why, n in seen.reasons.items()}, False, "Preview")
        _show_groups(seen)
    if seen.interrupted:
        tell("Interrupted: the duplicates are not complete.")
        return INTERRUPTED
    return LOOK if seen.failed else DONE


def _show_groups(seen: FolderPreview) -> None:
    """The groups with most spare bytes, with their names."""
    from catalogkit.formats import format_bytes
    from catalogkit.reprs import printable

    for group in seen.groups[:FEW]:
        spare = group.objects - 1
        sys.stdout.write(f"\n{format_bytes(group.spare_bytes)} spare: {spare:,} of {group.objects:,} equal files:\n")
        sys.stdout.writelines(f"  {printable(path)}\n" for path in group.paths[:SHOWN])
        if len(group.paths) > SHOWN:
            sys.stdout.write(f"  and {len(group.paths) - SHOWN:,} more\n")
    if len(seen.groups) > FEW:
        sys.stdout.write(f"\nand {len(seen.groups) - FEW:,} more; --json has all\n")


def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new collection's folder.")],
    store: Annotated[str, typer.Option(help="Where bytes go; relative to DIR.")] = "file:store",
    catalog: Annotated[str, typer.Option(help="Where facts go; relative to DIR.")] = "sqlite:///catalog.sqlite",
    layout: Annotated[str, typer.Option(help="cas (by content) or policy (by readable path).")] = "cas",
    template: Annotated[
        str | None, typer.Option(help="Readable path, such as {resolver}/{artifact_id}/{basename}.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Make a collection."""
    from catalogkit.collection import init as make
    from catalogkit.terminal import say

    with make(folder, store=store, catalog=catalog, layout=layout, template=template) as collection:
        values = {
            "path": str(collection.path),
            "identity": collection.identity,
            "catalog": collection.catalog.url,
            "store": collection.store.root,
            "layout": collection.layout.value,
        }
    say(values, machine(context, as_json), "Made a collection")
    return DONE


def ingest(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="Folders and files.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="A downloader's list, JSON lines or Parquet.")] = None,
    files_from: Annotated[Path | None, typer.Option(help="A file that lists paths, one a line (- for stdin).")] = None,
    mode: Annotated[str, typer.Option(help="copy, move, link or reference (leave it in place).")] = "copy",
    resolver: Annotated[str, typer.Option(help="Who fetched it, where a manifest is silent.")] = "",
    run_id: Annotated[str, typer.Option(help="The run's name; one is made up without it.")] = "",
    tenant: Annotated[str | None, typer.Option(help="Whose documents these are; else default's.")] = None,
    follow_links: Annotated[bool, typer.Option("--follow-links", help="Take in what symbolic links point to.")] = False,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Files read at once.")] = None,
    extract: Annotated[bool, typer.Option("--extract", help="Look into what was taken in, too.")] = False,
    as_json: Json = False,
) -> int:
    """Ingest documents: folders, file lists, a manifest."""
    from catalogkit.ingest import ingest as take_in
    from catalogkit.terminal import progress_bar, say, stoppable, tell

    listed = _listed(files_from) if files_from else []
    with context.obj.open() as collection, progress_bar("ingest") as progress, stoppable() as stop:
        report = take_in(
            collection,
            *(paths or []),
            *listed,
            manifest=manifest,
            mode=mode,
            resolver=resolver,
            run_id=run_id,
            tenant=tenant,
            follow_links=follow_links,
            concurrency=concurrency,
            progress=progress,
            stop=stop,
        )
        looked = None
        if extract and not report.interrupted:
            from catalogkit.commands.inside import of_run
            from catalogkit.extract.backfill import extract as look_into

            looked = look_into(collection, of_run(collection, report.run_id), progress=progress, stop=stop)
    for reason, count in report.dropped.most_common(FEW):
        tell(f"begun earlier, and dropped: {count:,}: {reason}")
    times: Counter[str] = Counter()
    for path, reason in report.failures:
        times[reason] += 1
        if times[reason] <= FEW and len(times) <= SHOWN:
            tell(f"not ingested: {path}: {reason}")
    for reason, count in times.most_common(SHOWN):
        if count > FEW:
            tell(f"not ingested: {count - FEW:,} more: {reason}")
    if len(times) > SHOWN:
        tell("not ingested: more, for other reasons; --json lists them")
    values, to_machine = report.to_dict(), machine(context, as_json)
    if looked is not None:
        from catalogkit.commands.inside import in_words

        values |= {"extract": looked.to_dict()} if to_machine else in_words(looked)
    if not to_machine:
        values |= {f"skipped: {why}": count for why, count in report.reasons.items()}
    say(values, to_machine, "Ingest")
    if report.interrupted:
        tell("Interrupted; the same command goes on.")
    if report.interrupted or (looked is not None and looked.stopped):
        return INTERRUPTED
    return LOOK if report.failed or (looked is not None and looked.unread) else DONE


def _listed(files_from: Path) -> list[Path]:
    """The paths in a list, byte by byte: names need not be text, and may have any line end but the newline in them."""
    try:
        data = sys.stdin.buffer.read() if str(files_from) == "-" else files_from.read_bytes()
    except OSError as problem:
        raise InvalidInput(f"{files_from} cannot be read: {problem.strerror}") from None
    lines = (line.removesuffix(b"\r") for line in data.split(b"\n"))
    return [Path(os.fsdecode(line)) for line in lines if line]

"""The command line: one command per verb. It reads the clock and the environment; nothing below it does.

Exit codes: 0 done, 1 error, 2 something waits for a person (findings to look at), 130 interrupted (run it again).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from catalogkit import commands
from catalogkit.door import DONE, ERROR, INTERRUPTED, LOOK, Door, Json, machine
from catalogkit.errors import CatalogKitError, InvalidInput, NotACollection

app = typer.Typer(
    name="catalogkit",
    help="Know every document, prove its bytes, shrink the pile safely.",
    epilog="Exit codes: 0 done, 1 error, 2 something waits for a person, 130 interrupted (run it again to go on).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help needs no imports and starts at once
)

# What every complaint about a command's words has in common (typer names only this one of them).
_USAGE: Final[type[Any]] = typer.BadParameter.__mro__[1]


@app.callback()
def root(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Option("-C", metavar="DIR", help="The collection; else $CATALOGKIT_HOME, else the current folder."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Know every document, prove its bytes, shrink the pile safely."""
    context.obj = Door(folder, as_json)


@app.command()
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


@app.command()
def ingest(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...", help="Folders and files.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="A downloader's list, JSON lines or Parquet.")] = None,
    files_from: Annotated[Path | None, typer.Option(help="A file that lists paths, one a line (- for stdin).")] = None,
    mode: Annotated[str, typer.Option(help="copy, move, link or reference (leave it in place).")] = "copy",
    resolver: Annotated[str, typer.Option(help="Who fetched it, where a manifest is silent.")] = "",
    run_id: Annotated[str, typer.Option(help="The run's name; one is made up without it.")] = "",
    tenant: Annotated[str, typer.Option(help="Whose documents these are.")] = "default",
    follow_links: Annotated[bool, typer.Option("--follow-links", help="Take in what symbolic links point to.")] = False,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Files read at once.")] = None,
    as_json: Json = False,
) -> int:
    """Take documents in."""
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
    for path, reason in report.failures[:50]:
        tell(f"not taken in: {path}: {reason}")
    say(report.to_dict(), machine(context, as_json), "Ingest")
    if report.interrupted:
        return INTERRUPTED
    return LOOK if report.failed else DONE


@app.command()
def verify(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(metavar="[ID...]", help="Only these documents.")] = None,
    max_age: Annotated[str | None, typer.Option(help="Only copies not checked for so long, such as 30d.")] = None,
    budget: Annotated[str | None, typer.Option(help="Stop after so long, such as 10m.")] = None,
    max_bytes: Annotated[str | None, typer.Option(help="Stop after about so many bytes, such as 5GB.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Copies read at once.")] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first bad copy.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    as_json: Json = False,
) -> int:
    """Read copies, compare their SHA-256, and note the result."""
    from catalogkit.terminal import progress_bar, say, stoppable, tell
    from catalogkit.units import parse_bytes, parse_duration
    from catalogkit.verify import verify as prove

    with context.obj.open() as collection, progress_bar("verify") as progress, stoppable() as stop:
        report = prove(
            collection,
            ids or None,
            max_age=parse_duration(max_age) if max_age else None,
            budget=parse_duration(budget) if budget else None,
            max_bytes=parse_bytes(max_bytes) if max_bytes else None,
            concurrency=concurrency,
            fail_fast=fail_fast,
            resume=resume,
            progress=progress,
            stop=stop,
        )
    for finding in report.findings[:50]:
        tell(f"{finding.outcome}: {finding.place}: {finding.detail}")
    to_machine = machine(context, as_json)
    values = report.to_dict()
    if not to_machine:
        values |= {f"not checked: {reason}": count for reason, count in report.unchecked.items()}
        values |= report.coverage.in_words() if report.coverage else {}
    say(values, to_machine, "Verify")
    if report.stopped == "interrupted":
        return INTERRUPTED
    return DONE if report.clean else LOOK


@app.command()
def status(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, help="What counts as verified lately.")] = 30,
    as_json: Json = False,
) -> int:
    """How much there is, and how much of it was proved lately."""
    from catalogkit.terminal import say

    with context.obj.open() as collection:
        coverage = collection.catalog.coverage(as_of=collection.now(), days=days)
        values: dict[str, Any] = {"path": str(collection.path), **collection.catalog.totals()}
        values |= {
            "verified_share": coverage.share,
            "verified_days": days,
            "never_checked": coverage.never_checked,
            "oldest_check": coverage.oldest_check,
            "bad_copies": coverage.bad,
            "in_flight": len(collection.catalog.intents()),
        }
    say(values, machine(context, as_json), "Status")
    return DONE


@app.command()
def find(
    context: typer.Context,
    artifact_id: Annotated[str | None, typer.Option()] = None,
    source_url: Annotated[str | None, typer.Option()] = None,
    resolver: Annotated[str | None, typer.Option()] = None,
    run_id: Annotated[str | None, typer.Option()] = None,
    tenant: Annotated[str | None, typer.Option()] = None,
    content_type: Annotated[str | None, typer.Option(help="What it is, told from its bytes.")] = None,
    sha256: Annotated[str | None, typer.Option(help="64 hex digits.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 100,
    as_json: Json = False,
) -> int:
    """Documents that match every filter."""
    from catalogkit.terminal import say

    filters = {
        "artifact_id": artifact_id,
        "source_url": source_url,
        "resolver": resolver,
        "run_id": run_id,
        "tenant": tenant,
        "media_type": content_type,
        "sha256": sha256,
    }
    with context.obj.open() as collection:
        found = collection.find(limit=limit, **{name: value for name, value in filters.items() if value is not None})
        documents = [_document(row) for row in found.iter_rows(named=True)]
    if machine(context, as_json):
        say({"documents": documents}, True, "Documents")
        return DONE
    for document in documents:
        sys.stdout.write(
            "{id:>8}  {sha256:.8}  {bytes:>12,}  {content_type}  {resolver}  {artifact_id}\n".format_map(document)
        )
    return DONE


@app.command()
def show(
    context: typer.Context,
    document_id: Annotated[int, typer.Argument(metavar="ID")],
    as_json: Json = False,
) -> int:
    """One document: what it is, its versions, its copies."""
    from dataclasses import asdict

    from catalogkit.collection import document_row
    from catalogkit.terminal import say

    with context.obj.open() as collection:
        record = collection.catalog.document(document_id)
        if record is None:
            raise InvalidInput(f"there is no document {document_id}; `catalogkit find` lists them")
        document = _document({**document_row(record), "location": collection.location(record)})
        versions = collection.catalog.versions(document_id).to_dicts()
        copies = [
            asdict(copy) | {"sha256": str(copy.sha256)} for copy in collection.catalog.locations_of(record.sha256)
        ]
    to_machine = machine(context, as_json)
    if to_machine:
        say({"document": document, "versions": versions, "locations": copies}, True, "")
        return DONE
    say(document, False, f"Document {document_id}")
    for version in versions:
        until = f"until {version['valid_to']:%Y-%m-%d %H:%M}" if version["valid_to"] else "current"
        sys.stdout.write(f"  version {version['sha256'][:8]}  {version['valid_from']:%Y-%m-%d %H:%M}  {until}\n")
    for copy in copies:
        checked = f"{copy['outcome']} {copy['checked_at']:%Y-%m-%d}" if copy["checked_at"] else "never checked"
        sys.stdout.write(f"  copy in {copy['store']}: {copy['key']}  {checked}\n")
    return DONE


@app.command()
def report(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|all", help="A report's name, a notebook's path, or all.")],
    parameter: Annotated[list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="A parameter.")] = None,
    out: Annotated[Path | None, typer.Option("-o", metavar="DIR", help="Where runs land.")] = None,
    as_json: Json = False,
) -> int:
    """Run a notebook; keep it, one HTML page that opens anywhere, and its figures as JSON."""
    from catalogkit.reports import list_reports
    from catalogkit.terminal import say, tell

    given = dict(_pair(text) for text in parameter or [])
    collection = given.pop("collection", None) or _folder(context.obj)
    target = out or (Path(collection) / "reports" if collection else Path("reports"))
    if not collection:
        tell("no collection here: this is the demo's (name one with -C)")
    done = [_run_report(one, given, target, collection) for one in (list_reports() if name == "all" else [name])]
    say({"reports": done} if name == "all" else done[0], machine(context, as_json), "Report")
    if name == "all" and not machine(context, as_json):
        for one in done:
            say(one, False, one["report"])
    return DONE


@app.command()
def demo(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Your own documents; they stay as they are.")
    ] = None,
    as_json: Json = False,
) -> int:
    """From nothing to dashboards: real documents, or a folder of yours, taken in, verified, reported."""
    from catalogkit.collection import init as make
    from catalogkit.collection import open_collection
    from catalogkit.config import CONFIG_NAME
    from catalogkit.demo import LABEL, build_demo
    from catalogkit.ingest import ingest as take_in
    from catalogkit.terminal import progress_bar, say, tell
    from catalogkit.verify import verify as prove

    target = context.obj.folder or Path("catalogkit-demo")
    values: dict[str, Any] = {}
    with progress_bar("ingest") as progress:
        if folder is None:
            tell(LABEL)
            collection = build_demo(target / "sample", progress=progress)
        else:
            if not folder.is_dir():
                raise InvalidInput(f"{folder} is not a folder; name the one your documents are in")
            home = target / _slug(folder)
            collection = open_collection(home) if (home / CONFIG_NAME).exists() else make(home)
            tell(f"Cataloging {folder} in place; nothing in it is changed.")
            took = take_in(collection, folder, mode="reference", resolver=folder.resolve().name, progress=progress)
            for path, reason in took.failures[:50]:
                tell(f"not taken in: {path}: {reason}")
            values["failed"] = took.failed
    with collection, progress_bar("verify") as progress:
        proved = prove(collection, progress=progress)
        values |= {**collection.catalog.totals(), "ok": proved.ok, "bad": proved.checked - proved.ok}
        for finding in proved.findings[:50]:
            tell(f"{finding.outcome}: {finding.place}: {finding.detail}")
    tell("Writing the dashboard ...")
    values |= _run_report("dedup_analytics", {}, target / "reports", str(collection.path))
    values["collection"] = str(collection.path)
    say(values, machine(context, as_json), "Demo")
    return DONE if proved.clean and not values.get("failed") else LOOK


def _listed(files_from: Path) -> list[Path]:
    try:
        text = sys.stdin.read() if str(files_from) == "-" else files_from.read_text(errors="surrogateescape")
    except OSError as problem:
        raise InvalidInput(f"{files_from} cannot be read: {problem.strerror}") from None
    return [Path(line) for line in text.splitlines() if line]


def _document(row: dict[str, Any]) -> dict[str, Any]:
    """A document for people and machines: ``content_type`` is what it is, ``claimed_type`` what its server said."""
    claimed = row.pop("content_type")
    return row | {"content_type": row.pop("media_type"), "claimed_type": claimed}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidInput(f"-p takes KEY=VALUE, not {text!r}")
    return name, value


def _folder(door: Door) -> str | None:
    """The collection a report is about; None means the demo's, only where none was named."""
    import os

    try:
        with door.open() as collection:
            return str(collection.path)
    except NotACollection:
        if door.folder is not None or os.environ.get("CATALOGKIT_HOME"):
            raise
        return None


def _run_report(name: str, parameters: dict[str, str], out: Path, collection: str | None) -> dict[str, Any]:
    from datetime import UTC, datetime

    from catalogkit.reports import run_report

    result = run_report(name, parameters, out, collection=collection, as_of=datetime.now(UTC))
    return {
        "report": Path(name).stem,
        "html": str(result.html),
        "ipynb": str(result.ipynb),
        "json": str(result.json),
        "seconds": round(result.seconds, 3),
    }


def _slug(folder: Path) -> str:
    """A folder name of its own for every folder that is looked at."""
    import hashlib

    from catalogkit.layouts import segment

    full = str(folder.resolve())
    return f"{segment(folder.resolve().name)}-{hashlib.sha256(full.encode(errors='surrogateescape')).hexdigest()[:8]}"


commands.add_to(app)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = app(standalone_mode=False)
    except CatalogKitError as problem:
        sys.stderr.write(f"catalogkit: {problem}\n")
        code = _failed(problem)
    except _USAGE as problem:
        problem.show()
        code = _failed(problem)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    sys.exit(code or DONE)


def _failed(problem: BaseException) -> int:
    """A machine that listens gets its one JSON object also when things go wrong."""
    if "--json" in sys.argv[1:]:
        import json

        sys.stdout.write(json.dumps({"error": str(problem), "kind": type(problem).__name__}) + "\n")
    return ERROR

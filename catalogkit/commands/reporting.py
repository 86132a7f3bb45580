"""Commands `report`, `demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from catalogkit.door import DONE, ERROR, LOOK, Door, Json, machine
from catalogkit.errors import InvalidInput, NotACollection, ReportError

# What the demo shows: what there is, what is there twice, what was proved, what a policy would let go of.
DASHBOARDS: Final = ("storage_overview", "dedup_analytics", "verification_coverage", "retention_review")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (report, demo):
        app.command()(command)


def report(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME|all", help="A report's name, a notebook's path, or all.")],
    parameter: Annotated[list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="A parameter.")] = None,
    out: Annotated[Path | None, typer.Option("-o", metavar="DIR", help="Where runs land.")] = None,
    as_json: Json = False,
) -> int:
    """Run a notebook; keep it, with one HTML page that opens anywhere and its figures as JSON."""
    from catalogkit.reports import list_reports
    from catalogkit.terminal import say, tell

    given = dict(_pair(text) for text in parameter or [])
    collection = given.pop("collection", None) or _folder(context.obj)
    target = out or (Path(collection) / "reports" if collection else Path("reports"))
    if not collection:
        tell("no collection here: this is the demo's (name one with -C)")
    to_machine = machine(context, as_json)
    if name != "all":
        say(_run_report(name, given, target, collection), to_machine, "Report")
        return DONE
    done, failed = [], []
    for one in list_reports():
        try:
            done.append(_run_report(one, given, target, collection))
        except ReportError as problem:  # the others are wanted all the same
            failed.append(one)
            tell(f"{one}: {problem}")
            continue
        if not to_machine:
            say(done[-1], False, one)
    index = str(target / "index.html")
    if to_machine:
        say({"reports": done, "failed": failed, "index": index}, True, "Report")
    else:
        tell(f"All of them, with what they found: {index}")
    return ERROR if failed else DONE


def demo(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Your own documents; they are not changed.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Build a demo with dashboards: real documents, or a folder of yours, ingested, verified, reported."""
    from catalogkit.collection import init as make
    from catalogkit.collection import open_collection
    from catalogkit.config import CONFIG_NAME
    from catalogkit.demo import LABEL, build_demo
    from catalogkit.ingest import ingest as take_in
    from catalogkit.terminal import progress_bar, say, tell
    from catalogkit.verify import verify as prove

    target = (context.obj.folder or Path("catalogkit-demo")).resolve()
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
                tell(f"not ingested: {path}: {reason}")
            values["failed"] = took.failed
    with collection, progress_bar("verify") as progress:
        proved = prove(collection, progress=progress)
        values |= {**collection.catalog.totals(), "ok": proved.ok, "bad": proved.checked - proved.ok}
        for finding in proved.findings[:50]:
            tell(f"{finding.outcome}: {finding.place}: {finding.detail}")
    tell(f"Writing {len(DASHBOARDS)} dashboards ...")
    runs = [_run_report(name, {}, target / "reports", str(collection.path)) for name in DASHBOARDS]
    values |= {"reports": runs, "html": str(target / "reports" / "index.html"), "collection": str(collection.path)}
    say(values, machine(context, as_json), "Demo")
    if not machine(context, as_json):
        say({run["report"]: run["html"] for run in runs}, False, "Dashboards")
    tell("Open the html page in a browser: it links to every dashboard. What to try next:")
    for verb in ("status", "plan retention", "report all", "--help"):
        tell(f"  {sys.argv[0]} -C {values['collection']} {verb}")
    return DONE if proved.clean and not values.get("failed") else LOOK


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

    from catalogkit.lean import load_papermill
    from catalogkit.reports import run_report

    load_papermill()
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

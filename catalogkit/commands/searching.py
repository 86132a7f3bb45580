"""Command `search`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from catalogkit.door import DONE, Json, machine


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(search)


def search(
    context: typer.Context,
    words: Annotated[
        list[str], typer.Argument(help="""'"a phrase"', prefix*, -without: best in one pair of quotes.""")
    ],
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CLAUSE", help="Such as language=en, 'page_count>=10', title~cell; may be repeated."),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Only documents of this tenant.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
    as_json: Json = False,
) -> int:
    """Documents with these words in title, authors, text or names, the best first."""
    from catalogkit.found import in_terminal
    from catalogkit.terminal import progress_bar, say, tell

    said = " ".join(words)
    with context.obj.open() as collection, progress_bar("index") as progress:
        found = collection.search(said, where, limit, tenant=tenant, progress=progress)
    rows = found.to_dicts()
    if machine(context, as_json):
        say({"words": said, "documents": rows}, True, "Found")
        return DONE
    if not rows:
        tell("no document has all of these words; `catalogkit extract` tells what is inside documents")
    for row in rows:
        pages = "" if row["page_count"] is None else f"  {row['page_count']:,} pages"
        authors = f"  {', '.join(row['authors'])}" if row["authors"] else ""
        sys.stdout.write(f"{row['id']:>8}  {row['title'] or row['artifact_id']}{authors}{pages}\n")
        sys.stdout.write(f"{'':10}{row['source_url']}\n")
        if row["snippet"]:
            sys.stdout.write(f"{'':10}{in_terminal(row['snippet'], colour=sys.stdout.isatty())}\n")
    return DONE

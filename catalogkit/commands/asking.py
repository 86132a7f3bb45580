"""Commands `status`, `find`, `show`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogkit.door import DONE, Json, machine
from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    from catalogkit.catalog.contract import Catalog


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (status, find, show):
        app.command()(command)


def status(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, help="What counts as recent, in days.")] = 30,
    as_json: Json = False,
) -> int:
    """How much there is, and how much of it was verified recently."""
    from catalogkit.status import status as ask
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        told = ask(collection, days=days)
    if machine(context, as_json):
        say(told.to_dict(), True, "Status")
        return DONE
    say(told.in_words(), False, "Status")
    if told.kept:
        only = {f"{one.kind} {one.name}": f"{one.exclusive_bytes:,} bytes" for one in told.kept}
        say(only, False, "Bytes that only one snapshot or backup keeps")
    if told.plans_waiting + told.plans_unfinished:
        tell("Plans wait: `catalogkit plans` lists them.")
    return DONE


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
    from catalogkit.reprs import printable
    from catalogkit.terminal import say, tell

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
        # One more than is shown, to know whether there is more.
        given = {name: value for name, value in filters.items() if value is not None}
        found = collection.find(limit=limit + 1, **given)
        more, found = found.height > limit, found.head(limit)
        titles = _titles(collection.catalog, found["sha256"].to_list())
        documents = [_document(row) | {"title": titles[row["sha256"]]} for row in found.iter_rows(named=True)]
    if machine(context, as_json):
        say({"documents": documents}, True, "Documents")
        return DONE
    if not documents:
        tell("no document matches")
    for document in documents:
        line = "{id:>8}  {sha256:.8}  {bytes:>12,}  {content_type:<20}  {resolver:<10}  {artifact_id}".format_map(
            document
        )
        sys.stdout.write(line + (f"  {printable(document['title'][:60])}" if document["title"] else "") + "\n")
    if more:
        tell(f"There are more than these {limit:,}; --limit shows more, filters fewer (see --help).")
    return DONE


def _titles(catalog: Catalog, digests: list[str]) -> dict[str, str | None]:
    """The titles of contents, where somebody looked into them and they have any."""
    from catalogkit.model import Digest

    found = {digest: catalog.content_of(Digest.parse(digest)) for digest in set(digests)}
    return {digest: content.title if content else None for digest, content in found.items()}


def show(
    context: typer.Context,
    document_id: Annotated[int, typer.Argument(metavar="ID")],
    at: Annotated[str | None, typer.Option(metavar="TIME", help="As it was then, such as 2026-05-01.")] = None,
    as_json: Json = False,
) -> int:
    """One document: what it is, or was, its versions, its copies."""
    from dataclasses import asdict

    from catalogkit.collection import document_row
    from catalogkit.terminal import say
    from catalogkit.units import parse_when

    with context.obj.open() as collection:
        when = parse_when(at) if at else None
        catalog = collection.catalog
        record = catalog.document_at(document_id, when) if when else catalog.document(document_id)
        if record is None and when:
            raise InvalidInput(
                f"there was no document {document_id} at {when:%Y-%m-%d %H:%M} UTC;"
                f" `catalogkit history {document_id}` tells when it came and went"
            )
        if record is None:
            raise InvalidInput(f"there is no document {document_id}; `catalogkit find` lists them")
        document = _document({**document_row(record), "location": collection.location(record)})
        content = catalog.content_of(record.sha256)
        versions = collection.catalog.versions(document_id).to_dicts()
        copies = [
            asdict(copy) | {"sha256": str(copy.sha256)} for copy in collection.catalog.locations_of(record.sha256)
        ]
    to_machine = machine(context, as_json)
    if to_machine:
        inside = None if content is None else content.to_dict()
        say({"document": document, "content": inside, "versions": versions, "locations": copies}, True, "")
        return DONE
    from catalogkit.commands.inside import described

    say(document, False, f"Document {document_id}")
    say(described(content), False, "What is inside")
    for version in versions:
        until = f"until {version['valid_to']:%Y-%m-%d %H:%M}" if version["valid_to"] else "current"
        sys.stdout.write(f"  version {version['sha256'][:8]}  {version['valid_from']:%Y-%m-%d %H:%M}  {until}\n")
    for copy in copies:
        checked = f"{copy['outcome']} {copy['checked_at']:%Y-%m-%d}" if copy["checked_at"] else "never checked"
        sys.stdout.write(f"  copy in {copy['store']}: {copy['key']}  {checked}\n")
    return DONE


def _document(row: dict[str, Any]) -> dict[str, Any]:
    """A document for people and machines: ``content_type`` is what it is, ``claimed_type`` what its server said."""
    claimed = row.pop("content_type")
    return row | {"content_type": row.pop("media_type"), "claimed_type": claimed}

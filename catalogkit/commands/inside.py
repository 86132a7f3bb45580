"""Command `extract`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogkit.door import DONE, INTERRUPTED, LOOK, Json, machine

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from catalogkit.content import ContentMetadata
    from catalogkit.extract.report import ExtractReport

SHOWN = 50
OUTLINE = 12


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(extract)


def extract(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(metavar="[ID...]", help="Only these documents.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Stop after so many.")] = None,
    budget: Annotated[str | None, typer.Option(help="Stop after so long, such as 10m.")] = None,
    again: Annotated[str, typer.Option(help="Also what was told before: all, refused, or a reason.")] = "",
    concurrency: Annotated[int | None, typer.Option(min=1, help="Documents read at once.")] = None,
    as_json: Json = False,
) -> int:
    """Extract titles, authors, languages, pages and text of documents that are due."""
    from catalogkit.errors import InvalidInput
    from catalogkit.extract.backfill import extract as look_into
    from catalogkit.terminal import progress_bar, say, stoppable
    from catalogkit.units import parse_duration

    with context.obj.open() as collection, progress_bar("extract") as progress, stoppable() as stop:
        for document_id in ids or ():
            if collection.catalog.document(document_id) is None:
                raise InvalidInput(f"there is no document {document_id}; nothing was looked into")
        report = look_into(
            collection,
            ids or None,
            again=again,
            limit=limit,
            budget=parse_duration(budget) if budget else None,
            concurrency=concurrency,
            progress=progress,
            stop=stop,
        )
    to_machine = machine(context, as_json)
    say(report.to_dict() if to_machine else in_words(report), to_machine, "Extract")
    return ending(report)


def ending(report: ExtractReport) -> int:
    """The exit code of a run: what could not be told is a fact, what could not be read wants a look."""
    if report.stopped == "interrupted":
        return INTERRUPTED
    return LOOK if report.unread else DONE


def in_words(report: ExtractReport) -> dict[str, Any]:
    """A run for a person, and what could not be read on stderr."""
    from catalogkit.terminal import tell

    for one in report.findings[:SHOWN]:
        tell(f"not read: {one.place or one.sha256}: {one.detail}")
    shown = {name: getattr(report, name) for name in ("extracted", "refused")}
    shown |= {f"refused: {reason}": count for reason, count in report.reasons.most_common()}
    shown |= {name: getattr(report, name) for name in ("unread", "left", "bytes", "seconds")}
    shown |= {"another run is at it": report.elsewhere} if report.elsewhere else {}
    return shown | ({"stopped": report.stopped} if report.stopped else {})


def of_run(collection: Collection, run_id: str) -> list[int]:
    """The documents that a run took in."""
    found: list[int] = []
    while page := collection.catalog.find(run_id=run_id, after_id=found[-1] if found else 0, limit=10_000):
        found += [record.id for record in page]
    return found


def described(content: ContentMetadata | None) -> dict[str, Any]:
    """What is inside a document, for a person."""
    if content is None:
        return {"inside": "not extracted yet; `catalogkit extract` does it"}
    if content.reason is not None:
        return {"inside": f"could not be told: {content.reason}", "because": content.detail}
    told = {
        "title": content.title,
        "authors": content.author,
        "subject": content.subject,
        "description": content.description,
        "keywords": ", ".join(content.keywords),
        "language": content.language or (content.detected_language and f"{content.detected_language} (from its text)"),
        "pages": content.page_count,
        "created": content.created_at,
        "modified": content.modified_at,
        "encrypted": "yes" if content.encrypted else "",
        "warnings": ", ".join(content.warnings),
        "characters of text": content.text_chars or "none",
    }
    told |= {f"contents {number}": f"{'  ' * (level - 1)}{words}"
             for number, (level, words) in enumerate(content.outline[:OUTLINE], 1)}  # fmt: skip
    if len(content.outline) > OUTLINE:
        told["contents"] = f"... and {len(content.outline) - OUTLINE:,} more"
    told["begins"] = content.preview[:200]
    return {name: value for name, value in told.items() if value not in (None, "")}

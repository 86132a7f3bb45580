"""Commands `verify`, `audit`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from catalogkit.door import DONE, INTERRUPTED, LOOK, Json, machine

if TYPE_CHECKING:
    from catalogkit.audit import AuditReport

SHOWN, FEW = 50, 5


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(verify)
    app.command()(audit)
    app.command()(doctor)


def verify(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(metavar="[ID...]", help="Only these documents.")] = None,
    max_age: Annotated[str | None, typer.Option(help="Only copies not checked for so long, such as 30d.")] = None,
    budget: Annotated[str | None, typer.Option(help="Stop after so long, such as 10m.")] = None,
    max_bytes: Annotated[str | None, typer.Option(help="Stop after about so many bytes, such as 5GB.")] = None,
    max_cost: Annotated[str | None, typer.Option(help="Stop before more is spent, such as 2USD; see [prices].")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Copies read at once.")] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first bad copy.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    as_json: Json = False,
) -> int:
    """Read copies, compare their SHA-256, and note the result."""
    from catalogkit.errors import InvalidInput
    from catalogkit.terminal import progress_bar, say, stoppable, tell
    from catalogkit.units import parse_bytes, parse_duration
    from catalogkit.verify import verify as prove

    with context.obj.open() as collection, progress_bar("verify") as progress, stoppable() as stop:
        for document_id in ids or ():
            if collection.catalog.document(document_id) is None:
                raise InvalidInput(f"there is no document {document_id}; nothing was checked")
        report = prove(
            collection,
            ids or None,
            max_age=parse_duration(max_age) if max_age else None,
            budget=parse_duration(budget) if budget else None,
            max_bytes=parse_bytes(max_bytes) if max_bytes else None,
            max_cost=max_cost,
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
        values |= {"cost": "{amount} {currency}".format(**report.cost)} if report.cost else {}
        values |= {f"not checked: {reason}": count for reason, count in report.unchecked.items()}
        values |= report.coverage.in_words() if report.coverage else {}
    say(values, to_machine, "Verify")
    if report.stopped == "interrupted":
        tell("Interrupted; `catalogkit verify --resume` goes on.")
        return INTERRUPTED
    if report.corrupt or report.missing:
        tell("`catalogkit plan repair` looks for the right bytes of what is corrupt or missing.")
    return DONE if report.clean else LOOK


def audit(
    context: typer.Context,
    sample: Annotated[float, typer.Option(help="The share of the copies to read, 0 to 1.")] = 0.1,
    as_json: Json = False,
) -> int:
    """Compare the catalog with its stores, both ways, and with itself; report every fault."""
    from catalogkit.auditing import audit as look_everywhere
    from catalogkit.terminal import progress_bar, say, stoppable

    with context.obj.open() as collection, progress_bar("audit") as progress, stoppable() as stop:
        report = look_everywhere(collection, sample, progress=progress, stop=stop)
    if machine(context, as_json):
        say(report.to_dict(), True, "Audit")
    else:
        _show(report)
        say(report.in_words(), False, "Audit")
    if report.interrupted:
        return INTERRUPTED
    return DONE if report.clean else LOOK


def doctor(context: typer.Context, as_json: Json = False) -> int:
    """Look whether all is set up, in a collection and on this machine: what is wrong, what to do; changes nothing."""
    import shutil

    from catalogkit.doctor import doctor as look
    from catalogkit.terminal import say

    found = look(context.obj.named, store=context.obj.store)
    if machine(context, as_json):
        say(found.to_dict(), True, "Doctor")
    else:
        width = min(shutil.get_terminal_size((100, 0)).columns, 120)
        sys.stdout.writelines(f"{line}\n" for line in found.in_lines(width))
    return DONE if found.well else LOOK


def _show(report: AuditReport) -> None:
    """The findings, worst first, each kind with what to do; paths in full, however long."""
    from catalogkit.reprs import printable

    for (code, severity, what, todo), part in report.frame().group_by(
        ["code", "severity", "what", "todo"], maintain_order=True
    ):
        count, shown = report.counts[str(code)], FEW if severity == "info" else SHOWN
        sys.stdout.write(f"{severity} {code}: {what}\n")
        for row in part.head(shown).iter_rows(named=True):
            sys.stdout.write(f"  {printable(row['path'] or row['object'])}: {printable(row['detail'])}\n")
        if count > shown:
            sys.stdout.write(f"  ... and {count - shown:,} more; --json lists them\n")
        sys.stdout.write(f"  > {todo}\n\n")
    for one in report.unseen[:SHOWN]:
        sys.stdout.write(f"not seen: {printable(one.what)}: {printable(one.why)}\n")
    if len(report.unseen) > SHOWN:
        sys.stdout.write(f"not seen: ... and {len(report.unseen) - SHOWN:,} more; --json lists them\n")
    if report.unseen:
        sys.stdout.write("\n")

"""Commands `history`, `snapshot`, `sql`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogkit.door import DONE, Json, machine
from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    import polars as pl

snapshots = typer.Typer(help="Snapshots: named moments of the catalog.", no_args_is_help=True)

Label = Annotated[str, typer.Argument(metavar="LABEL", help="The snapshot's name.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(history)
    app.add_typer(snapshots, name="snapshot")
    app.command()(sql)


def history(
    context: typer.Context,
    document_id: Annotated[int, typer.Argument(metavar="ID")],
    as_json: Json = False,
) -> int:
    """All that happened to a document: what, when, in which run or plan, by whom."""
    from catalogkit.terminal import say

    with context.obj.open() as collection:
        rows = collection.catalog.history(document_id).to_dicts()
    if not rows:
        raise InvalidInput(f"there never was a document {document_id}; `catalogkit find` lists them")
    if machine(context, as_json):
        say({"document_id": document_id, "history": rows}, True, "")
        return DONE
    for row in rows:
        who = f"plan {row['plan_id'][:12]}" if row["plan_id"] else f"run {row['run_id']}" if row["run_id"] else ""
        by = f"approved by {row['by']}" if row["by"] else ""
        fields = f"({row['fields']})" if row["fields"] else ""
        words = (row["what"], f"{row['at']:%Y-%m-%d %H:%M:%S}", row["sha256"][:8], row["operation"], who, by, fields)
        sys.stdout.write("{:<9}  {}  {}  {}\n".format(*words[:3], "  ".join(filter(None, words[3:]))))
    return DONE


def sql(
    context: typer.Context,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One statement, with ? for values.")],
    parameter: Annotated[
        list[str] | None, typer.Option("-p", metavar="VALUE", help="A value for a ?, as text.")
    ] = None,
    refresh: Annotated[bool, typer.Option(help="Take in what changed since, first.")] = True,
    limit: Annotated[int, typer.Option(min=1, help="Print at most so many rows.")] = 100,
    as_json: Json = False,
) -> int:
    """Ask in DuckDB's SQL over documents, blobs, locations and checks; it reads, and changes nothing."""
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        answer = collection.mirror.sql(query, parameter or None, refresh=refresh, as_of=collection.now())
    frame = answer.frame
    if machine(context, as_json):
        say({"as_of": answer.as_of, "columns": frame.columns, "rows": frame.height, "data": frame.to_dicts()}, True, "")
        return DONE
    import polars as pl

    with pl.Config(
        tbl_rows=limit, tbl_cols=-1, tbl_width_chars=200, fmt_str_lengths=80, tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True, tbl_formatting="NOTHING", thousands_separator=",",
    ):  # fmt: skip
        sys.stdout.write(f"{frame.head(limit)}\n")
    if frame.height > limit:
        tell(f"and {frame.height - limit:,} rows more; --limit shows them")
    if answer.stale:
        tell(f"as of {answer.as_of:%Y-%m-%d %H:%M:%S} UTC")
    return DONE


@snapshots.command("create")
def create(
    context: typer.Context,
    label: Label,
    keep_for: Annotated[str | None, typer.Option(help="For how long, such as 90d; else until it is dropped.")] = None,
    parquet: Annotated[bool, typer.Option(help="Write its documents as Parquet files, too.")] = True,
    as_json: Json = False,
) -> int:
    """Keep this moment: nothing that a document has now can be purged while it is kept."""
    from catalogkit.snapshots import take_snapshot
    from catalogkit.terminal import say
    from catalogkit.units import parse_duration
    from catalogkit.versions import folder_of

    with context.obj.open() as collection:
        now = collection.now()
        end = now + parse_duration(keep_for) if keep_for else None
        snapshot = take_snapshot(collection, label, expires_at=end, parquet=parquet, as_of=now)
        values = snapshot.to_dict() | ({"parquet": str(folder_of(collection, snapshot))} if parquet else {})
    say(_shown(values, machine(context, as_json)), machine(context, as_json), "Snapshot")
    return DONE


@snapshots.command("list")
def list_(context: typer.Context, as_json: Json = False) -> int:
    """Snapshots that are kept, and the bytes that are there for their sake."""
    from catalogkit.display import format_bytes
    from catalogkit.snapshots import SNAPSHOT, list_snapshots
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        now = collection.now()
        kept = [snapshot.to_dict() for snapshot in list_snapshots(collection, as_of=now)]
        held = collection.catalog.held_bytes(as_of=now)
        names = {moment.name: held[moment.id] for moment in collection.catalog.moments(SNAPSHOT, as_of=now)}
    for one in kept:
        one["held_bytes"], one["exclusive_bytes"] = names[one["label"]]
    if machine(context, as_json):
        say({"snapshots": kept}, True, "")
        return DONE
    if not kept:
        tell("no snapshot is kept; `catalogkit snapshot create LABEL` keeps this moment")
    for one in kept:
        until = f"until {one['expires_at']:%Y-%m-%d}" if one["expires_at"] else "until dropped"
        only = f"only it keeps {format_bytes(one['exclusive_bytes'])}"
        sys.stdout.write(
            f"{one['label']:<20}  {one['timestamp']:%Y-%m-%d %H:%M}  {one['record_count']:>12,} documents  "
            f"{format_bytes(one['storage_size']):>9}  {until:<16}  {only}\n"
        )
    return DONE


@snapshots.command("show")
def show(context: typer.Context, label: Label, as_json: Json = False) -> int:
    """One snapshot: when, how much there was, its digest."""
    from catalogkit.snapshots import get_snapshot
    from catalogkit.terminal import say

    with context.obj.open() as collection:
        values = get_snapshot(collection, label).to_dict()
    say(_shown(values, machine(context, as_json)), machine(context, as_json), "Snapshot")
    return DONE


@snapshots.command("diff")
def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="The earlier snapshot.")],
    after: Annotated[str | None, typer.Argument(metavar="[AFTER]", help="The later one; else now.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="List at most so many documents.")] = 20,
    as_json: Json = False,
) -> int:
    """Documents added, changed and forgotten between two snapshots, or since one."""
    from catalogkit.snapshots import diff_snapshots
    from catalogkit.terminal import say

    with context.obj.open() as collection:
        frame = diff_snapshots(collection, before, after)
    values = {"before": before, "after": after or "now", **_summed(frame)}
    rows = frame.head(limit).to_dicts()
    if machine(context, as_json):
        say(values | {"documents": rows}, True, "")
        return DONE
    say(values, False, "Differences")
    for row in rows:
        digest = (row["sha256"] or row["sha256_before"])[:8]
        size = (row["bytes"] or 0) - (row["bytes_before"] or 0)
        about = f"{row['resolver']}  {row['artifact_id']}"
        sys.stdout.write(f"  {row['difference']:<9}  {row['document_id']:>8}  {digest}  {size:>+12,}  {about}\n")
    if frame.height > len(rows):
        sys.stdout.write(f"  and {frame.height - len(rows):,} more\n")
    return DONE


@snapshots.command("drop")
def drop(context: typer.Context, label: Label, as_json: Json = False) -> int:
    """Keep a snapshot no longer; what only it needed may be collected as garbage."""
    from catalogkit.snapshots import drop_snapshot
    from catalogkit.terminal import say

    with context.obj.open() as collection:
        drop_snapshot(collection, label)
    say({"label": label, "dropped": True}, machine(context, as_json), "Snapshot dropped")
    return DONE


def _shown(values: dict[str, Any], to_machine: bool) -> dict[str, Any]:
    """For people without what is told by something else."""
    if to_machine:
        return values
    kept = values["expires_at"] or "until it is dropped"
    return {name: value for name, value in values.items() if name not in ("protected", "expires_at")} | {"kept": kept}


def _summed(frame: pl.DataFrame) -> dict[str, int]:
    """How many documents differ in which way, and the bytes that came and went."""
    import polars as pl

    counts = dict(frame.group_by("difference").len().iter_rows())
    told = {name: int(counts.get(name, 0)) for name in ("added", "changed", "forgotten")}
    came, went = frame.select(pl.col("bytes").sum(), pl.col("bytes_before").sum()).row(0)
    return told | {"bytes_added": int(came), "bytes_gone": int(went)}

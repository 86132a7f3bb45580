"""Command `tenant` with its subcommands."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogkit.door import DONE, Json, machine
from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    import polars as pl

    from catalogkit.billing import Prices
    from catalogkit.door import Door
    from catalogkit.tenants import MultiTenantCatalog

tenants = typer.Typer(help="Tenants: organisations that share a machine but not their data.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="TENANT", help="Lower-case letters, digits, - and _.")]
Documents = Annotated[int | None, typer.Option(min=0, help="Its quota of documents; without it, no limit.")]
Bytes = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Its quota of bytes, such as 50GB; without it, no limit.")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for name, command in (
        ("add", add), ("list", show), ("quota", quota), ("usage", usage), ("upgrade", upgrade), ("reader", reader),
    ):  # fmt: skip
        tenants.command(name)(command)
    app.add_typer(tenants, name="tenant")


def add(
    context: typer.Context,
    name: Name,
    max_documents: Documents = None,
    max_bytes: Bytes = None,
    store: Annotated[str, typer.Option(help="Where its bytes go; relative to its folder.")] = "file:store",
    layout: Annotated[str, typer.Option(help="cas (by content) or policy (by readable path).")] = "cas",
    policies: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML with its [retention], [dedup], [maintain], ...")
    ] = None,
    server: Annotated[
        str, typer.Option(metavar="URL", help="postgresql://operator@host/database: give each tenant a database there.")
    ] = "",
    as_json: Json = False,
) -> int:
    """Make a tenant: a collection of its own in tenants/TENANT below the folder that -C names."""
    from catalogkit.tenants import TenantSettings
    from catalogkit.terminal import say, tell
    from catalogkit.units import parse_bytes

    try:
        text = policies.read_text(encoding="utf-8-sig") if policies else ""
    except (OSError, UnicodeDecodeError) as problem:
        raise InvalidInput(f"{policies} cannot be read: {problem}") from None
    settings = TenantSettings(
        max_documents=max_documents,
        max_bytes=None if max_bytes is None else parse_bytes(max_bytes),
        store=store,
        layout=layout,
        policies=text,
    )
    with _all(context.obj, server).register_tenant(name, settings) as collection:
        place = str(collection.path)
    say({"tenant": name, "path": place}, machine(context, as_json), "Made a tenant")
    if not machine(context, as_json):
        tell(f"Work on it as on any collection: `catalogkit -C {place} ingest ...`")
    return DONE


def show(context: typer.Context, as_json: Json = False) -> int:
    """List tenants: what each has, and its quota."""
    from catalogkit.display import format_bytes
    from catalogkit.terminal import say, tell

    rows = _all(context.obj).frame().to_dicts()
    if machine(context, as_json):
        say({"tenants": rows}, True, "")
        return DONE
    for row in rows:
        documents = "" if row["max_documents"] is None else f" of {row['max_documents']:,}"
        size = "" if row["max_bytes"] is None else f" of {format_bytes(row['max_bytes'])}"
        had = f"{row['documents']:>11,}{documents} documents  {format_bytes(row['logical_bytes'])}{size}"
        sys.stdout.write(f"{row['tenant']:<20} {had}, stored in {format_bytes(row['physical_bytes'])}\n")
    if not rows:
        tell("No tenants here: add one with `catalogkit tenant add`.")
    return DONE


def quota(
    context: typer.Context,
    name: Name,
    max_documents: Documents = None,
    max_bytes: Bytes = None,
    as_json: Json = False,
) -> int:
    """Change a tenant's quota; what it has stays, even if it is more."""
    from catalogkit.terminal import say
    from catalogkit.units import parse_bytes

    size = None if max_bytes is None else parse_bytes(max_bytes)
    _all(context.obj).set_quota(name, max_documents=max_documents, max_bytes=size)
    limits = {"max_documents": max_documents, "max_bytes": size}
    say({"tenant": name, **limits}, machine(context, as_json), "Quota")
    return DONE


def usage(
    context: typer.Context,
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="A month; else this one, so far.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From then, instead of a month.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Until then; without it, until now.")] = None,
    gb_month: Annotated[str, typer.Option(metavar="PRICE", help="Price of keeping a GB for a month.")] = "0.023",
    thousand_requests: Annotated[str, typer.Option(metavar="PRICE", help="Price of a thousand reads.")] = "0.0004",
    currency: Annotated[str, typer.Option(help="Currency of the prices.")] = "USD",
    out: Annotated[Path | None, typer.Option("-o", metavar="FILE", help="Also write it as .csv or .parquet.")] = None,
    as_json: Json = False,
) -> int:
    """Bill tenants, in full and by fair shares. On a collection: the tenants of its documents."""
    from catalogkit.billing import Prices
    from catalogkit.tenants import write
    from catalogkit.terminal import say

    prices = Prices(gb_month=_price(gb_month), thousand_requests=_price(thousand_requests), currency=currency)
    start, end = _period(month, since, until)
    frame = _bill(context.obj, start, end, prices)
    if out:
        write(frame, out)
    if machine(context, as_json):
        money = [name for name in frame.columns if name.endswith("cost")]
        rows = [{**row, **{name: str(row[name]) for name in money}} for row in frame.iter_rows(named=True)]
        say({"start": start, "end": end, "currency": currency, "tenants": rows}, True, "")
        return DONE
    _tell(frame, start, end, prices)
    return DONE


def upgrade(context: typer.Context, as_json: Json = False) -> int:
    """Bring the tenants' databases on the server to this version's schema, which they may not do themselves."""
    from catalogkit.terminal import say

    done = _all(context.obj).upgrade()
    say({"upgraded": done}, machine(context, as_json), f"{len(done)} up to date")
    return DONE


def reader(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant, as in the documents.")],
    drop: Annotated[bool, typer.Option("--drop", help="Remove the role.")] = False,
    as_json: Json = False,
) -> int:
    """On a shared collection on a server: make a role that reads only one tenant's documents."""
    from catalogkit.readers import drop_reader, open_reader
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        if drop:
            drop_reader(collection, name)
            say({"tenant": name, "dropped": True}, machine(context, as_json), "Dropped the reader")
            return DONE
        with open_reader(collection, name) as made:
            told = {"tenant": name, "url": made.url, "passfile": str(made.passfile)}
    say(told, machine(context, as_json), "A reader")
    if not machine(context, as_json):
        tell("Its password is in that file: PGPASSFILE=FILE psql URL")
    return DONE


def _period(month: str | None, since: str | None, until: str | None) -> tuple[datetime, datetime]:
    from catalogkit.tenants import period
    from catalogkit.units import parse_when

    now = datetime.now(UTC)
    if month is not None and (since or until):
        raise InvalidInput("give either --month, or --since and --until")
    if since:
        return parse_when(since), min(parse_when(until), now) if until else now
    if until:
        raise InvalidInput("--until needs --since")
    return period(month or f"{now:%Y-%m}", now)


def _tell(frame: pl.DataFrame, start: datetime, end: datetime, prices: Prices) -> None:
    from catalogkit.billing import NOBODY
    from catalogkit.display import format_bytes

    head = ("tenant", "documents", "bytes", "fair part", "in full", "fairly", "reads", "for reads")
    line = "{:<20} {:>10} {:>10} {:>10} {:>14} {:>14} {:>9} {:>14}\n"
    when = f"From {start:%Y-%m-%d %H:%M} until {end:%Y-%m-%d %H:%M} UTC, costs in {prices.currency}"
    sys.stdout.write(f"{when}\n\n{line.format(*head)}")
    for row in frame.iter_rows(named=True):
        name = "(no one)" if row["tenant"] == NOBODY else row["tenant"]
        sizes = (format_bytes(row["logical_bytes"]), format_bytes(row["fair_bytes"]))
        money = (f"{row['full_cost']:,}", f"{row['fair_cost']:,}", f"{row['requests']:,}", f"{row['requests_cost']:,}")
        sys.stdout.write(line.format(name[:20], f"{row['documents']:,}", *sizes, *money))


def _bill(door: Door, start: datetime, end: datetime, prices: Prices) -> pl.DataFrame:
    from catalogkit.collection import home_of
    from catalogkit.tenants import bill_of, collections_in

    opened = collections_in(home_of(door.folder))
    try:
        return bill_of(opened, start, end, prices)
    finally:
        for collection in opened:
            collection.close()


def _all(door: Door, server: str = "") -> MultiTenantCatalog:
    from catalogkit.collection import home_of
    from catalogkit.config import CONFIG_NAME
    from catalogkit.tenants import MultiTenantCatalog

    home = home_of(door.folder)
    if (home / CONFIG_NAME).exists():
        raise InvalidInput(f"{home} is a collection; name the folder that holds, or shall hold, the tenants with -C")
    return MultiTenantCatalog(home, server=server)


def _price(text: str) -> Any:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise InvalidInput(f"not a price: {text!r}; give one such as 0.023") from None

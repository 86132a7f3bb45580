"""Commands `sync`, `conflicts`, `plan reconcile`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogkit.commands.planned import Out, planned
from catalogkit.commands.plans import planning
from catalogkit.door import DONE, LOOK, Json, machine

if TYPE_CHECKING:
    from catalogkit.catalog.federation import SiteRow
    from catalogkit.collection import Collection
    from catalogkit.federation.conflicts import ConflictReport

SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(sync)
    app.command()(conflicts)
    planning.command("reconcile")(plan_reconcile)


def sync(
    context: typer.Context,
    region: Annotated[
        str | None, typer.Argument(metavar="[REGION]", help="A region of the settings, a folder, or an address.")
    ] = None,
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Name this site.")] = None,
    through: Annotated[
        str | None, typer.Option("--through", metavar="PLACE", help="Exchange change sets in this folder or bucket.")
    ] = None,
    fetch: Annotated[
        list[int] | None, typer.Option("--fetch", metavar="ID", help="Fetch the bytes of this document.")
    ] = None,
    size: Annotated[str | None, typer.Option("--bytes", help="Fetch bytes up to this budget, such as 10GB.")] = None,
    everything: Annotated[bool, typer.Option("--all-bytes", help="Fetch all bytes.")] = False,
    copies: Annotated[
        int | None, typer.Option("--copies", min=1, help="Fetch bytes that fewer than so many sites have.")
    ] = None,
    expire: Annotated[str | None, typer.Option(metavar="SITE", help="Keep nothing for this site any more.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm --expire.")] = False,
    renew: Annotated[bool, typer.Option("--renew", help="Make this a new site: it was restored or copied.")] = False,
    as_json: Json = False,
) -> int:
    """Sync with another site; without one, list the sites and what waits."""
    from catalogkit.errors import InvalidInput

    with context.obj.open() as collection:
        now = collection.now()
        if name:
            collection.catalog.begin_site(name, as_of=now)
        if renew and collection.catalog.renew_site(as_of=now) is None:
            raise InvalidInput("this is no site; `catalogkit sync --as NAME` makes it one")
        if expire:
            return _expire(context, collection, expire, yes, as_json)
        if region and through:
            raise InvalidInput("name a region, or a place to leave change sets at, not both")
        if region or through:
            return _sync(context, collection, region, through, (fetch or [], size, everything, copies), as_json)
        return _status(context, collection, as_json)


def _sync(
    context: typer.Context,
    collection: Collection,
    region: str | None,
    through: str | None,
    wanted: tuple[list[int], str | None, bool, int | None],
    as_json: bool,
) -> int:
    from catalogkit.collection import open_collection
    from catalogkit.federation import exchange, following, syncing
    from catalogkit.federation.federated import region_place
    from catalogkit.terminal import say, tell
    from catalogkit.units import parse_bytes

    came: dict[str, Any] = {}
    if region is None:
        report = exchange.exchange(collection, str(through))
    else:
        known = collection.config.regions.get(region)
        with open_collection(region_place(collection, known) if known else region) as other:
            if other.catalog.own_site() is None and known:
                other.catalog.begin_site(region, as_of=other.now())
            report = syncing.sync(collection, other)
            ids, size, everything, copies = wanted
            if ids or size or everything or copies:
                budget = parse_bytes(size) if size else None
                done = following.follow(
                    collection, [other], document_ids=ids or None, bytes_budget=budget, copies=copies
                )
                came = {"fetched": done.done if done else 0, "not_fetched": done.failed if done else 0}
                syncing.counted(collection, report)
    values = report.to_dict() | came
    if machine(context, as_json):
        say(values, True, "Sync")
        return LOOK if report.conflicts or came.get("not_fetched") else DONE
    told = {"site": report.site, **{f"{what} here": n for what, n in report.received.words().items()}}
    told |= {f"{what} there": n for what, n in report.sent.words().items()} if report.sent else {}
    told |= {"bytes written": report.written} if report.written else {}
    say(told | came | {"conflicts": report.conflicts, "contents only elsewhere": report.wanted}, False, "Sync")
    if report.conflicts:
        tell("`catalogkit conflicts` lists what was changed at two sites at once.")
    return LOOK if report.conflicts or came.get("not_fetched") else DONE


def _status(context: typer.Context, collection: Collection, as_json: bool) -> int:
    from catalogkit.terminal import say, tell

    sites, waiting = collection.catalog.sites(), len(collection.catalog.contests())
    if machine(context, as_json):
        say({"sites": [_site(one) for one in sites], "conflicts": waiting}, True, "Sites")
        return LOOK if waiting else DONE
    if not sites:
        tell(
            "this catalog is not a site; `catalogkit sync --as NAME` makes it one,"
            " `catalogkit sync REGION` syncs with another"
        )
        return DONE
    own = next(one for one in sites if one.own)
    for one in sites:
        heard = f"last heard {one.heard_at:%Y-%m-%d %H:%M}" if one.heard_at else "never heard"
        seen = f"{heard}, has seen {one.reached.seq:,} of {own.heard.seq:,} changes"
        how = "this one" if one.own else "expired" if one.expired_at else seen
        sys.stdout.write(f"{one.name:<20} {one.id}  {how}\n")
    tell(f"{own.name} has made {own.heard.seq:,} changes; {waiting:,} documents are in conflict")
    return LOOK if waiting else DONE


def _site(one: SiteRow) -> dict[str, Any]:
    names = ("id", "name", "own", "follows", "met_at", "heard_at", "expired_at")
    return {name: getattr(one, name) for name in names} | {"reached": one.reached.seq, "heard": one.heard.seq}


def _expire(context: typer.Context, collection: Collection, site: str, yes: bool, as_json: bool) -> int:
    from catalogkit.display import format_bytes
    from catalogkit.errors import InvalidInput
    from catalogkit.terminal import say, tell

    if not yes:
        named = {
            f"region {one.name}" for one in collection.catalog.sites() if site in (one.id, one.name) and not one.own
        }
        if not named:
            raise InvalidInput(f"no other site is called {site!r}; `catalogkit sync` lists them")
        garbage = collection.catalog.garbage(as_of=collection.now())
        sizes = [size for size, by in garbage.select("bytes", "kept_by").iter_rows() if by in named]
        if machine(context, as_json):
            say({"site": site, "blobs": len(sizes), "bytes": sum(sizes)}, True, "To expire")
        else:
            blobs = "1 blob" if len(sizes) == 1 else f"{len(sizes):,} blobs"
            sys.stdout.write(f"Kept for {site}: {blobs}, {format_bytes(sum(sizes))}\n")
        tell(f"Nothing was changed. `catalogkit sync --expire {site} --yes` lets go of it.")
        return LOOK
    row = collection.catalog.expire_site(site, as_of=collection.now())
    say({"expired": row.name, "id": row.id}, machine(context, as_json), "Expired")
    return DONE


def conflicts(context: typer.Context, as_json: Json = False) -> int:
    """List what was changed at two sites at once: all values, and which one is shown."""
    from catalogkit.federation.conflicts import conflicts as found
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        report = found(collection)
    if machine(context, as_json):
        say(report.to_dict(), True, "Conflicts")
        return LOOK if report.documents else DONE
    _write(report)
    if not report.documents:
        tell("no conflicts")
        return DONE
    tell("`catalogkit plan reconcile` plans to keep what is shown, or what one site wrote (--prefer SITE).")
    return LOOK


def _write(report: ConflictReport) -> None:
    for (document, artifact, group), rows in report.frame.head(5 * SHOWN).group_by(
        "document_id", "artifact_id", "group", maintain_order=True
    ):
        sys.stdout.write(f"{document:>6}  {artifact}  {group}\n")
        for row in rows.iter_rows(named=True):
            mark = "shown" if row["shown"] else "kept"
            sys.stdout.write(
                f"        {mark:<6} {row['site']:<12} {row['written_at']:%Y-%m-%d %H:%M}  {row['value']}\n"
            )
    if report.frame.height > 5 * SHOWN:
        sys.stdout.write(f"        and {report.frame.height - 5 * SHOWN:,} more; --json has all\n")


def plan_reconcile(
    context: typer.Context,
    prefer: Annotated[str, typer.Option(metavar="SITE", help="Take what this site wrote; else what is shown.")] = "",
    deletions: Annotated[bool, typer.Option("--deletions", help="Let deletions win.")] = False,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """End conflicts between sites: one value of each is kept."""
    from catalogkit.federation.conflicts import plan_reconcile as make
    from catalogkit.planners.reconcile import ReconcilePolicy

    policy = ReconcilePolicy(site=prefer, deletions=deletions)
    return planned(context, lambda collection: make(collection, policy), out, as_json)

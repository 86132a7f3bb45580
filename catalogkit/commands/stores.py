"""Commands `store`, `check-store`, `plan relocate`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogkit.commands.planned import Limit, Out, planned
from catalogkit.commands.plans import planning
from catalogkit.door import DONE, LOOK, Json, machine

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from catalogkit.stores.s3.store import S3Layout

storing = typer.Typer(help="Stores: list them, add one, choose where new bytes go.", no_args_is_help=True)
Url = Annotated[
    str, typer.Argument(metavar="URL", help="file:folder, or s3://, gs:// or az://bucket/prefix?setting=value")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(storing, name="store")
    app.command("check-store")(check_store)


@storing.command("lifecycle")
def lifecycle(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(metavar="plan|apply", help="Show what would change, or change it.")] = "plan",
    versions_for: Annotated[str, typer.Option(help="How long old versions stay, in a bucket that keeps them.")] = "30d",
    as_json: Json = False,
) -> int:
    """Rules of the buckets that clean up after uploads and purges; none ever moves or expires a document."""
    from catalogkit.errors import InvalidInput
    from catalogkit.stores.s3.rules import apply_rules, rules_of
    from catalogkit.terminal import say, tell
    from catalogkit.units import parse_duration

    if verb not in ("plan", "apply"):
        raise InvalidInput(f"`store lifecycle` can plan and apply, not {verb!r}")
    days = parse_duration(versions_for).days
    with context.obj.open() as collection:
        buckets = [store.bucket for store in _in_buckets(collection)]
        told = [rules_of(bucket, versions_days=days) for bucket in buckets]
        lines = [(one.place, one.lines()) for one in told]
        if verb == "apply":
            told = [apply_rules(bucket, versions_days=days) for bucket in buckets]
    names = ("place", "sweeps", "versioned", "ends_versions", "behind", "added", "changed", "kept")
    if machine(context, as_json):
        say({"stores": [{name: getattr(one, name) for name in names} for one in told]}, True, "Rules")
    else:
        for place, said in lines:
            sys.stdout.write(f"{place}\n")
            sys.stdout.writelines(f"  {line}\n" for line in said or ["there is nothing to change"])
    if not told:
        tell("No store of this collection lies in a bucket that speaks S3.")
    elif not all(one.settled for one in told):
        tell("`catalogkit store lifecycle apply` adds (+) and corrects (~) these; all other rules stay as they are.")
    return DONE if all(one.settled and not one.behind for one in told) else LOOK


@storing.command("replication")
def replication(
    context: typer.Context,
    replica: Annotated[str | None, typer.Option("--with", metavar="URL", help="Compare with this bucket.")] = None,
    store: Annotated[str | None, typer.Option(help="The store that is replicated, where several could be.")] = None,
    checksums: Annotated[bool, typer.Option("--checksums", help="Ask for every SHA-256, a request each.")] = False,
    as_json: Json = False,
) -> int:
    """Whether buckets are ready to be replicated by their server; and what has arrived in a second one."""
    from dataclasses import asdict

    from catalogkit.replicas import compare_replica
    from catalogkit.stores.s3.replication import replication_of
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        told = [replication_of(one.bucket) for one in _in_buckets(collection) if store in (None, one.name)]
        found = compare_replica(collection, replica, store=store, checksums=checksums) if replica else None
    if machine(context, as_json):
        compared = found.to_dict() if found else None
        say({"stores": [asdict(one) for one in told], "replica": compared}, True, "Replication")
    else:
        for one in told:
            words = {True: "is ready", False: "is not ready", None: "may be ready"}
            to = f", to {', '.join(one.targets)}" if one.targets else ""
            sys.stdout.write(f"{one.place} {words[one.ready]} to be replicated by its server{to}\n")
            sys.stdout.writelines(f"  ! {line}\n" for line in one.problems)
            sys.stdout.writelines(f"    {line}\n" for line in one.notes)
        if found:
            for line in found.findings[:50]:
                tell(line)
            say({k: v for k, v in found.to_dict().items() if k not in ("findings", "status")}, False, "Replica")
    if not told:
        tell("No store of this collection lies in a bucket that speaks S3.")
    right = found.complete if found else all(one.ready for one in told)
    return DONE if right else LOOK


def _in_buckets(collection: Collection) -> list[S3Layout]:
    from catalogkit.stores.s3.store import S3Layout

    return [store for store in collection.stores.values() if isinstance(store, S3Layout) and store.settings.s3]


@storing.command("evidence")
def evidence(
    context: typer.Context,
    report: Annotated[str, typer.Argument(metavar="CSV", help="The completion report of a job.")],
    at: Annotated[str | None, typer.Option(help="When it was computed; else when the file was written.")] = None,
    as_json: Json = False,
) -> int:
    """Take the checksums that S3 Batch Operations computed from what lies there into the ledger of checks."""
    from catalogkit.evidence import import_checksums
    from catalogkit.terminal import say, tell
    from catalogkit.units import parse_when

    with context.obj.open() as collection:
        found = import_checksums(collection, report, checked_at=parse_when(at) if at else None)
    for problem in found.findings[:50]:
        tell(problem)
    values = found.to_dict()
    if not machine(context, as_json):
        values = {"ok": found.ok, "corrupt": found.corrupt} | {f"not: {why}": n for why, n in found.left_out.items()}
    say(values, machine(context, as_json), "Evidence")
    return LOOK if found.corrupt else DONE


@storing.command("inventory")
def inventory(
    context: typer.Context,
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="manifest.json, its files beside it.")],
    as_json: Json = False,
) -> int:
    """Compare a list of S3 Inventory with the catalog; what is gone, or of another length, goes into the ledger."""
    from catalogkit.inventories import import_inventory
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        found = import_inventory(collection, manifest)
    for problem in found.findings[:50]:
        tell(problem)
    values = found.to_dict()
    to_machine = machine(context, as_json)
    say(values if to_machine else {k: v for k, v in values.items() if k != "findings"}, to_machine, "Inventory")
    return LOOK if found.missing + found.corrupt + found.changed + found.unsure else DONE


@storing.command("link")
def link(
    context: typer.Context,
    document_id: Annotated[int, typer.Argument(metavar="ID", help="A document in a bucket.")],
    lasts: Annotated[str, typer.Option(help="How long it can be read with it, at most 7d.")] = "1h",
    as_json: Json = False,
) -> int:
    """A presigned URL: whoever has it can read the document for a while; treat it as a secret."""
    from catalogkit.terminal import say
    from catalogkit.units import parse_duration

    with context.obj.open() as collection:
        address = collection.link(document_id, parse_duration(lasts))
    if machine(context, as_json):
        say({"id": document_id, "link": address}, True, "Link")
    else:
        sys.stdout.write(f"{address}\n")
    return DONE


@storing.command("list")
def list_stores(context: typer.Context, as_json: Json = False) -> int:
    """Every store: where it is, whether it can be reached, and what it holds."""
    from catalogkit.errors import StoreError
    from catalogkit.terminal import say

    rows: list[dict[str, Any]] = []
    with context.obj.open() as collection:
        held = collection.frame("locations")
        for store in collection.stores.values():
            try:
                store.reach()
                state = "here"
            except StoreError as problem:
                state = str(problem)
            mine = held.filter(held["store"] == store.name)
            row = {"name": store.name, "place": store.root, "state": state, "copies": mine.height}
            rows.append(row | {"bytes": mine["bytes"].sum(), "new_bytes": store.name == collection.store.name})
    if machine(context, as_json):
        say({"stores": rows}, True, "Stores")
    else:
        for row in rows:
            goes = "  new bytes go here" if row["new_bytes"] else ""
            sys.stdout.write(f"{row['name']:<12} {row['copies']:>9,} copies {row['bytes']:>15,} bytes  {row['place']}")
            sys.stdout.write(f"{goes}\n" if row["state"] == "here" else f"\n    {row['state']}\n")
    return DONE if all(row["state"] == "here" for row in rows) else LOOK


@storing.command("add")
def add_store(context: typer.Context, name: str, url: Url, as_json: Json = False) -> int:
    """Add a store; new bytes still go where they went."""
    from catalogkit.joining import add_store as add
    from catalogkit.terminal import say

    with context.obj.open() as collection:
        add(collection, name, url)
        place = next(store.root for store in collection.stores.values() if store.name == name)
    say({"name": name, "place": place}, machine(context, as_json), "Store")
    return DONE


@storing.command("adopt")
def adopt_store(context: typer.Context, name: str, as_json: Json = False) -> int:
    """Take a store over from another copy of this catalog that is gone for good."""
    from catalogkit.joining import adopt_store as adopt
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        adopt(collection, name)
        place = next(store.root for store in collection.stores.values() if store.name == name)
    say({"name": name, "place": place}, machine(context, as_json), "Store")
    tell("What only the other copy knew of is a stray here: see `catalogkit audit` before anything is removed.")
    return DONE


@storing.command("use")
def use_store(context: typer.Context, name: str, as_json: Json = False) -> int:
    """Send new bytes to another store from now on; what is stored stays where it is."""
    from catalogkit.joining import use_store as use
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        before = collection.store.name
        use(collection, name)
        place = collection.store.root
    say({"name": name, "place": place}, machine(context, as_json), "Store")
    if before != name:
        tell(f"What lies in {before} is moved by `catalogkit plan relocate --from {before} --to {name}`.")
    return DONE


@storing.command("check")
def check(context: typer.Context, url: Url, as_json: Json = False) -> int:
    """Try out what a bucket's server can do (the same as `check-store`)."""
    return check_store(context, url, as_json)


def check_store(context: typer.Context, url: Url, as_json: Json = False) -> int:
    """Test what a bucket's server can do, with a few small objects that are removed afterwards."""
    from catalogkit.errors import InvalidInput
    from catalogkit.stores.s3.probing import probe
    from catalogkit.stores.s3.settings import EXAMPLES, S3Settings, is_bucket
    from catalogkit.terminal import say

    if not is_bucket(url):
        raise InvalidInput(f"only buckets are tried out: {EXAMPLES}; a folder is, when a store is made in it")
    found = probe(S3Settings.parse(url))
    values = found.to_dict()
    if machine(context, as_json):
        say(values, True, "Store")
    else:
        signs = {True: "yes", False: "no", None: "?"}
        for one in found.found:
            word = "NO" if one.needed and not one.works else signs[one.works]
            sys.stdout.write(f"{word:>4}  {one.name}{': ' if one.detail else ''}{one.detail}\n")
        sys.stdout.write(f"{found.place} can{'' if values['usable'] else 'NOT'} hold a store.\n")
    return DONE if values["usable"] else LOOK


@planning.command("relocate")
def plan_relocate(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", help="The store to move to.")],
    source: Annotated[str | None, typer.Option("--from", help="The store to leave; else where new bytes go.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Copy only: what lies here stays as well.")] = False,
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Move everything in one store to another; it is read back there before it is dropped here."""
    from catalogkit.planning import plan_relocate as make

    return planned(context, lambda one: make(one, to, source=source, keep=keep, limit=limit), out, as_json)

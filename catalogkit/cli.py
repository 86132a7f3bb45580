"""The command line: one command per verb. It reads the clock and the environment; nothing below it does.

Exit codes: 0 done, 1 error, 2 something waits for a person (findings to look at), 130 interrupted (run it again).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from catalogkit import commands
from catalogkit.door import DONE, ERROR, INTERRUPTED, Door, Json
from catalogkit.errors import CatalogKitError

app = typer.Typer(
    name="catalogkit",
    cls=commands.Grouped,
    help="Know every document, prove its bytes, shrink the pile safely.",
    epilog="Exit codes: 0 done, 1 error, 2 something waits for a person, 130 interrupted (run it again to go on).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help needs no imports and starts at once
)

# What every complaint about a command's words has in common (typer names only this one of them).
_USAGE: Final[type[Any]] = typer.BadParameter.__mro__[1]


def _version(wanted: bool) -> None:
    if wanted:
        from catalogkit import __version__

        sys.stdout.write(f"catalogkit {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Option("-C", metavar="DIR", help="The collection; else $CATALOGKIT_HOME, else the current folder."),
    ] = None,
    catalog: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Instead of -C: a catalog on a server, postgresql://user@host/database."),
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="With --catalog: the store, where the catalog does not say.")
    ] = None,
    as_json: Json = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Know every document, prove its bytes, shrink the pile safely."""
    if folder is not None and catalog is not None:
        raise typer.BadParameter("give -C or --catalog, not both")
    context.obj = Door(folder, as_json, catalog, store)
    context.call_on_close(context.obj.close)


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
        sys.stderr.write(_misplaced(problem))
        code = _failed(problem)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    sys.exit(code or DONE)


def _misplaced(problem: Any) -> str:
    """Where an option belongs that was given after the command and goes before it."""
    option = getattr(problem, "option_name", "")
    if option not in ("-C", "--catalog", "--store") or problem.ctx is None:
        return ""
    command = problem.ctx.command_path.removeprefix(problem.ctx.find_root().command_path).strip()
    value = "DIR" if option == "-C" else "URL"
    return f"{option} goes before the command: catalogkit {option} {value} {command} ...\n"


def _failed(problem: BaseException) -> int:
    """A machine that listens gets its one JSON object also when things go wrong."""
    if "--json" in sys.argv[1:]:
        import json

        sys.stdout.write(json.dumps({"error": str(problem), "kind": type(problem).__name__}) + "\n")
    return ERROR

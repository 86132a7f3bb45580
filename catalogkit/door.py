"""What every command shares: which collection it is about, whether a machine listens, how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from catalogkit.collection import Collection

DONE, ERROR, LOOK, INTERRUPTED = 0, 1, 2, 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


class Door:
    """What the options before the command say."""

    def __init__(self, folder: Path | None, as_json: bool) -> None:
        self.folder, self.as_json = folder, as_json

    def open(self) -> Collection:
        """The collection; ``-C``, else ``$CATALOGKIT_HOME``, else the current folder."""
        from catalogkit.collection import open_collection

        return open_collection(self.folder)


def machine(context: typer.Context, as_json: bool) -> bool:
    """Whether ``--json`` was given, before the command or after it."""
    return bool(as_json or context.obj.as_json)

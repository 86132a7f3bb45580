"""What every command shares: which collection, JSON or text, exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from catalogkit.config import TelemetryConfig
    from catalogkit.telemetry import Telemetry

DONE, ERROR, LOOK, INTERRUPTED = 0, 1, 2, 130

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


class Door:
    """What the options before the command say."""

    def __init__(
        self, folder: Path | None, as_json: bool, catalog: str | None = None, store: str | None = None
    ) -> None:
        self._folder, self.as_json, self._catalog, self._store = folder, as_json, catalog, store
        self._telemetry: Telemetry | None = None

    @property
    def folder(self) -> Path | None:
        """What ``-C`` says; this machine's folder of the catalog that ``--catalog`` names; else None."""
        if self._catalog is None:
            return self._folder
        if self._folder is None:
            with self._opened() as collection:
                self._folder = collection.path
        return self._folder

    @property
    def named(self) -> Path | str | None:
        """What ``-C`` or ``--catalog`` says, as it was written; nothing is opened."""
        return self._catalog or self._folder

    @property
    def store(self) -> str | None:
        """What ``--store`` says."""
        return self._store

    def open(self) -> Collection:
        """The collection; ``--catalog`` or ``-C``, else ``$CATALOGKIT_HOME``, else the current folder."""
        collection = self._opened()
        self._measure(collection.config.telemetry, collection.path)
        return collection

    def _opened(self) -> Collection:
        from catalogkit.collection import open_collection

        return open_collection(self._catalog or self._folder, store=self._store)

    def measure(self) -> None:
        """Measure, where the settings say so, a command that does not open the collection."""
        from catalogkit.collection import home_of
        from catalogkit.config import read_config

        home = home_of(self.folder)
        self._measure(read_config(home).telemetry, home)

    def close(self) -> None:
        """Send what was measured; waits for a bounded time and never fails."""
        if self._telemetry is not None:
            self._telemetry.stop()

    def _measure(self, settings: TelemetryConfig, home: Path) -> None:
        from catalogkit.telemetry import start

        if self._telemetry is None:
            self._telemetry = start(settings=settings, folder=home)


def machine(context: typer.Context, as_json: bool) -> bool:
    """Whether ``--json`` was given, before the command or after it."""
    return bool(as_json or context.obj.as_json)

"""Output of the command line: progress on stderr, text for people, one JSON object for machines."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from dataclasses import asdict, is_dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from catalogkit.progress import OnProgress, Progress


def say(values: Mapping[str, Any], as_json: bool, title: str) -> None:
    """Print a result: one JSON object on stdout, or named facts."""
    if as_json:
        sys.stdout.write(json.dumps(dict(values), default=_plain, ensure_ascii=False) + "\n")
    else:
        from catalogkit.reprs import brief

        sys.stdout.write(brief(title, values)["text/plain"] + "\n")


def tell(text: str) -> None:
    """Print a message for a person, on stderr."""
    sys.stderr.write(f"{text}\n")


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


@contextlib.contextmanager
def progress_bar(verb: str) -> Iterator[OnProgress]:
    """Show progress where a person looks on; nothing where stderr is a file or a pipe."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[read]}"), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(verb, total=None, read="")

        def show(progress: Progress) -> None:
            trouble = f", {progress.troubles} to look at" if progress.troubles else ""
            of = f" of {progress.total:,}" if progress.total else ""
            words = f"{verb}: {progress.done:,}{of} files{trouble}"
            whole = f" of {decimal(progress.total_bytes)}" if progress.total_bytes else ""
            read = decimal(progress.bytes) + whole
            bar.update(task, completed=progress.bytes, total=progress.total_bytes, description=words, read=read)

        yield show


@contextlib.contextmanager
def stoppable() -> Iterator[threading.Event]:
    """The first Ctrl-C asks the work to stop at a whole step; a second one interrupts it."""
    stop = threading.Event()

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        tell("stopping at the next whole step; press Ctrl-C again to interrupt")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)

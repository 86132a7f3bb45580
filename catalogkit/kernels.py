"""Sets up telemetry in the kernel of a report, which is a process of its own.

Whoever runs a notebook hands its kernel a line to begin with, and only where something is to be sent: in a kernel that
a person works in nothing begins by itself (`catalogkit.telemetry.start` does it there).
"""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from catalogkit.config import TelemetryConfig, read_config
from catalogkit.errors import NotACollection
from catalogkit.telemetry import start, wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["begin", "exporters", "first_lines"]

# Nobody can scrape a kernel that ends with its report, and what it writes on stderr would become a part of the page.
_NOT_HERE: Final = frozenset({"prometheus", "console"})
_EXPORTERS: Final = ("OTEL_METRICS_EXPORTER", "OTEL_TRACES_EXPORTER")


def first_lines(collection: str | None) -> list[str]:
    """The arguments that make a kernel begin to measure, and its spans parts of the span that is open here; or none.

    Parameters
    ----------
    collection
        Whose settings say where to; the environment does where there is none.
    """
    if not wanted(_settings(collection), os.environ | exporters(os.environ)):
        return []
    here: dict[str, str] = {}
    if "opentelemetry" in sys.modules:
        from opentelemetry.propagate import inject

        inject(here)
    call = f"from catalogkit.kernels import begin; begin({collection!r}, {here.get('traceparent', '')!r})"
    return [f"--IPKernelApp.exec_lines={call}"]


def begin(collection: str | None, parent: str) -> None:
    """Measure until this process ends, as part of the span `parent` (a W3C ``traceparent``)."""
    os.environ.update(exporters(os.environ))
    running = start(settings=_settings(collection), folder=Path(collection) if collection else None)
    if not running.running:
        return
    from opentelemetry.context import attach
    from opentelemetry.propagate import extract

    attach(extract({"traceparent": parent}))
    atexit.register(running.stop)


def _settings(collection: str | None) -> TelemetryConfig:
    try:
        found = read_config(Path(collection)).telemetry if collection else TelemetryConfig()
    except NotACollection:  # the notebook will say so
        return TelemetryConfig()
    return msgspec.structs.replace(found, exporter="none") if found.exporter in _NOT_HERE else found


def exporters(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that name exporters, less those that are not for a kernel."""
    told = {name: environ[name].split(",") for name in _EXPORTERS if environ.get(name)}
    left = {name: [one for one in some if one.strip().lower() not in _NOT_HERE] for name, some in told.items()}
    return {name: ",".join(some) or "none" for name, some in left.items()}

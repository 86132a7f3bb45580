"""What is installed on this machine, as far as catalogkit needs it; `equipment` judges it. Nothing heavy is loaded."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from catalogkit import equipment
from catalogkit.catalog.sqlite.base import MINIMUM_SQLITE, sqlite_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalogkit.checkup import HealthCheck

__all__ = ["look_at_machine"]


def look_at_machine(wanted: dict[str, str]) -> Iterator[HealthCheck]:
    """Versions, extras (`wanted`: those that settings ask for, and which setting), and the kernel for reports."""
    from catalogkit import __version__

    installed = dict(_installed())
    yield equipment.versions(__version__, platform.python_version(), sqlite_version(), MINIMUM_SQLITE)
    yield from equipment.extras(installed, _needed(), wanted)
    yield equipment.kernel(installed.get("ipykernel"), *_kernel())


def _needed() -> dict[str, tuple[str, str]]:
    """What catalogkit's own metadata say of versions: of each package ``>=`` or ``==``, and which."""
    try:
        lines = metadata.requires("catalogkit") or []
    except metadata.PackageNotFoundError:  # it runs out of a checkout
        return {}
    found = (re.match(r"([\w.-]+)[^;]*?(>=|==)\s*([\w.]+)", line) for line in lines)
    return {one[1]: (one[2], one[3]) for one in found if one}


def _installed() -> Iterator[tuple[str, str]]:
    for name in {*_needed(), *(name for extra in equipment.EXTRAS for name in equipment.packages(extra))}:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield name, metadata.version(name)


def _kernel() -> tuple[str, str | None]:
    """Where the kernel ``python3`` is described, and the program that it names, if that is not there."""
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:
        return "", None
    for folder in jupyter_path("kernels"):
        about = os.path.join(folder, "python3", "kernel.json")
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError, TypeError):
            program = str(json.loads(Path(about).read_text(encoding="utf-8"))["argv"][0])
            # One without a folder is the Python that asks.
            return about, program if os.path.isabs(program) and not os.path.exists(program) else None
    return "", None

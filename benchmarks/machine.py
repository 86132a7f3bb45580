"""What a result depends on besides the code: the machine, its disk, the versions of everything."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import catalogkit

_VERSIONS: Final = {
    "openssl": ["openssl", "version"],
    "sha256sum": ["sha256sum", "--version"],
    "hashdeep": ["hashdeep", "-V"],
    "rhash": ["rhash", "--version"],
    "restic": ["restic", "version"],
    "borg": ["borg", "--version"],
    "git-annex": ["git-annex", "version", "--raw"],
    "dvc": ["dvc", "--version"],
    "jdupes": ["jdupes", "-v"],
    "rdfind": ["rdfind", "--version"],
    "rmlint": ["rmlint", "--version"],
    "rclone": ["rclone", "version"],
    "pdfinfo": ["pdfinfo", "-v"],
}


def facts(folder: Path) -> dict[str, Any]:
    """Of this machine, with the disk that `folder` lies on."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "processor": _after("/proc/cpuinfo", "model name"),
        "memory": _after("/proc/meminfo", "MemTotal"),
        "kernel": f"{platform.system()} {platform.release()}",
        "disk": _disk(os.path.realpath(folder)),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "catalogkit": catalogkit.__version__,
        "peers": {name: _first_line(line) for name, line in _VERSIONS.items() if shutil.which(name)},
    }


def _after(path: str, name: str) -> str:
    """What a file of the kernel says after a name; nothing where there is no such file."""
    if not os.path.exists(path):
        return ""
    lines = Path(path).read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _disk(folder: str) -> str:
    """Type and options of the file system that holds a folder: of the mounts above it, the longest."""
    if not os.path.exists("/proc/self/mounts"):
        return ""
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [row for row in rows if f"{folder}/".startswith(row[1].rstrip("/") + "/")]
    best = max(above, key=lambda row: len(row[1]))
    return f"{best[2]} ({best[3]})"


def _first_line(argv: list[str]) -> str:
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).strip().partition("\n")[0]

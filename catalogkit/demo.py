"""The demo collection: real documents, with an invented story of how they were downloaded.

Fourteen nights of six resolvers fetching what they were asked for, often what another had fetched before. Up to the
spring their files lie where the downloader left them; since May they are taken into a content-addressed store.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from catalogkit.collection import Collection, init, open_collection
from catalogkit.config import CONFIG_NAME
from catalogkit.errors import InvalidInput, SourceError
from catalogkit.ingest import ingest
from catalogkit.progress import OnProgress, quiet
from catalogkit.snapshots import take_snapshot
from catalogkit.verify import verify
from catalogkit.workers import Inline

LABEL: Final = "Demo data: the documents are real; resolvers, URLs, runs and dates are invented."
WHOLE, BEGUN = "demo.txt", ".demo-begun"
# What a team with such a collection might settle on, so that there is something to look at.
RETENTION: Final = """
[retention]
age_days = 90
content_type_rules = { "application/pdf" = 180, "text/html" = { shorten = 45 } }
resolver_rules = { arxiv = 240 }
"""
# From here on the invented team used catalogkit's store; what came before stayed in place.
ADOPTED: Final = datetime(2026, 5, 1, tzinfo=UTC)
NIGHTLY_BYTES: Final = 600_000
KEPT: Final = timedelta(days=3)


def demo_data() -> Path:
    """The folder of the demo's documents: beside the package in a checkout, inside it once installed."""
    package = Path(__file__).parent
    for folder in (package.parent / "tests" / "data" / "demo", package / "_demo"):
        if (folder / "manifest.jsonl").is_file():
            return folder
    raise InvalidInput("the demo's documents are not installed; reinstall catalogkit")


def is_demo(collection: Collection) -> bool:
    """Whether a collection tells the invented story.

    Examples
    --------
    >>> ck.is_demo(c)
    False
    """
    return (collection.path / WHOLE).is_file()


def build_demo(path: Path, *, progress: OnProgress = quiet) -> Collection:
    """Make the demo's collection in `path`, or open it if it is there.

    Raises
    ------
    InvalidInput
        If something else is there.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two notebooks that start at once build it once
        if not (path / WHOLE).is_file():
            if (path / BEGUN).is_file():
                shutil.rmtree(path)  # ours, and interrupted
                path.mkdir()
            if any(path.iterdir()):
                raise InvalidInput(f"{path} is not empty and not the demo; name another folder with -C")
            (path / BEGUN).touch()
            _tell(path, progress)
            (path / WHOLE).write_text(f"{LABEL}\n", encoding="utf-8")
    return open_collection(path)


def demo_collection() -> Collection:
    """The demo's collection for whoever names no other; kept in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "catalogkit"
    told = hashlib.sha256((demo_data() / "manifest.jsonl").read_bytes() + Path(__file__).read_bytes())
    return build_demo(cache / f"demo-{told.hexdigest()[:12]}")


def _tell(folder: Path, progress: OnProgress) -> None:
    data = demo_data()
    rows = [json.loads(line) for line in (data / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    init(folder).close()
    with (folder / CONFIG_NAME).open("a", encoding="utf-8") as settings:
        settings.write(RETENTION)
    with open_collection(folder) as collection:
        for run_id, of_run in groupby(rows, key=lambda row: row["run_id"]):
            night = list(of_run)
            as_of = datetime.fromisoformat(night[-1]["fetched_at"]) + timedelta(minutes=5)
            manifest = _download(data, folder / "downloads" / run_id, night)
            mode = "move" if as_of >= ADOPTED else "reference"
            report = ingest(collection, manifest=manifest, mode=mode, run_id=run_id, as_of=as_of, progress=progress)
            if report.failed:
                raise SourceError("the demo's documents could not be taken in: {}: {}".format(*report.failures[0]))
            # Every night reads as much again as its budget allows, longest unchecked first.
            verify(collection, max_bytes=NIGHTLY_BYTES, as_of=as_of + timedelta(minutes=20), executor=Inline())
            taken = as_of + timedelta(minutes=30)
            take_snapshot(collection, run_id, expires_at=taken + KEPT, parquet=False, as_of=taken)


def _download(data: Path, folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Leave behind what a downloader would: a file for every fetch, and a manifest."""
    folder.mkdir(parents=True)
    with (folder / "manifest.jsonl").open("w", encoding="utf-8") as manifest:
        for number, row in enumerate(rows, 1):
            name = f"{row['resolver']}-{number:03d}-{Path(row['path']).name}"
            shutil.copyfile(data / row["path"], folder / name)
            manifest.write(json.dumps(row | {"path": name}) + "\n")
    return folder / "manifest.jsonl"

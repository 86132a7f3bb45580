"""A machine that takes work on and never gets anywhere: ``python -m tests.verify.machine COLLECTION WORK PLAN``."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Never

from catalogkit.apply import apply
from catalogkit.collection import open_collection
from catalogkit.extract.backfill import extract
from catalogkit.plan import Plan
from tests.conftest import NOON, Clock


class Stuck(Executor):
    """Says that it is at work, and is."""

    def submit(self, *_: Any, **__: Any) -> Never:
        """Never come back."""
        os.write(1, b"at work\n")
        threading.Event().wait()
        raise AssertionError


def main(path: str, work: str, plan: str) -> None:
    """Begin, and be killed."""
    with open_collection(Path(path), clock=Clock(NOON)) as collection:
        if work == "extract":
            extract(collection, executor=Stuck())
        else:
            apply(collection, Plan.load(Path(plan)), unapproved=True, max_share=1, executor=Stuck())


if __name__ == "__main__":
    main(*sys.argv[1:])

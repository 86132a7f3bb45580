"""Progress of long work: a callback that gets a `Progress` now and then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work is; `total` and `total_bytes` are None while nobody knows."""

    verb: str
    done: int
    bytes: int
    total: int | None = None
    total_bytes: int | None = None
    troubles: int = 0


OnProgress = Callable[[Progress], None]


def quiet(progress: Progress) -> None:
    """Tell nobody."""

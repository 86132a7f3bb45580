"""The result of an ingest, file by file, and what it completed or dropped of dead ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from catalogkit.model import path_text

KEPT_FAILURES: Final = 1000
# What is counted for telemetry.
TOLD: Final = ("ingested", "skipped", "failed", "bytes", "new_blobs")


@dataclass(slots=True)
class IngestReport:
    """What an ingest did. Every file it met is counted once: ingested, skipped or failed.

    What others had begun, and died of, comes in addition: so many documents `recovered`, intents `dropped`, with why.
    """

    run_id: str
    ingested: int = 0
    skipped: int = 0
    failed: int = 0
    bytes: int = 0
    new_blobs: int = 0
    recovered: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    interrupted: bool = False
    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def skip(self, reason: str, count: int = 1) -> None:
        """Count files that need nothing done."""
        self.skipped += count
        self.reasons[reason] += count

    def fail(self, path: str, reason: str) -> None:
        """Count a file that could not be taken in; the first thousand are kept by name."""
        self.failed += 1
        if len(self.failures) < KEPT_FAILURES:
            self.failures.append((path_text(path), reason))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        failures = [{"path": path, "reason": reason} for path, reason in self.failures]
        return {name: getattr(self, name) for name in self.__slots__} | {
            "dropped": dict(self.dropped),
            "reasons": dict(self.reasons),
            "failures": failures,
        }

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        words = {f"skipped: {why}": count for why, count in self.reasons.items()}
        words |= {f"begun earlier, and dropped: {why}": count for why, count in self.dropped.most_common(20)}
        shown = {name: value for name, value in self.to_dict().items() if not isinstance(value, dict | list)}
        return facts("Ingest", shown | words | dict(self.failures[:20]))

"""The result of a run of extraction."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

KEPT_FINDINGS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Unread:
    """A blob whose bytes could not be had: why, and what its copy was found to be, if it was examined."""

    sha256: str
    place: str
    detail: str
    outcome: str = ""


@dataclass(slots=True)
class ExtractReport:
    """What a run of extraction came to.

    Attributes
    ----------
    extracted, refused : int
        Blobs that something could be told of, and those that nothing could.
    unread : int
        Blobs whose bytes could not be had, or are not what they should be; they stay due.
    reasons : dict of str to int
        The refused by reason.
    elsewhere : int
        Blobs that other runs were at, and which were left to them.
    left : int
        Blobs that are still due.
    bytes : int
        Bytes read.
    stopped : str
        Why the run ended early; empty where it did not.
    findings : list of Unread
        What could not be read (the first thousand).
    """

    run_id: str = ""
    extracted: int = 0
    refused: int = 0
    unread: int = 0
    elsewhere: int = 0
    left: int = 0
    bytes: int = 0
    seconds: float = 0.0
    stopped: str = ""
    reasons: Counter[str] = field(default_factory=Counter)
    findings: list[Unread] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Blobs that were read, whatever came of it."""
        return self.extracted + self.refused

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, fit for JSON."""
        findings = [{name: getattr(one, name) for name in one.__slots__} for one in self.findings]
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"reasons": dict(self.reasons), "findings": findings}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        shown = {name: getattr(self, name) for name in ("extracted", "refused", "unread", "left", "bytes", "seconds")}
        shown |= {"another run is at it": self.elsewhere} if self.elsewhere else {}
        return facts("Extract", shown | {f"refused: {reason}": count for reason, count in self.reasons.items()})

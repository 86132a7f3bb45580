"""Findings of an audit as data, and the pure comparisons that lead to them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalogkit.audit_codes import CODES, Code, Severity
from catalogkit.audit_sample import parts
from catalogkit.model import Check, Digest

if TYPE_CHECKING:
    from array import array
    from datetime import datetime

    import polars as pl

    from catalogkit.audit_sample import Drawn, Part, Sampling
    from catalogkit.model import Outcome

KEPT: Final = 100_000
"""So many findings are kept whole; what is beyond is counted, by code."""


# -- what is compared --------------------------------------------------------------------------------------------


class Copy(NamedTuple):
    """A copy as the catalog has it; `bytes` is None where its content is not on record."""

    location_id: int
    store_id: int
    key: str
    digest: bytes
    bytes: int | None
    inode: int | None
    mtime_ns: int | None
    created_us: int
    checked_us: int
    outcome: str | None
    changed_us: int

    def check(self, when: datetime, outcome: Outcome, method: str, *, size: int = 0, detail: str = "") -> Check:
        """What the ledger is told of it: `size` bytes were read."""
        return Check(
            location_id=self.location_id, sha256=Digest(self.digest), checked_at=when, outcome=outcome, bytes=size,
            method=method, detail=detail, changed_us=self.changed_us,
        )  # fmt: skip


class Look(NamedTuple):
    """What lies at a place, told without reading it; `kind` is ``file``, ``folder``, ``symbolic link`` or the like."""

    kind: str
    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int | None
    names: int
    writable: bool
    device: int = 0

    @property
    def object(self) -> int:
        """One number for the file behind the name, the same for all its names, as a signed 64-bit number."""
        return hash((self.device, self.inode))


class Listed(NamedTuple):
    """An entry of a store: `key` is its place in the store as text, `ours` says whether it has a layout's form."""

    key: str
    kind: str
    ours: bool


class Unlisted(NamedTuple):
    """A folder of a store that could not be listed."""

    place: str
    why: str


class Fact(NamedTuple):
    """A fact of the catalog that contradicts another one; `key` lies in the store of that name, if there is one."""

    object: str
    store: str | None
    key: str | None
    detail: str


class BadCopy(NamedTuple):
    """A copy of a content that documents need, which the last check found bad; of `copies`, `bad` are."""

    location_id: int
    store: str
    key: str
    digest: bytes
    outcome: str
    checked_us: int
    copies: int
    bad: int


def compare(copy: Copy, look: Look | None) -> tuple[Code, str] | None:
    """What is plainly wrong with a copy, without reading it: the worst only, for the lesser follow from it."""
    if look is None:
        return Code.MISSING_FILE, "nothing lies there"
    if look.kind != "file":
        return Code.WRONG_TYPE, f"a {look.kind} lies there"
    if copy.bytes is not None and look.bytes != copy.bytes:
        return Code.WRONG_SIZE, f"{look.bytes:,} bytes instead of {copy.bytes:,}"
    return None


def drift(copy: Copy, look: Look) -> str:
    """How a file differs from the one that was published, in words; nothing where it does not."""
    parts = []
    if copy.inode is not None and look.inode is not None and copy.inode != look.inode:
        parts.append(f"inode {look.inode} instead of {copy.inode}")
    if copy.mtime_ns is not None and look.mtime_ns != copy.mtime_ns:
        parts.append(f"modified {abs(look.mtime_ns - copy.mtime_ns) / 1e9:,.6g} s "
                     f"{'later' if look.mtime_ns > copy.mtime_ns else 'earlier'}")  # fmt: skip
    return ", ".join(parts)


def shared_inodes(locations: array[int], inodes: array[int], contents: array[int]) -> list[list[int]]:
    """Locations, given with their file and 64 bits of their digest, in groups of one file and several digests."""
    import polars as pl

    columns = {"location": pl.Int64(), "inode": pl.Int64(), "content": pl.Int64()}
    frame = pl.DataFrame({"location": locations, "inode": inodes, "content": contents}, schema_overrides=columns)
    groups = frame.group_by("inode", maintain_order=True).agg("location", pl.col("content").n_unique())
    return groups.filter(pl.col("content") > 1)["location"].to_list()


# -- what comes of it --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: its code, what it is about, where that lies (in full), and the evidence."""

    code: Code
    object: str
    path: str
    detail: str

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return self.code.severity

    def to_dict(self) -> dict[str, str]:
        """As plain data: code, severity, object, path, detail."""
        return {
            "code": self.code.value,
            "severity": self.severity.value,
            "object": self.object,
            "path": self.path,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class OrphanFile(Finding):
    """A file in a store without a record: at a key of a layout, or (an info) a foreign one."""


@dataclass(frozen=True, slots=True)
class MissingFile(Finding):
    """A copy on record whose file is missing."""


@dataclass(frozen=True, slots=True)
class HashMismatch(Finding):
    """A copy whose bytes are not those of its content."""


@dataclass(frozen=True, slots=True)
class DataIssue(Finding):
    """Facts of the catalog that contradict each other, or a rule."""


_KINDS: Final = {
    Code.ORPHAN_FILE: OrphanFile,
    Code.FOREIGN_FILE: OrphanFile,
    Code.MISSING_FILE: MissingFile,
    Code.WRONG_SIZE: HashMismatch,
    Code.WRONG_CONTENT: HashMismatch,
    Code.SHARED_INODE: HashMismatch,
}


def finding(code: Code, about: str, path: str, detail: str) -> Finding:
    """A finding of the class that fits its code."""
    return _KINDS.get(code, Finding if code[:2] in ("A1", "A2") else DataIssue)(code, about, path, detail)


@dataclass(frozen=True, slots=True)
class Unseen:
    """What an audit did not see, and why."""

    what: str
    why: str


@dataclass(slots=True)
class AuditReport:
    """What an audit found, and what it did not see.

    Attributes
    ----------
    findings : list of Finding
        In the order they were found; the first hundred thousand.
    counts : dict of str to int
        All findings, by code.
    unseen : list of Unseen
        What could not be looked at, and why; the audit is `complete` where there is nothing.
    files, copies : int
        Entries of stores, and copies on record, that were looked at.
    sampling : Sampling or None
        How many copies were read, and the odds; None where reading was not asked for.
    coverage : dict or None
        How much of what is stored was verified within 30 days; None of a sample.
    drawn : Drawn or None
        What a sample looked at; None where that was everything.
    """

    as_of: datetime
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    unseen: list[Unseen] = field(default_factory=list)
    files: int = 0
    copies: int = 0
    sampling: Sampling | None = None
    coverage: dict[str, Any] | None = None
    seconds: float = 0.0
    interrupted: bool = False
    drawn: Drawn | None = None

    @property
    def complete(self) -> bool:
        """Whether the audit looked everywhere."""
        return not self.unseen

    @property
    def clean(self) -> bool:
        """Whether it looked everywhere and found no error and no warning."""
        return self.complete and not any(CODES[code].severity is not Severity.INFO for code in self.counts)

    def add(self, code: Code, about: str, path: str, detail: str) -> None:
        """Count a fault, and keep it as a finding."""
        self.counts[code.value] += 1
        if len(self.findings) < KEPT:
            self.findings.append(finding(code, about, path, detail))

    def miss(self, what: str, why: str) -> None:
        """Note what could not be looked at."""
        if len(self.unseen) < KEPT:
            self.unseen.append(Unseen(what, why))

    @property
    def parts(self) -> dict[str, Part]:
        """Of a sample, how many of how many documents and copies were looked at; nothing where that was everything."""
        return parts(self.drawn, self.copies) if self.drawn else {}

    def severities(self) -> dict[str, int]:
        """How many findings of each severity there are, also where there are none."""
        found = dict.fromkeys((severity.value for severity in Severity), 0)
        for code, count in self.counts.items():
            found[CODES[code].severity] += count
        return found

    def frame(self) -> pl.DataFrame:
        """The findings as a frame: code, severity, object, path, detail, what, todo; worst first."""
        import polars as pl

        schema = dict.fromkeys(("code", "severity", "object", "path", "detail", "what", "todo"), pl.String())
        rank = {severity.value: place for place, severity in enumerate(Severity)}
        found = sorted(self.findings, key=lambda one: (rank[one.severity], one.code, one.path, one.object))
        rows = [(*one.to_dict().values(), one.code.what, one.code.todo) for one in found]
        return pl.DataFrame(rows, schema=schema, orient="row")

    def unseen_frame(self) -> pl.DataFrame:
        """What was not seen as a frame: what, why."""
        import polars as pl

        schema = dict.fromkeys(("what", "why"), pl.String())
        return pl.DataFrame([(one.what, one.why) for one in self.unseen], schema=schema, orient="row")

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, fit for JSON."""
        return {
            "complete": self.complete,
            "findings": [one.to_dict() for one in self.findings],
            "counts": dict(sorted(self.counts.items())),
            **self.severities(),
            "left_out": self.counts.total() - len(self.findings),
            "unseen": [asdict(one) for one in self.unseen],
            "files": self.files,
            "copies": self.copies,
            "sampling": None if self.sampling is None else self.sampling.to_dict(),
            "coverage": self.coverage,
            "as_of": self.as_of.isoformat(),
            "seconds": self.seconds,
            "interrupted": self.interrupted,
            "parts": {name: asdict(part) for name, part in self.parts.items()},
        }

    def in_words(self) -> dict[str, object]:
        """The headline as named facts for a person."""
        shown: dict[str, object] = {"complete": "yes" if self.complete else "no", **self.severities()}
        shown |= {"files_seen": self.files, "copies_seen": self.copies}
        if self.sampling is not None:
            shown["copies_read"] = self.sampling.in_words()
        if self.interrupted:
            shown["interrupted"] = "these are the findings so far"
        return shown

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        shown = self.in_words() | {f"not seen: {one.what}": one.why for one in self.unseen[:20]}
        return facts(
            "Audit", shown | {f"{one.code} {one.path or one.object}": one.detail for one in self.findings[:20]}
        )

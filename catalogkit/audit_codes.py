"""Every kind of fault an audit can find: one table for the code, the page `docs/audit.md` and the tests.

Codes are stable: one that is no longer used is not given to another fault. Severities: *error*, bytes or facts are lost
or wrong; *warning*, they may be, or somebody left work half done; *info*, worth knowing, nothing is wrong.
"""

from __future__ import annotations

import enum
from typing import Final, Self


class Severity(enum.StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Code(enum.StrEnum):
    """A kind of fault: its code, how much it matters, what it is, what to do about it."""

    severity: Severity
    what: str
    todo: str

    def __new__(cls, code: str, severity: str, what: str, todo: str) -> Self:
        """A code with what it means."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.severity, member.what, member.todo = Severity(severity), what, todo
        return member

    STORE_MISMATCH = (
        "A101", "error", "The store at this place belongs to another catalog.",
        "Mount the right disk or correct the store's URL in catalogkit.toml; nothing in it was looked at.",
    )  # fmt: skip
    ORPHAN_FILE = (
        "A102", "warning", "A file lies at a key of the store, and no record names it (an orphan file).",
        "Copy it elsewhere and ingest that, or let `catalogkit plan gc` condemn it.",
    )  # fmt: skip
    FOREIGN_FILE = (
        "A103", "info", "Something that is not a file of any layout lies in the store.",
        "Move it elsewhere if it does not belong there; catalogkit never touches it.",
    )  # fmt: skip
    QUARANTINED_FILE = (
        "A104", "info", "Bad bytes were moved aside and kept.",
        "Look at them if you want to know what went wrong; then they may be removed by hand.",
    )  # fmt: skip
    LEFT_TEMPORARY = (
        "A105", "info", "An ingest that died left temporary files.",
        "Nothing needs to be done: the next `catalogkit ingest` removes them.",
    )  # fmt: skip
    CLOCK_SKEW = (
        "A106", "warning", "The file system's clock is ahead of the catalog's.",
        "Set both machines' clocks by NTP; ages and graces are counted wrong until then.",
    )  # fmt: skip

    MISSING_FILE = (
        "A201", "error", "The file of a copy is missing.",
        "Run `catalogkit plan repair`; with `--fetch` it may download it again. Else restore a backup.",
    )  # fmt: skip
    WRONG_TYPE = (
        "A202", "error", "Something other than a regular file lies where a copy should be.",
        "Find out who put it there, then run `catalogkit plan repair`; else restore a backup.",
    )  # fmt: skip
    WRONG_SIZE = (
        "A203", "error", "A copy has the wrong size.",
        "Run `catalogkit plan repair`; with `--fetch` it may download it again. Else restore a backup.",
    )  # fmt: skip
    WRONG_CONTENT = (
        "A204", "error", "A copy was read, and its SHA-256 is wrong.",
        "Suspect the disk, then run `catalogkit plan repair`; else restore a backup.",
    )  # fmt: skip
    SHARED_INODE = (
        "A205", "error", "One file is on record as the copy of two contents.",
        "At most one of the copies can be right: run `catalogkit verify`, then `catalogkit plan repair`.",
    )  # fmt: skip
    KNOWN_BAD = (
        "A206", "warning", "The last check found this copy bad; it was not read again, and another copy is healthy.",
        "Run `catalogkit plan repair`, which takes it from the healthy copy.",
    )  # fmt: skip
    WRITABLE = (
        "A207", "warning", "A copy in the store is writable.",
        "Find out who changed its mode, then make it read-only again (`chmod a-w`).",
    )  # fmt: skip
    TOUCHED = (
        "A208", "info", "A copy is not the file that was published: its inode or its time differs.",
        "A restore or a copy explains it. Where it was read and is right, nothing is to be done; else verify it.",
    )  # fmt: skip
    SPARE_COPIES = (
        "A209", "info", "A store holds one content in several files.",
        "`catalogkit plan dedup` makes them one; `catalogkit report dedup_analytics` shows what that frees.",
    )  # fmt: skip

    DOCUMENT_LOST = (
        "A301", "error", "A document has no healthy copy: the last checks found all of them bad.",
        "Run `catalogkit plan repair --fetch`; else restore a backup.",
    )  # fmt: skip
    NO_LOCATION = (
        "A302", "error", "Something needs a content of which no copy is known.",
        "Restore it from a backup, or take the document in again.",
    )  # fmt: skip
    PURGED_LOCATION = (
        "A303", "error", "A content is marked as purged, but a copy of it is still on record.",
        "Somebody changed the catalog by other means: restore it from a backup.",
    )  # fmt: skip
    WRONG_REFS = (
        "A304", "error", "The recorded number of documents of a content is wrong.",
        "Collect no garbage before this is right: restore the catalog from a backup, or correct the number.",
    )  # fmt: skip
    CONDEMNED_NEEDED = (
        "A305", "error", "A condemned or purged content is still needed.",
        "Take it back with `catalogkit plan undo` before it is purged; restore it if it was.",
    )  # fmt: skip
    WRONG_KEY = (
        "A306", "error", "A content address names another content than its record.",
        "Somebody changed the catalog by other means: restore it from a backup.",
    )  # fmt: skip
    STUCK_INCOMING = (
        "A307", "warning", "A content is marked as arriving, and no ingest brings it.",
        "Take the document in again.",
    )  # fmt: skip

    DOCUMENT_TO_NOTHING = (
        "A401", "error", "A document refers to a content that is not on record.",
        "Restore the catalog from a backup, or take the document in again.",
    )  # fmt: skip
    LOCATION_TO_NO_BLOB = (
        "A402", "error", "A copy refers to a content that is not on record.",
        "Restore the catalog from a backup.",
    )  # fmt: skip
    LOCATION_TO_NO_STORE = (
        "A403", "error", "A copy refers to a store that is not on record.",
        "Restore the catalog from a backup.",
    )  # fmt: skip
    HOLD_TO_NOTHING = (
        "A404", "warning", "A hold is on something that does not exist.",
        "Release it with `catalogkit hold release`, or find out what became of its subject.",
    )  # fmt: skip
    ROOT_TO_NOTHING = (
        "A405", "error", "A snapshot, a backup or a plan needs a content that is not on record.",
        "What that snapshot or backup promises cannot be kept: find out who removed it.",
    )  # fmt: skip
    INTENT_TO_NOTHING = (
        "A406", "error", "An ingest refers to a store or a content that is not on record.",
        "Restore the catalog from a backup.",
    )  # fmt: skip
    DEAD_INTENT = (
        "A407", "warning", "An ingest died on the way.",
        "The next `catalogkit ingest` completes or drops it.",
    )  # fmt: skip
    BROKEN_REFERENCE = (
        "A408", "error", "A row refers to a row that does not exist.",
        "Restore the catalog from a backup.",
    )  # fmt: skip
    UNENDED_PLAN = (
        "A409", "warning", "A plan was begun more than a day ago and never ended.",
        "Run `catalogkit apply` on it again: it goes on where it stopped.",
    )  # fmt: skip

    MALFORMED_ROW = (
        "A501", "error", "A row breaks a rule of the catalog.",
        "Somebody changed the catalog by other means: correct the row, or restore a backup.",
    )  # fmt: skip
    DAMAGED_DATABASE = (
        "A502", "error", "The database found its own file damaged.",
        "Stop writing, keep the file, and restore a backup.",
    )  # fmt: skip

    VERSION_BACKWARDS = (
        "A601", "warning", "A version ends before it begins.",
        "A clock was set back, or an earlier time was given: history is right in its order, not in its times.",
    )  # fmt: skip
    VERSIONS_OVERLAP = (
        "A602", "warning", "A version of a document begins before the one it follows has ended.",
        "Questions about that time have two answers; find out who wrote into the history.",
    )  # fmt: skip
    VERSIONS_GAP = (
        "A603", "warning", "Between two versions of a document there is a time without one.",
        "Questions about that time have no answer; find out who wrote into the history.",
    )  # fmt: skip
    CHECK_NOT_IN_LEDGER = (
        "A604", "warning", "The ledger has no row for the last check of a copy.",
        "Verify the copy again; find out who wrote its outcome.",
    )  # fmt: skip
    CHECK_CONTRADICTED = (
        "A605", "warning", "The ledger and a copy disagree about its last check.",
        "Verify the copy again; find out who wrote its outcome.",
    )  # fmt: skip
    TIME_IN_FUTURE = (
        "A606", "warning", "A recorded time is in the future.",
        "Look at the clock of the machine that wrote it, or at the time it was told; it ends once that time has come.",
    )  # fmt: skip
    TIME_LONG_AGO = (
        "A607", "warning", "A recorded time is before 1990.",
        "Look at the clock of the machine that wrote it, or at the unit of the times it was given.",
    )  # fmt: skip
    ENDS_BEFORE_BEGIN = (
        "A608", "warning", "A run, a plan or a hold ends before it begins.",
        "Look at the clock of the machine that wrote it.",
    )  # fmt: skip


CODES: Final = {code.value: code for code in Code}
GROUPS: Final = {
    "A1": "Stores: what lies there",
    "A2": "Copies: what is on record, against what lies there",
    "A3": "Contents and documents",
    "A4": "References, and work left half done",
    "A5": "The database itself",
    "A6": "History, ledger and clocks",
}


def page() -> str:
    """The page `docs/audit.md`."""
    lines = [
        "# What an audit finds",
        "",
        "`catalogkit audit` compares the catalog with its stores, both ways, and with itself. In Python:",
        "`ck.audit(c)`, or `CatalogConsistencyChecker`. It changes no document and no file. What it proves about a",
        "copy (missing, corrupt, read and right) goes into the ledger, where `verify` and repair find it.",
        "",
        "* **Exit code 2** means an error or a warning, or that the audit could not look everywhere. Then",
        "  `complete` is false, and `unseen` says what it did not see and why.",
        "* **`--sample`** is the share of the copies that are read, least recently read first:",
        "  `ceil(1 / sample)` audits read every copy. The report states the odds of meeting a bad one.",
        "* **For a large collection**, the report `audit_report` and `ck.audit(c, looks=10_000)` look at that many",
        "  copies and documents, drawn at random. They say what that leaves out, and how many more faults there",
        "  may be (95 % confidence).",
        "",
        "Written by `python tests/test_docs.py` from the table in `catalogkit/audit_codes.py`. Codes are stable.",
        "",
    ]
    for prefix, title in GROUPS.items():
        lines += [f"## {prefix}xx {title}", "", "| code | severity | what it is | what to do |", "|---|---|---|---|"]
        lines += [f"| {c} | {c.severity} | {c.what} | {c.todo} |" for c in Code if c.startswith(prefix)]
        lines.append("")
    return "\n".join(lines)

"""Runs the consistency audit: catalog against stores, both ways, the catalog against itself, and a sample read.

It changes no document and no file. What it proves about a copy goes into the ledger.
"""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from catalogkit.audit import AuditReport, DataIssue, HashMismatch, MissingFile, OrphanFile
from catalogkit.audit_codes import Code
from catalogkit.audit_sample import LEFT_OUT, Sampling, left_out, sample_size
from catalogkit.auditing_files import PAGE, SKEW_SECONDS, SUSPECTS, FileAudit, run_id
from catalogkit.errors import CatalogError, InvalidInput
from catalogkit.model import Digest, Outcome, from_us, to_us
from catalogkit.owners import is_dead
from catalogkit.progress import OnProgress, quiet
from catalogkit.signals import STOPPED, operation
from catalogkit.verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from catalogkit.audit import BadCopy
    from catalogkit.audit_sample import Drawn
    from catalogkit.collection import Collection

STALE: Final = timedelta(days=1)
FACTS: Final = 10_000
"""At most so many faults of one kind are asked of the catalog; that there are more is told."""

# Asked of the catalog; in this order, so that what follows from a fault comes after it.
_FACTS: Final = (
    Code.DAMAGED_DATABASE, Code.MALFORMED_ROW, Code.BROKEN_REFERENCE, Code.DOCUMENT_TO_NOTHING,
    Code.LOCATION_TO_NO_BLOB, Code.LOCATION_TO_NO_STORE, Code.HOLD_TO_NOTHING, Code.ROOT_TO_NOTHING,
    Code.INTENT_TO_NOTHING, Code.UNENDED_PLAN, Code.NO_LOCATION, Code.PURGED_LOCATION, Code.WRONG_REFS,
    Code.CONDEMNED_NEEDED, Code.WRONG_KEY, Code.STUCK_INCOMING, Code.SPARE_COPIES, Code.VERSION_BACKWARDS,
    Code.VERSIONS_OVERLAP, Code.VERSIONS_GAP, Code.CHECK_NOT_IN_LEDGER, Code.CHECK_CONTRADICTED, Code.TIME_IN_FUTURE,
    Code.TIME_LONG_AGO, Code.ENDS_BEFORE_BEGIN,
)  # fmt: skip
_EVERYTHING: Final = frozenset({"store", "copies", "sample", "facts"})


def audit(
    collection: Collection,
    sample_rate: float = 0.1,
    *,
    looks: int | None = None,
    note: bool = True,
    as_of: datetime | None = None,
    progress: OnProgress = quiet,
    stop: threading.Event | None = None,
) -> AuditReport:
    """Compare the catalog with its stores, both ways, and with itself; report every fault.

    Parameters
    ----------
    sample_rate
        The share of the copies to read, 0 to 1, rounded up; those not read for the longest time come first. Copies that
        look changed, or were bad before, are read besides (at least a thousand of them), unless it is 0.
    looks
        At most so many copies, and as many documents, drawn at random, are looked at; without it, or where there are no
        more, all are. The report says what that leaves out (`AuditReport.unseen`), how much was looked at
        (`AuditReport.parts`), and by how much there may be more than was found (`Part.at_most`). Then `sample_rate` is
        a share of them.
    note
        Whether what is proved goes into the ledger, and that everything was looked at among the runs, for
        `last_audit`; without that, nothing is read.
    as_of
        The time of the audit; the collection's clock without it.
    progress
        Called now and then.
    stop
        Set it from another thread to end the audit early, with what was found so far.

    Returns
    -------
    AuditReport

    Raises
    ------
    InvalidInput
        If `sample_rate` is no number between 0 and 1, `looks` is none above 0, or reading is asked for without noting
        what was read.

    Examples
    --------
    >>> ck.audit(c, sample_rate=1.0).clean
    True
    """
    if sample_rate and not note:
        raise InvalidInput("a sample goes on where the ledger says the last one ended; note it, or set it to 0")
    if looks is not None and looks < 1:
        raise InvalidInput(f"an audit looks at one copy at least, not {looks}")
    return _audit(collection, sample_rate, _EVERYTHING, as_of, progress, stop or threading.Event(), note, looks)


def last_audit(collection: Collection) -> Mapping[str, Any]:
    """What the last whole audit that was noted came to; empty without one.

    Returns
    -------
    Mapping
        ``as_of`` (ISO), ``complete``, the number of findings by severity (``error``, ``warning``, ``info``) and by code
        (``counts``), ``files``, ``copies``, ``read``, ``unseen``, ``seconds``.
    """
    return collection.catalog.last_run("audit")


class CatalogConsistencyChecker:
    """Checks a collection, in parts or as a whole.

    Parameters
    ----------
    collection
        The collection; without it the one of ``$CATALOGKIT_HOME``, or of the current folder.
    as_of, progress, stop
        As in `catalogkit.audit`.

    Examples
    --------
    >>> ck.CatalogConsistencyChecker(c).run_full_audit(sample_rate=1.0).complete
    True
    """

    def __init__(
        self,
        collection: Collection | None = None,
        *,
        as_of: datetime | None = None,
        progress: OnProgress = quiet,
        stop: threading.Event | None = None,
    ) -> None:
        self._collection, self._as_of, self._progress = collection, as_of, progress
        self._stop = stop or threading.Event()

    def check_orphans(self) -> list[OrphanFile]:
        """Files in the store that no record knows; foreign ones, which never had a key, are infos among them."""
        return [one for one in self._run("store").findings if isinstance(one, OrphanFile)]

    def check_missing_files(self) -> list[MissingFile]:
        """Copies on record where nothing lies; noted in the ledger."""
        return [one for one in self._run("copies").findings if isinstance(one, MissingFile)]

    def check_hash_mismatches(self, sample_rate: float = 0.1) -> list[HashMismatch]:
        """Copies that are not the bytes they should be, told by their looks or by reading a sample."""
        found = self._run("copies", "sample", sample_rate=sample_rate).findings
        return [one for one in found if isinstance(one, HashMismatch)]

    def check_referential_integrity(self) -> list[DataIssue]:
        """Facts of the catalog that contradict each other, or a rule: references, counts, states, history, ledger."""
        return [one for one in self._run("facts").findings if isinstance(one, DataIssue)]

    def run_full_audit(self, sample_rate: float = 0.1) -> AuditReport:
        """Everything, with a share of the copies read; see `catalogkit.audit`."""
        return self._run(*_EVERYTHING, sample_rate=sample_rate)

    def _run(self, *parts: str, sample_rate: float = 0.0) -> AuditReport:
        from catalogkit.collection import opened

        with opened(self._collection) as collection:
            return _audit(collection, sample_rate, frozenset(parts), self._as_of, self._progress, self._stop)


def _audit(
    collection: Collection,
    rate: float,
    parts: frozenset[str],
    as_of: datetime | None,
    progress: OnProgress,
    stop: threading.Event,
    note: bool = True,
    looks: int | None = None,
) -> AuditReport:
    with operation("audit") as told:
        report = _look(collection, rate, parts, as_of, progress, stop, note, looks)
        found = report.severities()
        told.count(**found)
        # Part of an audit says nothing about the whole.
        if parts == _EVERYTHING and report.drawn is None and not report.interrupted:
            told.figure("consistency_check_anomalies", found["error"] + found["warning"])
            if note:
                _write_down(collection, report)
        told.outcome = STOPPED if report.interrupted else told.outcome
    return report


def _look(
    collection: Collection,
    rate: float,
    parts: frozenset[str],
    as_of: datetime | None,
    progress: OnProgress,
    stop: threading.Event,
    note: bool,
    looks: int | None,
) -> AuditReport:
    began, catalog = time.monotonic(), collection.catalog
    sample_size(rate, 0)  # refuses a wrong rate before anything is looked at
    when = as_of or collection.now()
    to_us(when)
    report = AuditReport(when)
    report.drawn = _draw(collection, looks, when)
    for what, why in left_out(report.drawn) if report.drawn else ():
        report.miss(what, why)
    files = FileAudit(collection, report, progress, stop, note)
    try:
        files.reach()
        if "store" in parts:
            files.survey()
        if "copies" in parts:
            sample = sample_size(rate, len(report.drawn.copies) if report.drawn else catalog.copy_count())
            files.copies(max(sample, SUSPECTS) if rate else 0, when)
            if "sample" in parts and not stop.is_set():
                _read_sample(collection, files, sample, when, progress, stop)
        if "facts" in parts and not stop.is_set():
            _ask(collection, report)
            if "copies" in parts:
                _health(collection, files)
            _dead_intents(collection, report)
    except KeyboardInterrupt:
        stop.set()
    if stop.is_set():
        report.interrupted = True
        report.miss("what was still to be looked at", "interrupted")
    # Of a sample nobody waits for what only a walk through all of the catalog can count.
    report.coverage = _coverage(collection, when) if report.drawn is None else None
    report.seconds = time.monotonic() - began
    return report


def _draw(collection: Collection, looks: int | None, as_of: datetime) -> Drawn | None:
    """What a sample looks at; None where that is all there is. The time is its seed, so that no two nights' agree."""
    if looks is None:
        return None
    drawn = collection.catalog.draw(looks, seed=to_us(as_of))
    return drawn if max(drawn.all_copies, drawn.all_documents) > looks else None


def _write_down(collection: Collection, report: AuditReport) -> None:
    """Note among the runs that everything was looked at, and what came of it."""
    told = report.to_dict()
    names = ("as_of", "complete", *report.severities(), "counts", "files", "copies", "seconds")
    read = report.sampling.read if report.sampling else 0
    summary = {name: told[name] for name in names} | {"read": read, "unseen": len(report.unseen)}
    run = run_id(report.as_of)
    try:
        collection.catalog.start_run(run, "audit", as_of=report.as_of)
        collection.catalog.end_run(run, summary, as_of=report.as_of)
    except CatalogError as problem:
        report.miss("the record of this audit", str(problem))


def _read_sample(
    collection: Collection, files: FileAudit, sample: int, as_of: datetime, progress: OnProgress, stop: threading.Event
) -> None:
    """Read the copies that were not read for the longest time; the ledger remembers where the next audit goes on."""
    report, catalog = files.report, collection.catalog
    report.sampling = Sampling(catalog.copy_count(), 0)
    if not sample:
        return
    proved = verify(collection, max_copies=sample, as_of=as_of, progress=progress, stop=stop)
    report.sampling = Sampling(max(report.sampling.copies, proved.checked), proved.checked - proved.unknown)
    for one in proved.findings:
        if one.outcome == Outcome.UNKNOWN:
            if one.location_id not in files.bad and one.detail not in files.away.values():
                report.miss(one.place, one.detail)
        elif one.outcome != Outcome.OK and one.location_id not in files.bad:
            # One that was purged while it was read is gone from the records, too.
            digest = Digest.parse(one.sha256)
            if one.location_id in {copy.id for copy in catalog.locations_of(digest)}:
                files.bad.add(one.location_id)
                code = Code.MISSING_FILE if one.outcome == Outcome.MISSING else Code.WRONG_CONTENT
                detail = f"{one.detail}{files.needed_by(digest)}"
                report.add(code, f"location {one.location_id}", one.place, detail)
    told = len(proved.findings)
    if (all_of_them := proved.checked - proved.ok) > told:
        report.miss(f"{all_of_them - told:,} more copies of the sample", "only the first bad ones are named one by one")


def _ask(collection: Collection, report: AuditReport) -> None:
    """Ask the catalog about itself. A question that it cannot answer any more leaves the others standing."""
    for code in _FACTS:
        if report.drawn and code in LEFT_OUT:
            continue
        # What is written beside us, after the audit began, is no future.
        future = max(report.as_of, collection.now()) + timedelta(seconds=SKEW_SECONDS)
        try:
            found = collection.catalog.faults(
                code, as_of=report.as_of, future=future, stale=STALE, limit=FACTS, among=report.drawn
            )
        except CatalogError as problem:
            report.miss(f"the catalog, for {code}: {code.what}", str(problem))
            continue
        for fact in found:
            place = _path(collection, fact.store, fact.key)
            report.add(
                code, fact.object, place, fact.detail if place or not fact.key else f"{fact.detail} ({fact.key})"
            )
        if len(found) >= FACTS:
            report.miss(f"more of {code}", f"only the first {FACTS:,} are listed")


def _path(collection: Collection, name: str | None, key: str | None) -> str:
    """The whole path of a key in a store of that name, where there are such."""
    found = (store.describe(key) for store in collection.stores.values() if key and store.name == name)
    return next(found, "")


def _health(collection: Collection, files: FileAudit) -> None:
    """What the last checks say of copies that were not found bad just now: of each content, is one left?"""
    report = files.report
    for digest, group in groupby(_bad_copies(collection), key=lambda copy: copy.digest):
        copies = list(group)
        left = [copy for copy in copies if copy.location_id not in files.bad]
        if left and left[0].bad >= left[0].copies:
            places = ", ".join(_at(collection, copy) for copy in copies)
            report.add(
                Code.DOCUMENT_LOST, f"blob {digest.hex()}", _at(collection, copies[0]),
                f"bad by their last checks: {places}{files.needed_by(digest)}",
            )  # fmt: skip
            continue
        for copy in left:
            said = f"{copy.outcome}, checked {from_us(copy.checked_us):%Y-%m-%d %H:%M}"
            report.add(Code.KNOWN_BAD, f"location {copy.location_id}", _at(collection, copy), said)


def _bad_copies(collection: Collection) -> Iterator[BadCopy]:
    after = (b"", -1)
    while page := collection.catalog.bad_copies(after=after, limit=PAGE):
        after = (page[-1].digest, page[-1].location_id)
        yield from page


def _at(collection: Collection, copy: BadCopy) -> str:
    return _path(collection, copy.store, copy.key) or copy.key


def _dead_intents(collection: Collection, report: AuditReport) -> None:
    now = collection.now()
    for number, owner, expires_at, name, key in collection.catalog.owners():
        if name is not None and is_dead(owner, expires_at, now):
            report.add(Code.DEAD_INTENT, f"intent {number}", _path(collection, name, key), f"begun by {owner}")


def _coverage(collection: Collection, as_of: datetime) -> dict[str, object] | None:
    with contextlib.suppress(CatalogError):  # of a catalog that cannot count any more, the findings tell
        found = collection.catalog.coverage(as_of=as_of)
        oldest = found.oldest_check and found.oldest_check.isoformat()
        return {**found.to_dict(), "oldest_check": oldest}
    return None

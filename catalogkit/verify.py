"""`verify`: reads copies, compares their SHA-256, and records every check in the ledger.

Copies are read oldest check first, so a run that is cut short by a budget, or by Ctrl-C, goes on where it matters
next time. What was read is in the ledger within about a second, and in any case before a run ends, however it ends.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import InvalidInput
from catalogkit.model import to_us
from catalogkit.policies.prices import Spending
from catalogkit.progress import OnProgress, quiet
from catalogkit.proving import Run
from catalogkit.signals import STOPPED, operation
from catalogkit.stores.s3.store import S3Layout
from catalogkit.units import parse_money
from catalogkit.workers import processors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor
    from datetime import datetime

    import polars as pl

    from catalogkit.catalog.contract import Coverage
    from catalogkit.collection import Collection
    from catalogkit.model import Digest, Outcome

KEPT_FINDINGS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """A copy that somebody should look at: where it is and what is wrong."""

    location_id: int
    sha256: str
    place: str
    outcome: str
    detail: str


@dataclass(slots=True)
class VerifyReport:
    """What a verification found.

    Attributes
    ----------
    ok, corrupt, missing, unknown : int
        Copies by outcome. ``unknown`` could not be decided (unreachable, forbidden); it never counts as bad.
    bytes : int
        Bytes read.
    unchecked : dict of str to int
        What was not checked, by reason; nothing is left out silently.
    stopped : str
        Why the run ended early; empty where it did not.
    findings : list of Finding
        Every copy that is not ``ok``, or is with a note (the first ten thousand).
    cost : dict of str to str
        What the checks cost by the prices in the settings: ``amount`` and ``currency``; empty where there are none.
    coverage : Coverage
        How much of everything that is stored has been verified lately, this run included; not told of a run over
        some documents.
    """

    run_id: str = ""
    ok: int = 0
    corrupt: int = 0
    missing: int = 0
    unknown: int = 0
    bytes: int = 0
    seconds: float = 0.0
    stopped: str = ""
    unchecked: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    coverage: Coverage | None = None
    cost: dict[str, str] = field(default_factory=dict)

    @property
    def checked(self) -> int:
        """Copies read, whatever came of it."""
        return self.ok + self.corrupt + self.missing + self.unknown

    @property
    def clean(self) -> bool:
        """Whether nothing that was checked is corrupt, missing or unknown."""
        return self.checked == self.ok

    def add(self, outcome: Outcome, size: int, count: int = 1) -> None:
        """Count copies, of which `size` bytes were read."""
        setattr(self, outcome, getattr(self, outcome) + count)
        self.bytes += size

    def keep(self, location_id: int, digest: Digest, place: str, outcome: Outcome, detail: str) -> None:
        """Keep what somebody should look at."""
        if len(self.findings) < KEPT_FINDINGS:
            self.findings.append(Finding(location_id, str(digest), place, outcome.value, detail))

    def frame(self) -> pl.DataFrame:
        """The findings as a frame."""
        import polars as pl

        columns = {"location_id": pl.Int64(), **dict.fromkeys(("sha256", "place", "outcome", "detail"), pl.String())}
        return pl.DataFrame([asdict(finding) for finding in self.findings], schema=columns, orient="row")

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, fit for JSON."""
        coverage = self.coverage.to_dict() if self.coverage else None
        if coverage and coverage["oldest_check"]:
            coverage["oldest_check"] = coverage["oldest_check"].isoformat()
        # `asdict` of the whole would take a Counter for a mapping of pairs.
        return {name: getattr(self, name) for name in self.__slots__} | {
            "checked": self.checked,
            "unchecked": dict(self.unchecked),
            "findings": [asdict(finding) for finding in self.findings],
            "coverage": coverage,
        }

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        shown = {name: getattr(self, name) for name in ("ok", "corrupt", "missing", "unknown", "bytes", "seconds")}
        shown |= {f"not checked: {reason}": count for reason, count in self.unchecked.items()}
        shown |= self.coverage.in_words() if self.coverage else {}
        return facts("Verify", shown | {finding.place: finding.detail for finding in self.findings[:20]})


def verify(
    collection: Collection,
    document_ids: Sequence[int] | None = None,
    *,
    max_age: timedelta | None = None,
    budget: timedelta | None = None,
    max_bytes: int | None = None,
    max_copies: int | None = None,
    max_cost: str | None = None,
    concurrency: int | None = None,
    fail_fast: bool = False,
    resume: bool = False,
    as_of: datetime | None = None,
    progress: OnProgress = quiet,
    executor: Executor | None = None,
    stop: threading.Event | None = None,
) -> VerifyReport:
    """Read copies, hash them, compare, and add the results to the ledger.

    Parameters
    ----------
    document_ids
        Only the copies of these documents; an empty list checks nothing. All copies without it.
    max_age
        Only copies whose last check is older than this.
    budget, max_bytes
        Stop after this much time, or about this many bytes read; longest unchecked come first.
    max_copies
        Check so many of the copies that are due, those longest unchecked.
    max_cost
        Stop before more than this is spent, such as ``2USD``, by the prices in the settings (``[prices.STORE]``).
    concurrency
        How many copies are read at once; the number of processors without it.
    fail_fast
        Stop at the first copy that is corrupt or missing, and keep the results so far.
    resume
        Go on with the last run over all copies, if it did not end: what it checked is not checked again.
    as_of
        The time of the checks; the collection's clock without it.
    executor
        Workers to use instead of own ones (any `concurrent.futures.Executor`).
    stop
        Set it from another thread to end the run early, as Ctrl-C does.

    Returns
    -------
    VerifyReport

    Raises
    ------
    InvalidInput
        If an argument is not acceptable.

    Examples
    --------
    >>> ck.verify(c).ok  # copies: two documents share one
    2
    """
    for name, value in (("budget", budget), ("max_age", max_age)):
        if value is not None and value < timedelta(0):
            raise InvalidInput(f"{name} must not be negative")
    if any(n is not None and n < least for n, least in ((max_bytes, 0), (max_copies, 0), (concurrency, 1))):
        raise InvalidInput("max_bytes and max_copies must not be negative, concurrency at least 1")
    if max_copies is not None and document_ids is not None:
        raise InvalidInput("max_copies is for a run over all copies; leave out the documents")
    when = as_of or collection.now()
    to_us(when)  # refuses a time without a zone before anything is read
    spending = _spending(collection, max_cost)
    report = VerifyReport(f"verify-{when.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z")
    with operation("verify", store=collection.store.kind) as told:
        told.tally(report, "ok", "corrupt", "missing", "unknown", "bytes")
        run = Run(collection, report, when, progress, stop or threading.Event(), told)
        run.limit(budget, max_bytes, max_copies, fail_fast, spending)
        run.over(document_ids, max_age, resume, concurrency or processors(), executor)
        told.outcome = STOPPED if report.stopped else told.outcome
    report.cost = spending.told() if spending.prices else {}
    return report


def _spending(collection: Collection, max_cost: str | None) -> Spending:
    """The prices of this collection's stores, and the budget; only who charges for reading needs a price."""
    ids = {store.name: number for number, store in collection.stores.items()}
    prices = {ids[name]: price for name, price in collection.config.prices.items() if name in ids}
    # Nothing is read out of an archive, so nobody need know what that costs.
    charging = {
        number: store.name
        for number, store in collection.stores.items()
        if isinstance(store, S3Layout) and not store.settings.archive
    }
    return Spending.limit(prices, charging, None if max_cost is None else parse_money(max_cost))


async def verify_batch(
    record_ids: Sequence[int],
    max_concurrent: int = 5,
    *,
    collection: Collection | None = None,
    fail_fast: bool = False,
    as_of: datetime | None = None,
    progress: OnProgress = quiet,
) -> VerifyReport:
    """Verify the copies of some documents, without holding up the event loop.

    Parameters
    ----------
    record_ids
        Document ids; an empty list checks nothing.
    max_concurrent
        How many copies are read at once.
    collection
        The collection; without it the one of ``$CATALOGKIT_HOME``, or of the current folder.
    progress
        Called from another thread than the event loop's.

    Notes
    -----
    Cancelling the task ends the run after the reads under way; their results are kept.

    Examples
    --------
    >>> import asyncio
    >>> asyncio.run(ck.verify_batch([1, 2, 3], collection=c)).ok  # in a notebook: await ck.verify_batch(...)
    2
    """
    import asyncio

    from catalogkit.collection import opened

    stop = threading.Event()

    def work() -> VerifyReport:
        with opened(collection) as found:
            return verify(
                found,
                record_ids,
                concurrency=max_concurrent,
                fail_fast=fail_fast,
                as_of=as_of,
                progress=progress,
                stop=stop,
            )

    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        # The thread still writes down what it read, and its caller may close the collection right after this.
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise

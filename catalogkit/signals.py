"""Signals that running operations send to listeners: what telemetry is built on.

An act says ``with operation("verify") as told:`` and, inside, ``told.count(ok=5)``. Where nobody listens that costs
next to nothing. A listener that fails is logged and no act notices. What is told has closed sets of attributes, each
with a closed set of values: never an id, a path, a digest, a URL or a name that somebody made up, which a metrics
backend would keep a series for each of.
"""

from __future__ import annotations

import time
from contextlib import ContextDecorator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    Listener = Callable[["Told"], AbstractContextManager[Any]]

OTHER: Final = "other"
DONE, STOPPED, INTERRUPTED, FAILED = "done", "stopped", "interrupted", "failed"

# Every attribute there is, with all its values; another value is told as `OTHER`, another attribute not at all.
ALLOWED: Final[dict[str, frozenset[str]]] = {
    name: frozenset(values.split())
    for name, values in {
        "operation": "apply audit backup drill extract ingest maintain mirror_refresh plan query rebuild recover"
        " report snapshot sync verify",
        "kind": "dedup evict fetch forget gc migrate near purge reconcile relocate repair retention tier undo",
        "mode": "copy link move reference",
        "outcome": "corrupt done failed ingested interrupted missing ok skipped stopped unknown waiting",
        "query": "find frame near search sql",
        "report": "audit_report conflict_review content_quality dedup_analytics eviction_scoring gc_review"
        " migration_review recovery_drill retention_review storage_overview tenant_billing tour verification_coverage",
        "severity": "error info warning",
        "step": "abandon clone condemn copy drop evict fetch forget link purge quarantine rearm recall resolve",
        "store": "local memory reference s3",
        "error": "Archived CatalogBusy CatalogError ConstraintError InvalidInput KeyTaken NotACollection PlanError"
        " ReportError MaintenanceRuns QuotaExceeded SchemaTooNew SourceError StoreError StoreFull StoreMismatch"
        " StoreUnreachable KeyboardInterrupt MemoryError OSError",
    }.items()
}

_listeners: list[Listener] = []


def allowed(attributes: dict[str, str]) -> dict[str, str]:
    """Attributes as they may be told: unknown ones left out, unknown values as `OTHER`."""
    return {name: _value(name, value) for name, value in attributes.items() if name in ALLOWED}


def _value(name: str, value: str) -> str:
    return str(value) if value in ALLOWED[name] else OTHER


class Told:
    """What one operation tells.

    Attributes
    ----------
    name
        Which operation.
    attributes
        What kind of it; only names and values of `ALLOWED`.
    outcome, error
        How it ended: ``done``, ``stopped``, ``interrupted`` or ``failed``; the kind of error it failed with.
    seconds
        How long it took.
    counts
        Numbers of things done, by name.
    figures
        Numbers as they stand now, by name.
    hearers
        Called with a name and some measured values, while it runs.
    """

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name, self.attributes = name, allowed(attributes)
        self.outcome, self.error, self.seconds = DONE, "", 0.0
        self.counts: dict[str, int] = {}
        self.figures: dict[str, float] = {}
        self.hearers: list[Callable[[str, Iterable[float]], None]] = []
        self._reports: list[tuple[object, tuple[str, ...]]] = []

    @property
    def heard(self) -> bool:
        """Whether somebody listens: what costs something to find out is found out only then."""
        return True

    def count(self, **counts: int) -> None:
        """Add to numbers of things done."""
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def tally(self, report: object, *names: str) -> None:
        """Count what these attributes of a report say when the operation ends, however it ends."""
        self._reports.append((report, names))

    def figure(self, name: str, value: float | Callable[[], float]) -> None:
        """Tell a number as it stands now, or what finds it out: called only where somebody listens."""
        try:
            self.figures[name] = value() if callable(value) else value
        except Exception as problem:  # noqa: BLE001 - what is only told breaks no operation either
            _failed(problem)

    def sample(self, name: str, values: Iterable[float]) -> None:
        """Tell measured values, of which there may be millions: they are not kept here."""
        for hearer in self.hearers:
            try:
                hearer(name, values)
            except Exception as problem:  # noqa: BLE001 - no listener breaks an operation
                _failed(problem)

    def end(self, error: type[BaseException] | None) -> None:
        """Settle how it ended."""
        for report, names in self._reports:
            self.count(**{name: getattr(report, name) for name in names})
        if error is None:
            return
        self.outcome = INTERRUPTED if issubclass(error, KeyboardInterrupt) else FAILED
        # The kind only: a message may hold paths, and worse.
        self.error = _value("error", (OSError if issubclass(error, OSError) else error).__name__)


class _Unheard(Told):
    """What an operation gets where nobody listens."""

    heard = False

    def count(self, **counts: int) -> None: ...

    def tally(self, report: object, *names: str) -> None: ...

    def figure(self, name: str, value: float | Callable[[], float]) -> None: ...

    def sample(self, name: str, values: Iterable[float]) -> None: ...


_UNHEARD: Final = _Unheard("", {})


class operation(ContextDecorator):  # noqa: N801 - it reads like the function it could be
    """An operation that may be listened to, as a context manager or a decorator.

    Parameters
    ----------
    name
        One of ``ALLOWED["operation"]``.
    **attributes
        What kind of it.

    Examples
    --------
    >>> with operation("plan", kind="gc") as told:
    ...     told.heard
    False
    """

    def __init__(self, name: str, **attributes: str) -> None:
        self.name, self.attributes = name, attributes
        self._held: list[AbstractContextManager[Any]] = []
        self._told: Told = _UNHEARD

    def _recreate_cm(self) -> operation:
        return operation(self.name, **self.attributes)  # a decorated function may run twice at a time

    def __enter__(self) -> Told:
        if not _listeners:
            return _UNHEARD
        self._told = told = Told(_value("operation", self.name), self.attributes)
        for listener in tuple(_listeners):
            try:
                held = listener(told)
                held.__enter__()
            except Exception as problem:  # noqa: BLE001 - no listener breaks an operation
                _failed(problem)
            else:
                self._held.append(held)
        self._began = time.perf_counter()
        return told

    def __exit__(self, error: type[BaseException] | None, *rest: object) -> None:
        told = self._told
        if told is _UNHEARD:
            return
        told.seconds = time.perf_counter() - self._began
        told.end(error)
        for held in reversed(self._held):
            try:
                held.__exit__(None, None, None)
            except Exception as problem:  # noqa: BLE001 - no listener breaks an operation
                _failed(problem)


def listen(listener: Listener) -> Callable[[], None]:
    """Have a listener hear every operation that begins from now on.

    Parameters
    ----------
    listener
        Called with what the operation tells when it begins; it gives a context manager that is left when the operation
        ends, after everything was told.

    Returns
    -------
    Callable
        Ends it.
    """
    _listeners.append(listener)

    def stop() -> None:
        if listener in _listeners:
            _listeners.remove(listener)

    return stop


def _failed(problem: BaseException) -> None:
    import logging

    # Not what it says: errors of senders name where they send to, with whatever secret is in that.
    logging.getLogger("catalogkit").warning("what listens failed (%s); the operation goes on", type(problem).__name__)

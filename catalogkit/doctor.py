"""Looks at all that a collection's safety hangs on, and at what its commands need, and changes nothing.

It only reads, and it is quick, however many documents there are: none of them is looked at or counted, the catalog is
asked for what its indexes tell. What is broken ends nothing: it is what was found.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit import health
from catalogkit.catalog import goes_on, open_catalog
from catalogkit.catalog.urls import file_of, public
from catalogkit.checkup import OK, PROBLEM, WARNING, Checkup, HealthCheck, of_error
from catalogkit.collection import Collection, utc_now
from catalogkit.config import CONFIG_NAME, read_config
from catalogkit.errors import CatalogKitError, SchemaTooNew
from catalogkit.installed import look_at_machine
from catalogkit.owners import is_dead
from catalogkit.remote import folder_of, is_address, settings_of
from catalogkit.stores.local import LocalStore
from catalogkit.stores.opening import open_store, whose_store
from catalogkit.stores.publishing import OWN
from catalogkit.stores.s3.settings import is_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalogkit.catalog.about import Vitals
    from catalogkit.catalog.contract import Catalog
    from catalogkit.config import Config

__all__ = ["Checkup", "doctor"]

MOUNTS: Final = "/proc/self/mounts"
_BROKEN: Final = (CatalogKitError, OSError)


def doctor(
    collection: Collection | Path | str | None = None, *, store: str | None = None, as_of: datetime | None = None
) -> Checkup:
    """Look whether everything is set up so that a collection is safe and every command will work; changes nothing.

    Parameters
    ----------
    collection
        One that is open, its folder, or the address of a catalog on a server; without it ``$CATALOGKIT_HOME``, else the
        current folder, if it is a collection's. Where none is named and none is there, only this machine is looked at.
    store
        With the address of a catalog: where the store is, if it does not say.
    as_of
        The time that ages are told from; the collection's clock without it.

    Examples
    --------
    >>> found = ck.doctor(c)
    >>> [one.name for one in found.problems]
    []
    """
    opened = collection if isinstance(collection, Collection) else None
    now = as_of or (opened.now() if opened else utc_now())
    named = opened.path if opened else collection or os.environ.get("CATALOGKIT_HOME")
    if not named and not os.path.exists(CONFIG_NAME):
        return Checkup.of("", now, list(look_at_machine({})))
    where = str(named) if is_address(named) else folder_of(named or ".")
    look = _Look(where, now, store, opened, _command(collection and named))
    return Checkup.of(look.place, now, [*look.checks(), *look_at_machine(look.wanted)])


def _command(named: object) -> str:
    """How a command for this collection begins."""
    if is_address(named):
        return f"catalogkit --catalog {shlex.quote(public(str(named)))}"
    return f"catalogkit -C {shlex.quote(str(named))}" if named else "catalogkit"


class _Look:
    """A look at one collection; what it found so far."""

    def __init__(
        self, where: Path | str, now: datetime, store: str | None, opened: Collection | None, run: str
    ) -> None:
        self.where, self.now, self.store, self.opened, self.run = where, now, store, opened, run
        self.place = public(where) if isinstance(where, str) else str(where)
        self.later = f"correct that, then `{run} doctor` again"
        self.wanted: dict[str, str] = {}
        self._mounts = ""
        with contextlib.suppress(OSError):
            self._mounts = Path(MOUNTS).read_text(encoding="utf-8", errors="surrogateescape")

    def checks(self) -> Iterator[HealthCheck]:
        """Everything, in the order in which one thing needs another."""
        with contextlib.ExitStack() as stack:
            catalog = self.opened.catalog if self.opened else None
            try:
                if isinstance(self.where, str):
                    catalog = stack.enter_context(contextlib.closing(self._open(self.where, Path())))
            except _BROKEN as problem:
                yield self._of_catalog(problem)
                return
            try:
                folder, config = self._settings(catalog)
            except _BROKEN as problem:
                yield of_error("settings", problem, self.later)
                if isinstance(self.where, Path):
                    yield from _secrets(self.where)
                return
            yield HealthCheck("settings", OK, str(folder / CONFIG_NAME))
            yield from _secrets(folder)
            self._want(config)
            vitals: Vitals | None = None
            tokens: dict[str, str] | None = None
            try:
                catalog = catalog or stack.enter_context(contextlib.closing(self._open(config.catalog, folder)))
                tokens = {row.name: row.token for row in catalog.stores()}
                found, known = catalog.schemas()
                if found < known:
                    yield self._older(found, known)
                else:
                    vitals = catalog.vitals()
                    yield HealthCheck("catalog", OK, f"{file_of(catalog.url) or catalog.url}, schema {found}")
            except _BROKEN as problem:
                yield self._of_catalog(problem)
            yield from self._places(folder, config, tokens, catalog.home if catalog else "")
            if catalog is not None and vitals is not None:
                yield from self._undone(folder, config, catalog, vitals)

    def _open(self, url: str, folder: Path) -> Catalog:
        return open_catalog(url, base=folder, as_of=self.now, looking=True)

    def _settings(self, catalog: Catalog | None) -> tuple[Path, Config]:
        if isinstance(self.where, Path):
            return self.where, read_config(self.where)
        assert catalog is not None
        return settings_of(catalog, self.where, self.store)

    def _of_catalog(self, problem: Exception) -> HealthCheck:
        newer = isinstance(problem, SchemaTooNew)
        return of_error("catalog", problem, "`pip install --upgrade catalogkit`" if newer else self.later)

    def _older(self, found: int, known: int) -> HealthCheck:
        detail = f"it has schema {found}, this catalogkit writes {known}; what is in it was not looked at"
        return HealthCheck(
            "catalog", WARNING, detail, f"`{self.run} status` brings it up to date, as every command does"
        )

    def _want(self, config: Config) -> None:
        """Note which extras the settings ask for."""
        if config.telemetry.exporter not in ("", "none") or config.telemetry.textfile:
            self.wanted["telemetry"] = "[telemetry] in the settings"
        if config.maintain.reports:
            self.wanted["report"] = "reports below [maintain] in the settings"

    def _places(self, folder: Path, config: Config, tokens: dict[str, str] | None, home: str) -> Iterator[HealthCheck]:
        """Where catalog and stores lie, and what could be brought back."""
        file, own = file_of(config.catalog), 0
        if file is not None:
            path = os.path.realpath(folder / file)
            try:
                disk = self._disk(path)
                own = disk.device
                yield from health.catalog_disk(disk, config.catalog, self.run)
                yield health.log(_bytes_of(f"{path}-wal"), _bytes_of(path), self.run)
            except OSError as problem:
                yield of_error("catalog's disk", problem, self.later)
        stores = {config.store.name: config.store.url, **config.stores}
        devices = []  # of each store; 0 for a bucket, or where that cannot be told
        for name, url in stores.items():
            check, device = self._store(folder, name, url, tokens, home)
            devices.append(device)
            yield check
        yield from self._backups(folder, config, own, one_disk=bool(own) and {*devices} == {own})

    def _disk(self, path: str) -> health.Disk:
        """Where a path lies, or would: as much of it as is there is looked at."""
        real = os.path.realpath(path)
        there = real
        while not os.path.exists(there) and there != os.path.dirname(there):
            there = os.path.dirname(there)
        about = os.statvfs(there)
        return health.Disk(
            path=real,
            device=os.stat(there).st_dev,
            kind=health.file_system(self._mounts, there),
            free_bytes=about.f_bavail * about.f_frsize,
            total_bytes=about.f_blocks * about.f_frsize,
            read_only=bool(about.f_flag & os.ST_RDONLY),
            free_names=about.f_favail / about.f_files if about.f_files else 1.0,
        )

    def _store(
        self, folder: Path, name: str, url: str, tokens: dict[str, str] | None, home: str
    ) -> tuple[HealthCheck, int]:
        """A store, and the device that it lies on, 0 if that is not known."""
        label = f"store {name}"
        if tokens is not None and name not in tokens:
            detail = f"the catalog knows no store {name!r}: {CONFIG_NAME} was changed by hand"
            advice = f"take it out there; `{self.run} store add {shlex.quote(name)} URL` then makes one"
            return HealthCheck(label, PROBLEM, detail, advice), 0
        try:
            # Without a catalog nobody knows which token is right; that there is a store can be seen.
            token = tokens[name] if tokens is not None else whose_store(url, folder)[0]
            store = open_store(url, folder, name=name, token=token)
            store.reach()
            made_for = store.home() if home else ""
            disk = self._disk(store.root) if isinstance(store, LocalStore) else None
        except _BROKEN as problem:
            otherwise = f"`catalogkit check-store {shlex.quote(url)}`" if is_bucket(url) else ""
            return of_error(label, problem, otherwise or f"`{self.run} store list` shows where each should be"), 0
        if made_for and made_for != home and goes_on(made_for, home):
            detail = f"the store at {store.root} was made for the catalog at {made_for}, which is still there"
            return HealthCheck(label, PROBLEM, detail, "work with that one, or give this copy a store of its own"), 0
        if disk is None:
            told = f"{store.root} answers; `catalogkit check-store {shlex.quote(url)}` tries out all that it can do"
            return HealthCheck(label, OK, told), 0
        places = (store.root, os.path.join(store.root, OWN))
        writable = all(os.access(place, os.W_OK | os.X_OK, effective_ids=True) for place in places)
        return health.store_disk(label, store.root, disk, writable=writable, run=self.run), disk.device

    def _backups(self, folder: Path, config: Config, own: int, *, one_disk: bool) -> list[HealthCheck]:
        """The newest backup and its proof; `own` is the device of an embedded catalog."""
        nightly, destination = "backup" not in config.maintain.skip, config.backup.destination
        found = health.Backups("", one_disk=one_disk)
        if destination:
            from catalogkit.backups.listing import last_proof
            from catalogkit.backups.target import place_in

            place = place_in(folder, destination)
            try:
                last, proved = last_proof(place)
                beside = not is_bucket(place) and self._disk(place).device == own
            except _BROKEN as problem:
                return [of_error("backup", problem, f"`{self.run} backups`")]
            found = health.Backups(place, last, proved, one_disk=beside)
        return health.backups(found, self.now, nightly=nightly, run=self.run)

    def _undone(self, folder: Path, config: Config, catalog: Catalog, vitals: Vitals) -> Iterator[HealthCheck]:
        now, run, maintain = self.now, self.run, config.maintain
        yield health.clock(vitals.newest_at, now)
        limits: dict[str, Any] = {} if "verify" in maintain.skip else maintain.verify.limits()
        max_age = limits.get("max_age")
        yield health.verification(vitals.checked_at, now, stored=vitals.stored, max_age=max_age, run=run)
        counts = {True: 0, False: 0}
        for owner, count, until in vitals.ingests:
            counts[is_dead(owner, until, now)] += count
        yield health.ingests(counts[False], counts[True], run)
        unfinished = [f"{kind} {plan[:12]}" for plan, kind, _, over in vitals.plans if not over]
        begun = {plan for plan, *_ in vitals.plans}
        ends = [end for plan, end in _saved(folder / "plans") if plan not in begun]
        expired = sum(end <= now for end in ends)
        yield health.plans(unfinished, expired, len(ends) - expired, run)
        if catalog.own_site() is not None:
            yield health.sites(vitals.contested, run)


def _saved(folder: Path) -> Iterator[tuple[str, datetime]]:
    """The id of each saved plan, and until when it may be applied; the steps are not read."""
    for about in folder.glob("*/plan.json"):
        with contextlib.suppress(
            OSError, ValueError, KeyError, TypeError
        ):  # `catalogkit plans` tells what is unreadable
            found = json.loads(about.read_text(encoding="utf-8"))
            yield found["id"], datetime.fromisoformat(found["head"]["expires_at"])


def _secrets(folder: Path) -> Iterator[HealthCheck]:
    path = folder / CONFIG_NAME
    with contextlib.suppress(OSError):  # that it is not there, or cannot be read, is told of the settings
        yield health.secret(str(path), path.read_text(encoding="utf-8", errors="replace"), path.stat().st_mode)


def _bytes_of(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0

"""The errors catalogkit raises. Each message says what is wrong and what to do next.

::

    CatalogKitError
    ├── InvalidInput          an argument, id, digest, name, manifest or setting is not acceptable
    ├── NotACollection        there is no collection at that place
    ├── CatalogError          the catalog database cannot do what was asked
    │   ├── CatalogBusy       another writer held the catalog for too long: try again
    │   ├── ConstraintError   the catalog's own rules refused a change
    │   │   └── QuotaExceeded   it would be more than the quota allows
    │   └── SchemaTooNew      the catalog was written by a newer catalogkit
    ├── StoreError            a store cannot do what was asked
    │   ├── StoreMismatch     store and catalog do not belong together
    │   ├── StoreUnreachable  the store's place cannot be reached now
    │   ├── Archived          the bytes lie in an archive, and must be restored before they are read
    │   ├── KeyTaken          other bytes already lie at that key
    │   └── StoreFull         no room is left
    ├── SourceError           a document to take in cannot be read as it should
    ├── PlanError             a plan cannot be applied: not approved, edited, expired, too much at once
    ├── ReportError           a report could not be made
    └── MaintenanceRuns       a round of maintenance is under way already
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class CatalogKitError(Exception):
    """Base of every error catalogkit raises on purpose."""


class InvalidInput(CatalogKitError, ValueError):
    """An argument, id, digest, name, manifest or setting is not acceptable."""


class NotACollection(CatalogKitError):
    """There is no collection at that place."""


class CatalogError(CatalogKitError):
    """The catalog database cannot do what was asked."""


class CatalogBusy(CatalogError):
    """Another writer held the catalog for longer than the time-out."""


class ConstraintError(CatalogError):
    """The catalog's own rules refused a change."""


class QuotaExceeded(ConstraintError):
    """It would be more than the quota allows."""


class SchemaTooNew(CatalogError):
    """The catalog was written by a newer catalogkit than this one."""


class StoreError(CatalogKitError):
    """A store cannot do what was asked."""


class StoreMismatch(StoreError):
    """Store and catalog carry different identities."""


class StoreUnreachable(StoreError):
    """The store's place cannot be reached now; nothing is known about its contents."""


class Archived(StoreError):
    """The bytes lie in an archive: they are there, and must be restored before they can be read."""


class KeyTaken(StoreError):
    """Other bytes already lie at the key that was to be published."""


class StoreFull(StoreError):
    """No room (or no quota) is left where bytes were to be written."""


class SourceError(CatalogKitError):
    """A document to take in cannot be read as it should."""


class ReportError(CatalogKitError):
    """A report could not be made."""


class PlanError(CatalogKitError):
    """A plan cannot be applied: not approved, edited, expired, for another catalog, or too much at once."""

    @classmethod
    def given_up(cls, reason: str) -> Self:
        """What an attempt to go on with a plan that was given up ends with."""
        return cls(f"this plan was given up ({reason}); make a new one, which looks at what there is now")


class MaintenanceRuns(CatalogKitError):
    """A round of maintenance is under way already."""

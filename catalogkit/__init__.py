"""catalogkit: know every document, prove its bytes, shrink the pile safely.

>>> import catalogkit as ck
>>> c = ck.open("my-collection")  # doctest: +SKIP
>>> ck.ingest(c, "downloads")     # doctest: +SKIP
>>> ck.verify(c)                  # doctest: +SKIP
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from catalogkit.access_logs import import_accesses as import_accesses
    from catalogkit.analytics import DedupAnalytics as DedupAnalytics
    from catalogkit.apply import apply as apply
    from catalogkit.audit import AuditReport as AuditReport
    from catalogkit.audit import DataIssue as DataIssue
    from catalogkit.audit import HashMismatch as HashMismatch
    from catalogkit.audit import MissingFile as MissingFile
    from catalogkit.audit import OrphanFile as OrphanFile
    from catalogkit.auditing import CatalogConsistencyChecker as CatalogConsistencyChecker
    from catalogkit.auditing import audit as audit
    from catalogkit.backups.drilling import drill as drill
    from catalogkit.backups.listing import list_backups as list_backups
    from catalogkit.backups.making import BackupMetadata as BackupMetadata
    from catalogkit.backups.making import backup_catalog as backup_catalog
    from catalogkit.backups.rebuilding import rebuild_catalog as rebuild_catalog
    from catalogkit.backups.recovering import recover_from_backup as recover_from_backup
    from catalogkit.catalog.contract import Catalog as CatalogStore  # noqa: F401 - named here as users call it
    from catalogkit.catalog.postgres import PostgresCatalog as PostgresCatalog
    from catalogkit.catalog.sqlite import SQLiteCatalog as SQLiteCatalog
    from catalogkit.checkup import Checkup as Checkup
    from catalogkit.collection import Collection as Collection
    from catalogkit.collection import init as init
    from catalogkit.collection import open_collection as open  # noqa: F401 - ruff takes only `x as x` for a re-export
    from catalogkit.content import ContentMetadata as ContentMetadata
    from catalogkit.content import EnrichedDocumentRecord as EnrichedDocumentRecord
    from catalogkit.demo import demo_collection as demo_collection
    from catalogkit.demo import is_demo as is_demo
    from catalogkit.doctor import doctor as doctor
    from catalogkit.extract.backfill import extract as extract
    from catalogkit.extract.extractor import MetadataExtractor as MetadataExtractor
    from catalogkit.federation.conflicts import ConflictReport as ConflictReport
    from catalogkit.federation.conflicts import conflicts as conflicts
    from catalogkit.federation.conflicts import plan_reconcile as plan_reconcile
    from catalogkit.federation.federated import FederatedCatalog as FederatedCatalog
    from catalogkit.federation.following import follow as follow
    from catalogkit.federation.syncing import SyncReport as SyncReport
    from catalogkit.federation.syncing import sync as sync
    from catalogkit.fetching import Fetcher as Fetcher
    from catalogkit.ingest import ingest as ingest
    from catalogkit.ingest import register_or_get as register_or_get
    from catalogkit.joining import add_store as add_store
    from catalogkit.joining import adopt_store as adopt_store
    from catalogkit.joining import use_store as use_store
    from catalogkit.maintaining import Maintenance as Maintenance
    from catalogkit.maintaining import maintain as maintain
    from catalogkit.migrating import MigrationReport as MigrationReport
    from catalogkit.migrating import migrate_to_cas_gradual as migrate_to_cas_gradual
    from catalogkit.migrating import rollback_migration as rollback_migration
    from catalogkit.model import DocumentRecord as DocumentRecord
    from catalogkit.opportunities import DedupOpportunities as DedupOpportunities
    from catalogkit.plan import Plan as Plan
    from catalogkit.planners.evict import EvictionPolicy as EvictionPolicy
    from catalogkit.planners.reconcile import ReconcilePolicy as ReconcilePolicy
    from catalogkit.planners.repair import RepairPolicy as RepairPolicy
    from catalogkit.planning import EvictionCandidate as EvictionCandidate
    from catalogkit.planning import NearDuplicates as NearDuplicates
    from catalogkit.planning import RetentionPolicy as RetentionPolicy
    from catalogkit.planning import SmartEvictionPolicy as SmartEvictionPolicy
    from catalogkit.planning import Tiering as Tiering
    from catalogkit.planning import analyze_dedup_opportunities as analyze_dedup_opportunities
    from catalogkit.planning import approve as approve
    from catalogkit.planning import backtest_retention as backtest_retention
    from catalogkit.planning import eviction_promises as eviction_promises
    from catalogkit.planning import eviction_regret as eviction_regret
    from catalogkit.planning import gc_incremental as gc_incremental
    from catalogkit.planning import give_up as give_up
    from catalogkit.planning import near_duplicates as near_duplicates
    from catalogkit.planning import plan_dedup as plan_dedup
    from catalogkit.planning import plan_evict as plan_evict
    from catalogkit.planning import plan_fetch as plan_fetch
    from catalogkit.planning import plan_forget as plan_forget
    from catalogkit.planning import plan_gc as plan_gc
    from catalogkit.planning import plan_migrate as plan_migrate
    from catalogkit.planning import plan_near as plan_near
    from catalogkit.planning import plan_purge as plan_purge
    from catalogkit.planning import plan_relocate as plan_relocate
    from catalogkit.planning import plan_repair as plan_repair
    from catalogkit.planning import plan_retention as plan_retention
    from catalogkit.planning import plan_tier as plan_tier
    from catalogkit.planning import plan_undo as plan_undo
    from catalogkit.planning import repair_report as repair_report
    from catalogkit.planning import retention_decisions as retention_decisions
    from catalogkit.planning import why as why
    from catalogkit.policies.dedup import DedupPolicy as DedupPolicy
    from catalogkit.policies.retention import RetentionDecision as RetentionDecision
    from catalogkit.policies.tiering import TierPolicy as TierPolicy
    from catalogkit.preview import FolderPreview as FolderPreview
    from catalogkit.preview import preview as preview
    from catalogkit.readers import TenantReader as TenantReader
    from catalogkit.readers import drop_reader as drop_reader
    from catalogkit.readers import open_reader as open_reader
    from catalogkit.review_forms import review as review
    from catalogkit.snapshots import CatalogSnapshot as CatalogSnapshot
    from catalogkit.snapshots import CatalogWithHistory as CatalogWithHistory
    from catalogkit.snapshots import diff_snapshots as diff_snapshots
    from catalogkit.snapshots import drop_snapshot as drop_snapshot
    from catalogkit.snapshots import list_snapshots as list_snapshots
    from catalogkit.snapshots import query_at as query_at
    from catalogkit.snapshots import take_snapshot as take_snapshot
    from catalogkit.status import Status as Status
    from catalogkit.status import status as status
    from catalogkit.stores.contract import Store as StorageLayout  # noqa: F401 - named here as users call it
    from catalogkit.stores.s3.store import S3Layout as S3Layout
    from catalogkit.telemetry import start as start_telemetry  # noqa: F401 - it has a longer name at this door
    from catalogkit.tenants import MultiTenantCatalog as MultiTenantCatalog
    from catalogkit.tenants import TenantSettings as TenantSettings
    from catalogkit.verify import verify as verify
    from catalogkit.verify import verify_batch as verify_batch
    from catalogkit.viewing import make_views as make_views

__version__ = "0.1.0"

# Public name -> where it lives. Loaded when first used, so that a command line that needs little stays quick.
_WHERE: Final = {
    "AuditReport": "audit",
    "BackupMetadata": "backups.making",
    "CatalogConsistencyChecker": "auditing",
    "CatalogSnapshot": "snapshots",
    "CatalogStore": "catalog.contract:Catalog",
    "CatalogWithHistory": "snapshots",
    "Checkup": "checkup",
    "Collection": "collection",
    "ContentMetadata": "content",
    "DataIssue": "audit",
    "DedupAnalytics": "analytics",
    "DedupOpportunities": "opportunities",
    "DedupPolicy": "policies.dedup",
    "DocumentRecord": "model",
    "EnrichedDocumentRecord": "content",
    "EvictionPolicy": "planners.evict",
    "Fetcher": "fetching",
    "HashMismatch": "audit",
    "MissingFile": "audit",
    "OrphanFile": "audit",
    "Maintenance": "maintaining",
    "MetadataExtractor": "extract.extractor",
    "MigrationReport": "migrating",
    "MultiTenantCatalog": "tenants",
    "NearDuplicates": "planning",
    "Plan": "plan",
    "FolderPreview": "preview",
    "preview": "preview",
    "RepairPolicy": "planners.repair",
    "RetentionDecision": "policies.retention",
    "RetentionPolicy": "planning",
    "TenantReader": "readers",
    "TenantSettings": "tenants",
    "S3Layout": "stores.s3.store",
    "SQLiteCatalog": "catalog.sqlite",
    "StorageLayout": "stores.contract:Store",
    "TierPolicy": "policies.tiering",
    "Tiering": "planning",
    "add_store": "joining",
    "adopt_store": "joining",
    "analyze_dedup_opportunities": "planning",
    "apply": "apply",
    "EvictionCandidate": "planning",
    "SmartEvictionPolicy": "planning",
    "eviction_promises": "planning",
    "eviction_regret": "planning",
    "plan_evict": "planning",
    "plan_fetch": "planning",
    "ConflictReport": "federation.conflicts",
    "FederatedCatalog": "federation.federated",
    "ReconcilePolicy": "planners.reconcile",
    "SyncReport": "federation.syncing",
    "conflicts": "federation.conflicts",
    "follow": "federation.following",
    "plan_reconcile": "federation.conflicts",
    "sync": "federation.syncing",
    "approve": "planning",
    "audit": "auditing",
    "backtest_retention": "planning",
    "backup_catalog": "backups.making",
    "demo_collection": "demo",
    "diff_snapshots": "snapshots",
    "doctor": "doctor",
    "drop_reader": "readers",
    "drop_snapshot": "snapshots",
    "drill": "backups.drilling",
    "extract": "extract.backfill",
    "gc_incremental": "planning",
    "give_up": "planning",
    "import_accesses": "access_logs",
    "ingest": "ingest",
    "init": "collection",
    "is_demo": "demo",
    "list_snapshots": "snapshots",
    "list_backups": "backups.listing",
    "maintain": "maintaining",
    "make_views": "viewing",
    "migrate_to_cas_gradual": "migrating",
    "open": "collection:open_collection",
    "open_reader": "readers",
    "near_duplicates": "planning",
    "plan_dedup": "planning",
    "plan_forget": "planning",
    "plan_gc": "planning",
    "plan_migrate": "planning",
    "PostgresCatalog": "catalog.postgres",
    "plan_near": "planning",
    "plan_purge": "planning",
    "plan_retention": "planning",
    "plan_relocate": "planning",
    "plan_repair": "planning",
    "plan_tier": "planning",
    "plan_undo": "planning",
    "query_at": "snapshots",
    "rebuild_catalog": "backups.rebuilding",
    "recover_from_backup": "backups.recovering",
    "register_or_get": "ingest",
    "repair_report": "planning",
    "retention_decisions": "planning",
    "review": "review_forms",
    "Status": "status",
    "start_telemetry": "telemetry:start",
    "status": "status",
    "take_snapshot": "snapshots",
    "rollback_migration": "migrating",
    "use_store": "joining",
    "verify": "verify",
    "verify_batch": "verify",
    "why": "planning",
}

__all__ = ["__version__", *sorted(_WHERE)]  # noqa: PLE0604 - they are strings


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'catalogkit' has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    value = globals()[name] = getattr(import_module(f"catalogkit.{module}"), attribute or name)
    return value


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext catalogkit``: the magics ``%catalog`` and ``%%catalog sql`` (see `catalogkit.magics`)."""
    from catalogkit.magics import register

    register(shell)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps `catalogkit.verify` the function, whichever module is imported first.

    Importing a submodule sets it as an attribute of its package; where a verb lives in a module of its own name, that
    would hide the verb.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _WHERE and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

"""The page of Python names, ``docs/python.md``: made from the package's own docstrings."""

from __future__ import annotations

import inspect
from typing import Any, Final

import catalogkit as ck

OPENING: Final = """# Every name in Python

Written by `python tests/test_docs.py` from the docstrings, which say more: `help(ck.verify)`, or `ck.verify?` in a
notebook. `import catalogkit as ck` loads nothing heavy: a name is loaded when it is first used. Times are aware and in
UTC, sizes in bytes; what needs to know the time takes `as_of`.
"""
# What belongs together, in the order of work.
GROUPS: Final = {
    "A collection": """
        preview FolderPreview init open Collection ingest register_or_get status Status doctor Checkup
        demo_collection is_demo DocumentRecord CatalogStore SQLiteCatalog PostgresCatalog
    """,
    "Proof": """
        verify verify_batch audit AuditReport CatalogConsistencyChecker DataIssue HashMismatch MissingFile OrphanFile
    """,
    "What is inside documents": """
        extract MetadataExtractor ContentMetadata EnrichedDocumentRecord
    """,
    "Plan, review, apply, undo": """
        Plan plan_gc plan_purge plan_forget plan_undo review approve apply give_up why gc_incremental
    """,
    "Policies": """
        plan_retention retention_decisions backtest_retention RetentionPolicy RetentionDecision
        plan_dedup analyze_dedup_opportunities DedupAnalytics DedupOpportunities DedupPolicy
        plan_near near_duplicates NearDuplicates
    """,
    "Eviction": """
        plan_evict plan_fetch SmartEvictionPolicy EvictionCandidate EvictionPolicy eviction_promises eviction_regret
        import_accesses Fetcher
    """,
    "Repair, backup, recovery": """
        plan_repair repair_report RepairPolicy backup_catalog list_backups BackupMetadata drill recover_from_backup
        rebuild_catalog
    """,
    "Moments": """
        take_snapshot list_snapshots drop_snapshot diff_snapshots query_at CatalogSnapshot CatalogWithHistory
    """,
    "Stores and moves": """
        add_store adopt_store use_store S3Layout StorageLayout plan_migrate migrate_to_cas_gradual rollback_migration
        MigrationReport plan_relocate plan_tier TierPolicy Tiering make_views
    """,
    "Every night": """
        maintain Maintenance start_telemetry
    """,
    "Tenants and sites": """
        MultiTenantCatalog TenantSettings TenantReader open_reader drop_reader
        FederatedCatalog sync SyncReport follow conflicts ConflictReport plan_reconcile ReconcilePolicy
    """,
}
METHODS: Final = (
    "Collection",
    "Plan",
    "DedupAnalytics",
    "SmartEvictionPolicy",
    "MultiTenantCatalog",
    "FederatedCatalog",
)


def page() -> str:
    """The page: a table for each group, the methods of the classes that people hold in their hands below it."""
    parts = [OPENING]
    for heading, names in GROUPS.items():
        parts += [f"## {heading}", "", "| name | what it is or does |", "|---|---|"]
        parts += [_row(f"ck.{name}", getattr(ck, name)) for name in names.split()]
        parts.append("")
        for name in (one for one in names.split() if one in METHODS):
            one = getattr(ck, name)
            parts += [f"### ck.{name}", "", "| method | what it does |", "|---|---|"]
            parts += [_row(f".{method}", inspect.getattr_static(one, method)) for method in _methods(one)]
            parts.append("")
    return "\n".join(parts)


def _methods(one: type) -> list[str]:
    """What a class offers: methods and properties that say what they do."""
    public = [name for name in dir(one) if not name.startswith("_")]
    found = {name: inspect.getattr_static(one, name) for name in public}
    return [name for name in public if inspect.getdoc(found[name])
            and (isinstance(found[name], property | classmethod | staticmethod) or callable(found[name]))]  # fmt: skip


def _row(name: str, one: Any) -> str:
    said = " ".join((inspect.getdoc(one) or "").partition("\n\n")[0].split())
    return f"| `{name}{_taken(one)}` | {said.replace('|', chr(92) + '|').replace('``', '`')} |"


def _taken(one: Any) -> str:
    """What a function takes, by name alone; an ellipsis stands for a default."""
    found = getattr(one, "__func__", one)
    if inspect.isclass(found) or not callable(found):
        return ""
    signature = inspect.signature(found)
    bare = [
        parameter.replace(
            annotation=parameter.empty, default=parameter.empty if parameter.default is parameter.empty else ...
        )
        for parameter in signature.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty)).replace("Ellipsis", "…")

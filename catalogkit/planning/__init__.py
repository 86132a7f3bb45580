"""Gathers what planners need to know from catalog and stores, and calls them."""

from __future__ import annotations

from catalogkit.planning.backtest import backtest_retention
from catalogkit.planning.dedup import analyze_dedup_opportunities, plan_dedup
from catalogkit.planning.documents import plan_forget
from catalogkit.planning.evict import EvictionCandidate, SmartEvictionPolicy, plan_evict
from catalogkit.planning.evicted import eviction_promises, eviction_regret, plan_fetch
from catalogkit.planning.gc import gc_incremental, plan_gc, plan_purge
from catalogkit.planning.keeping import approve, earlier_plan, give_up, unfinished_plans, waiting_plans
from catalogkit.planning.migrate import misplaced, plan_migrate
from catalogkit.planning.near import NearDuplicates, near_duplicates, plan_near
from catalogkit.planning.reasons import why
from catalogkit.planning.relocate import plan_relocate
from catalogkit.planning.repair import plan_repair, repair_report
from catalogkit.planning.retention import Retention, RetentionPolicy, plan_retention, retention_decisions
from catalogkit.planning.tier import Tiering, plan_tier
from catalogkit.planning.undo import plan_undo

__all__ = [
    "EvictionCandidate",
    "NearDuplicates",
    "Retention",
    "RetentionPolicy",
    "SmartEvictionPolicy",
    "Tiering",
    "analyze_dedup_opportunities",
    "approve",
    "backtest_retention",
    "earlier_plan",
    "eviction_promises",
    "eviction_regret",
    "gc_incremental",
    "give_up",
    "misplaced",
    "near_duplicates",
    "plan_dedup",
    "plan_evict",
    "plan_fetch",
    "plan_forget",
    "plan_gc",
    "plan_migrate",
    "plan_near",
    "plan_purge",
    "plan_relocate",
    "plan_repair",
    "plan_retention",
    "plan_tier",
    "plan_undo",
    "repair_report",
    "retention_decisions",
    "unfinished_plans",
    "waiting_plans",
    "why",
]

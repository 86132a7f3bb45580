"""Which module lives in which room, and that arrows between the rooms point down only."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "catalogkit"

# From the ground up; a module imports from its own room and from those above it in this table. Rooms that are still
# to be built have their names here already.
ROOMS = {
    "pure": """
        addresses
        approval
        arrivals
        audit
        audit_codes
        audit_sample
        billing
        checkup
        columns
        content
        coverage
        equipment
        errors
        eviction
        eviction.*
        federation
        federation.causality
        federation.changes
        federation.merging
        filters
        fixity
        formats
        found
        health
        layouts
        lookup
        model
        near
        near.*
        opportunities
        overview
        parquet
        pictures
        pictures.*
        plan
        planners
        planners.*
        policies
        policies.*
        policy
        progress
        quality
        reprs
        selecting
        snippets
        sniff
        stats
        ticks
        trends
        unit_table
        units
        words
    """,
    "world": """
        catalog
        catalog.*
        config
        owners
        signals
        stores
        stores.*
        workers
    """,
    "held": """
        accessing
        asking
        collection
        remote
        searching
    """,
    "acts": """
        access_logs
        acts.*
        apply
        apply_report
        auditing
        auditing_files
        backups
        backups.*
        batching
        brakes
        charging
        demo
        demo_sites
        doctor
        evidence
        extract
        extract.*
        federation.conflicts
        federation.exchange
        federation.federated
        federation.following
        federation.syncing
        fetching
        ingest
        ingest_report
        installed
        intents
        inventories
        joining
        leasing
        marks
        migrating
        planning
        planning.*
        places
        preview
        proving
        readers
        replicas
        settling
        shelving
        snapshots
        sources
        status
        sync
        tenants
        uploading
        verify
        versions
        viewing
    """,
    "face": """
        analytics
        audit_charts
        backup_charts
        billing_charts
        charts
        conflict_charts
        display
        drawing
        eviction_charts
        exporter
        fixity_charts
        html
        kernels
        lean
        magics
        maintaining
        metrics
        migration_charts
        near_charts
        overview_charts
        papermill_engine
        params
        plan_charts
        quality_charts
        quiet_kernels
        report_index
        reports
        retention_charts
        review
        review_forms
        review_terminal
        review_words
        telemetry
        textfile
        trend_charts
        widgets
    """,
    "door": """
        __init__
        __main__
        cli
        commands
        commands.*
        door
        terminal
    """,
}
NOTEBOOK = {"plotly", "ipywidgets", "anywidget", "papermill", "nbformat", "nbclient", "IPython", "traitlets"}
CLOCKS_AND_FILES = {
    "asyncio", "concurrent", "fcntl", "io", "mmap", "os", "pathlib", "shutil", "socket", "sqlite3", "subprocess",
    "tempfile", "threading", "time", "urllib.request",
}  # fmt: skip
TOUCHES = {"now", "today", "utcnow", "open", "read_text", "write_text", "read_bytes", "write_bytes", "read_parquet"}
# What the pure may do all the same: name file names; be kept in a file under a name the caller gives.
ALLOWED = {
    "model": {"os"},
    "plan": {"io", "pathlib", "read_text", "write_text", "read_bytes"},
    "parquet": {"pathlib", "read_parquet"},
    "approval": {"pathlib", "read_text", "write_text"},
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports(module: str) -> set[str]:
    """Everything a module imports, wherever it does; of this package the modules, of others the full names."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{module}: imports are absolute here"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(module: str) -> set[str]:
    names = {name.removeprefix("catalogkit.") for name in imports(module) if name.startswith("catalogkit.")}
    return {name for name in names if name in MODULES}


def room(module: str) -> str:
    """The room of a module; none where nobody gave it one."""
    family = module.partition(".")[0] + ".*"
    return next((room for room, names in ROOMS.items() if {module, family} & set(names.split())), "")


def test_every_module_has_a_room() -> None:
    """A new module is given its place here, on purpose, before anything may import it."""
    listed = [name for names in ROOMS.values() for name in names.split()]
    assert len(listed) == len(set(listed))
    assert not [name for name in MODULES if not room(name)], "give these a room in the table"


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_down(module: str) -> None:
    """A module imports from its own room and those below, even if only for its types."""
    floors = ["", *ROOMS]
    above = {name for name in ours(module) if floors.index(room(name)) > floors.index(room(module))}
    assert not above


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) == "pure"])
def test_the_pure_stay_pure(module: str) -> None:
    """What decides has no clock, no files and no database; its arguments are all it knows."""
    allowed = ALLOWED.get(module, set())
    parts = {part for name in imports(module) for part in (name, name.partition(".")[0])}
    assert not (parts & CLOCKS_AND_FILES) - allowed
    calls = [node.func for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
    assert not (names & TOUCHES) - allowed


@pytest.mark.parametrize("module", MODULES)
def test_only_the_face_imports_notebook_libraries(module: str) -> None:
    """Plots, widgets and notebooks are for the face only, SQLite for one engine, terminals for the door."""
    tops = {name.partition(".")[0] for name in imports(module)}
    if room(module) != "face":
        assert not tops & NOTEBOOK
    if not module.startswith("catalog.sqlite"):
        assert "sqlite3" not in tops
    if room(module) != "door":
        assert not tops & {"typer", "rich"}


def test_catalog_and_stores_do_not_know_each_other() -> None:
    """Facts and bytes meet in the rooms above, never side by side."""
    for module in MODULES:
        here = module.partition(".")[0]
        for other in {"catalog": "stores", "stores": "catalog"}.get(here, "").split():
            assert not [name for name in ours(module) if name.partition(".")[0] == other], module


def test_planners_plan_only() -> None:
    """Planners import none of what carries plans out, nor what it is carried out on."""
    for module in MODULES:
        if module.partition(".")[0] == "planners":
            assert {room(name) for name in ours(module)} <= {"pure"}, module

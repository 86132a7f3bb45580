"""Opportunities of real collections: figures that add up, and say the same as `DedupAnalytics`."""

from __future__ import annotations

import os
import shutil
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from catalogkit.analytics import DedupAnalytics
from catalogkit.collection import Collection, open_collection
from catalogkit.errors import InvalidInput, StoreUnreachable
from catalogkit.ingest import ingest
from catalogkit.opportunities import GROUPS
from catalogkit.planning import analyze_dedup_opportunities, plan_dedup
from catalogkit.planning.dedup import MEASURED_BYTES
from catalogkit.policies.dedup import Costs, DedupPolicy
from tests.conftest import make_tree
from tests.dedup.cases import EAGER
from tests.plans.scene import put

if TYPE_CHECKING:
    from collections.abc import Callable


def part(collection: Collection) -> Collection:
    """Give every name of the store a file of its own, and have the catalog know it, as if links had failed."""
    root = Path(collection.store.root)
    with collection.catalog.write("part") as db:  # type: ignore[attr-defined]
        for number, key in db.execute("SELECT id, key FROM locations WHERE store_id = 1").fetchall():
            shutil.copy2(root / key, root / "copy")
            os.replace(root / "copy", root / key)
            about = os.stat(root / key)
            db.execute(
                "UPDATE locations SET inode = ?, mtime_ns = ? WHERE id = ?", (about.st_ino, about.st_mtime_ns, number)
            )
    return collection


@pytest.fixture
def stocked(make_collection: Callable[..., Collection], source: Path) -> Collection:
    """Readable paths: five copies of 4 kB by two resolvers, two of 10 bytes, two empty ones; two of 2 kB in place."""
    collection = make_collection("policy")
    for number in range(5):
        put(collection, f"big{number}", b"big!" * 1000, resolver="core" if number < 4 else "pmc")
    for number in range(2):
        put(collection, f"small{number}", b"small text", resolver="core")
        put(collection, f"empty{number}", b"", resolver="core")
    make_tree(source, {"one": b"in" * 1000, "two": b"in" * 1000})
    ingest(collection, source, mode="reference", resolver="lab")
    return part(collection)


def analyzed(collection: Collection, policy: DedupPolicy = EAGER, **more: Any) -> Any:
    return analyze_dedup_opportunities(policy, collection=collection, **more)


def test_each_group_has_its_decision(stocked: Collection) -> None:
    """What is worth it first, then the rest, each with its reason; the frame has its schema, full or empty."""
    found = analyzed(stocked)
    assert found.frame.schema == GROUPS
    shown = found.frame.select("store", "reason", "names", "objects", "spare_bytes", "freed_bytes", "steps").rows()
    assert shown == [
        ("main", "worthwhile", 5, 5, 16_000, 16_000, 4),
        ("main", "worthwhile", 2, 2, 10, 10, 1),
        ("in-place", "in-place", 2, 2, 2_000, 0, 0),
        ("main", "empty", 2, 2, 0, 0, 0),
    ]
    nothing = analyzed(stocked, replace(EAGER, min_file_size=10**9))
    assert nothing.frame.schema == GROUPS and nothing.totals.freed_bytes == 0


def test_figures_add_up_and_agree_with_the_analytics(stocked: Collection) -> None:
    """Freed and left are all that is spare, by reason too; and that is what the analytics call reclaimable."""
    for policy in (EAGER, DedupPolicy(), replace(EAGER, resolver_allowlist=["core"])):
        found = analyzed(stocked, policy)
        totals = found.totals
        assert totals.spare_bytes == DedupAnalytics(stocked).totals.reclaimable_bytes == 18_010
        assert totals.freed_bytes + totals.left_bytes == totals.spare_bytes == found.reasons()["bytes"].sum()
        assert totals.cost == totals.read_cost + totals.request_cost + totals.time_cost
        assert totals.net == totals.saving - totals.cost
        assert found.frame["cost"].sum() == totals.cost and found.frame["saving"].sum() == totals.saving
        assert found.to_plan().bytes_freed() == totals.freed_bytes == plan_dedup(stocked, policy).bytes_freed()


def test_the_advice_follows_the_analytics(stocked: Collection) -> None:
    """Both offer what may be touched, and send what lies in place to ingest."""
    theirs = DedupAnalytics(stocked).recommendations()
    assert theirs[0] == "Dedup can free 16.0 kB of spare copies, 16.0 kB of it in store 'main'."
    assert theirs[2].startswith("2.00 kB of spare copies are in their owners' hands")
    ours = analyzed(stocked).recommendations()
    assert ours[0].startswith("Share 2 contents: frees 16,010 bytes")
    assert ours[1].startswith("2,000 bytes in 1 copies stay: its files are in their owner's hands")
    picky = analyzed(stocked, replace(EAGER, min_file_size=100, max_age_days=0, resolver_allowlist=["core"]))
    advice = "\n".join(picky.recommendations())
    assert "16,000 bytes in 4 copies stay" in advice and "add the resolver" in advice
    assert "lower `min_file_size`" in advice


def test_advice_about_age_points_the_right_way(stocked: Collection, clock: Any) -> None:
    """To share more, the age limit is raised; and raising it does share more (hazard 69)."""
    clock.advance(days=100)
    old = analyzed(stocked, replace(EAGER, max_age_days=90))
    assert any("raise `max_age_days`" in line for line in old.recommendations())
    assert old.totals.freed_bytes == 0
    assert analyzed(stocked, replace(EAGER, max_age_days=101)).totals.freed_bytes == 16_010


def test_a_content_of_another_resolver_is_left_alone_whole(stocked: Collection) -> None:
    """One document of five that is not on the list keeps all five copies apart (hazard 69)."""
    found = analyzed(stocked, replace(EAGER, resolver_allowlist=["core"]))
    reasons = dict(found.frame.select("spare_bytes", "reason").rows())
    assert (reasons[16_000], reasons[10]) == ("resolver", "worthwhile")
    with pytest.raises(InvalidInput, match="'coer'"):
        analyzed(stocked, replace(EAGER, resolver_allowlist=["core", "coer"]))


def test_without_a_look_the_catalog_alone_answers(stocked: Collection) -> None:
    """The store may be away; then there are figures, but no plan."""
    os.rename(stocked.store.root, f"{stocked.store.root}-away")
    with pytest.raises(StoreUnreachable):
        analyzed(stocked)
    found = analyzed(stocked, look=False)
    assert found.totals.freed_bytes == 16_010
    with pytest.raises(InvalidInput, match="look"):
        found.to_plan()


def test_nothing_is_changed_by_looking(stocked: Collection) -> None:
    """Neither facts nor files: not a name, not an inode."""
    facts = {table: stocked.frame(table) for table in ("documents", "blobs", "locations")}
    inodes = {path: path.stat().st_ino for path in Path(stocked.store.root).rglob("*")}
    for how in ("link", "clone", "cas"):
        analyzed(stocked, how=how).to_plan()
    assert all(stocked.frame(table).equals(before) for table, before in facts.items())
    assert {path: path.stat().st_ino for path in Path(stocked.store.root).rglob("*")} == inodes


def test_a_store_that_lost_its_links_is_told_by_its_files(make_collection: Callable[..., Collection]) -> None:
    """The catalog believes that names share a file; they do not any more, and that is what counts."""
    collection = make_collection("policy")
    for number in range(3):
        put(collection, f"doc{number}", b"x" * 500)
    assert analyzed(collection).totals.spare_bytes == 0
    for path in [path for path in Path(collection.store.root, "docs").rglob("*") if path.is_file()]:
        shutil.copy2(path, f"{path}-copy")
        os.replace(f"{path}-copy", path)
    assert analyzed(collection).totals.freed_bytes == 1000
    assert analyzed(collection, look=False).totals.spare_bytes == 0


def test_names_outside_of_the_catalog_and_files_that_are_gone(stocked: Collection, tmp_path: Path) -> None:
    """A name elsewhere keeps the bytes; a file that is gone, or shorter, is not planned with."""
    kept, spare, gone, short, _ = [
        Path(stocked.store.path(key)) for key in stocked.frame("locations")["key"].to_list() if "/big" in key
    ]
    os.link(spare, tmp_path / "elsewhere")
    gone.unlink()
    short.chmod(0o644)
    short.write_bytes(b"short")
    found = analyzed(stocked, replace(EAGER, preserve_mode=False))
    verdicts = {row["key"]: row["reason"] for row in found.decisions.iter_rows(named=True) if "/big" in row["key"]}
    assert [verdicts[str(path.relative_to(stocked.store.root))] for path in (kept, spare, gone, short)] == [
        "kept",
        "held-elsewhere",
        "changed",
        "changed",
    ]


def test_the_speed_is_the_policy_s_else_measured_else_usual(stocked: Collection) -> None:
    """A configured throughput counts first; then that of a whole verification that read enough; then the usual one."""
    speed = "read_mb_per_second"
    assert getattr(analyzed(stocked).policy.costs, speed) == 200
    stocked.catalog.start_run("v", "verify", as_of=stocked.now())
    stocked.catalog.end_run("v", {"bytes": MEASURED_BYTES - 1, "seconds": 1.0}, as_of=stocked.now())
    assert getattr(analyzed(stocked).policy.costs, speed) == 200
    stocked.catalog.end_run("v", {"bytes": 5 * MEASURED_BYTES, "seconds": 2.0}, as_of=stocked.now())
    assert getattr(analyzed(stocked).policy.costs, speed) == 250
    told = analyzed(stocked, replace(EAGER, costs=Costs(read_mb_per_second=7)))
    assert getattr(told.policy.costs, speed) == 7
    assert "at 7 MB/s" in told._repr_mimebundle_()["text/plain"]


def test_as_sketched(stocked: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """`analyze_dedup_opportunities(policy)` works on $CATALOGKIT_HOME; without one, by its settings."""
    monkeypatch.setenv("CATALOGKIT_HOME", str(stocked.path))
    assert analyze_dedup_opportunities(EAGER).totals.freed_bytes == 16_010
    with (stocked.path / "catalogkit.toml").open("a") as file:
        file.write("[dedup]\nmin_file_size = 11\nmax_age_days = 36500\n[dedup.costs]\ncurrency = 'EUR'\n")
    found = analyze_dedup_opportunities()
    assert (found.totals.freed_bytes, found.totals.currency) == (16_000, "EUR")
    with open_collection(stocked.path) as again:
        assert again.config.dedup == DedupPolicy(11, 36500, costs=Costs(currency="EUR"))
    with pytest.raises(InvalidInput, match="link, clone, cas"):
        analyze_dedup_opportunities(how="rsync")


def test_what_a_person_sees(stocked: Collection) -> None:
    """Terms with their money, and the reasons for what stays; in text and HTML."""
    found = analyzed(stocked, replace(EAGER, min_file_size=100, costs=Costs(per_gb_read=Decimal(5))))
    shown = found._repr_mimebundle_()
    assert "bytes read to prove equality" in shown["text/plain"] and "0.000160 USD" in shown["text/plain"]
    assert "too-small" in shown["text/html"] and "in-place" in shown["text/html"]
    assert found.to_dict()["cost"] == str(found.totals.cost)
    assert repr(found) == "DedupOpportunities(1 of 4 groups, 16,000 bytes)"


def test_an_empty_collection(make_collection: Callable[..., Collection]) -> None:
    """Nothing at all: every figure is 0, every frame has its schema (hazard 49)."""
    found = analyzed(make_collection())
    assert (found.totals.groups, found.totals.cost, found.totals.saving) == (0, 0, 0)
    assert found.frame.schema == GROUPS and found.to_plan().units == 0
    assert found.recommendations() == ["Nothing to do: no store has spare copies of anything."]
    assert found.reasons().is_empty() and found.terms().height == 6

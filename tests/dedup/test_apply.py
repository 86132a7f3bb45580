"""From analysis to disk and back (hazard 70): shared as planned, what differs by then is not, undo parts it again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from catalogkit.acts.sharing import own_bytes
from catalogkit.analytics import DedupAnalytics
from catalogkit.approval import approve_plan
from catalogkit.collection import Collection
from catalogkit.planning import analyze_dedup_opportunities, plan_dedup, plan_undo
from catalogkit.verify import verify
from tests.dedup.cases import EAGER
from tests.plans.scene import broken, files, put, run, stored_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

BIG, SMALL, ALONE = b"big!" * 5000, b"small", b"alone"
CONTENTS = {"a": BIG, "b": BIG, "c": BIG, "d": SMALL, "e": SMALL, "f": ALONE}


@pytest.fixture
def home(make_collection: Callable[..., Collection]) -> Collection:
    """Three big, two small and a lone document at readable paths, in a store that lost its links."""
    collection = make_collection("policy")
    for name, content in CONTENTS.items():
        put(collection, name, content)
    for path in map(Path, (collection.store.path(key) for key in files(collection))):
        shutil.copy2(path, f"{path}-copy")
        os.replace(f"{path}-copy", path)
    assert len(set(files(collection).values())) == 6
    return collection


def contents(collection: Collection) -> dict[str, bytes]:
    """What each document reads as."""
    rows = collection.frame("documents").select("artifact_id", "id").rows()
    return {name: collection.read(number) for name, number in rows}


def keys(collection: Collection, *names: str) -> list[str]:
    """The keys of these documents."""
    return [next(key for key in files(collection) if key.startswith(f"docs/{name}/")) for name in names]


def test_linked_and_parted_again(home: Collection) -> None:
    """Equal bytes become one inode each, exactly the planned bytes go, and undo gives every document its own file."""
    before = stored_bytes(home)
    plan = plan_dedup(home, EAGER)
    report = run(home, plan)
    assert (report.done, report.skipped, report.failed) == (3, 0, 0)
    assert report.bytes_freed == plan.bytes_freed() == before - stored_bytes(home) == 2 * len(BIG) + len(SMALL)
    inodes = files(home)
    for group in (keys(home, "a", "b", "c"), keys(home, "d", "e")):
        assert len({inodes[key] for key in group}) == 1
        assert os.stat(home.store.path(group[0])).st_nlink == len(group)
    assert contents(home) == CONTENTS and not list(broken(home))
    # The catalog knows: no figure offers the same bytes again (hazard 67), by a look at the files or without.
    assert DedupAnalytics(home).totals.reclaimable_bytes == 0
    assert set(home.frame("locations").filter(sha256=plan.frame["sha256"][0])["inode"]) <= set(inodes.values())
    assert plan_dedup(home, EAGER).units == 0
    assert analyze_dedup_opportunities(EAGER, collection=home, look=False).totals.spare_bytes == 0

    back = run(home, plan_undo(home, plan.id))
    assert (back.done, back.skipped, back.failed) == (3, 0, 0)
    assert len(set(files(home).values())) == 6 and stored_bytes(home) == before
    assert contents(home) == CONTENTS and not list(broken(home))
    assert verify(home).ok == 6


def test_gathered_at_one_address_and_back(home: Collection) -> None:
    """One copy is left, at its content address; documents read as before; undo brings every path back."""
    before, plan = set(files(home)), plan_dedup(home, EAGER, how="cas")
    report = run(home, plan)
    assert (report.skipped, report.failed) == (0, 0)
    assert report.bytes_freed == plan.bytes_freed() == 2 * len(BIG) + len(SMALL)
    assert sorted(key.partition("/")[0] for key in files(home)) == ["cas", "cas", "docs"]
    assert contents(home) == CONTENTS and not list(broken(home))
    assert DedupAnalytics(home).totals.reclaimable_bytes == 0

    back = run(home, plan_undo(home, plan.id))
    assert (back.skipped, back.failed) == (0, 0)
    assert set(files(home)) == before
    assert contents(home) == CONTENTS and not list(broken(home))


def test_cloned_where_the_file_system_can(home: Collection) -> None:
    """Files stay files of their own; what is shared by clones is not offered again. Elsewhere the reason is told."""
    found = analyze_dedup_opportunities(EAGER, collection=home, how="clone")
    before = files(home)
    if own_bytes(home.store, keys(home, "a")[0]) is None:
        assert {"no-clones"} == set(found.reasons()["reason"])
        assert found.to_plan().units == 0
        return
    assert run(home, found.to_plan()).done == 3
    assert files(home) == before and contents(home) == CONTENTS
    # btrfs keeps the smallest files inside its tree, where nothing can be shared.
    again = analyze_dedup_opportunities(EAGER, collection=home, how="clone")
    assert again.totals.freed_bytes <= len(SMALL)
    assert "already-cloned" in again.reasons()["reason"].to_list()


@pytest.mark.parametrize("name", ["a", "b"])
def test_what_is_equal_no_more_is_never_linked(home: Collection, name: str) -> None:
    """Rot after the plan, in the copy that stays or in a spare one, of the same size and time: nothing is lost (20)."""
    plan = plan_dedup(home, replace(EAGER, min_file_size=100))
    assert plan.frame["from_key"].unique().to_list() == keys(home, "a")
    path = Path(home.store.path(keys(home, name)[0]))
    about = path.stat()
    path.chmod(0o644)
    path.write_bytes(BIG[:-1] + b"?")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    path.chmod(0o444)
    report = run(home, plan)
    assert report.done == {"a": 0, "b": 1}[name]
    assert path.read_bytes() == BIG[:-1] + b"?", "evidence is not overwritten"
    others = set("abc") - {name}
    for other in others:
        assert Path(home.store.path(keys(home, other)[0])).read_bytes() == BIG
    if name == "b":
        inodes = files(home)
        assert inodes[keys(home, "a")[0]] == inodes[keys(home, "c")[0]] != inodes[keys(home, "b")[0]]


def test_a_file_that_was_replaced_since_is_left_alone(home: Collection) -> None:
    """Another inode than the one that was looked at is not the planned one, though its bytes be equal."""
    plan = plan_dedup(home, replace(EAGER, min_file_size=100))
    path = Path(home.store.path(keys(home, "c")[0]))
    shutil.copy2(path, f"{path}-copy")
    os.replace(f"{path}-copy", path)
    report = run(home, plan)
    assert (report.done, report.skipped) == (1, 1)
    assert path.stat().st_nlink == 1


def test_a_part_is_approved(home: Collection) -> None:
    """A unit is a content: approving by size shares the big ones, and no other."""
    plan = plan_dedup(home, EAGER)
    approval = approve_plan(plan, "bytes > 100", approved_by="somebody", as_of=home.now())
    report = run(home, plan, approval=approval, unapproved=False)
    assert (report.done, report.bytes_freed) == (2, 2 * len(BIG))
    inodes = files(home)
    assert len({inodes[key] for key in keys(home, "d", "e")}) == 2


def test_the_limit_of_names_holds_on_disk(home: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for two names a file, three copies end as two files."""
    monkeypatch.setattr(type(home.store), "most_links", lambda store: 2)
    plan = plan_dedup(home, replace(EAGER, min_file_size=100))
    assert plan.bytes_freed() == len(BIG)
    run(home, plan)
    links = sorted(os.stat(home.store.path(key)).st_nlink for key in keys(home, "a", "b", "c"))
    assert links == [1, 2, 2]


def test_owner_and_mode_on_disk(home: Collection) -> None:
    """A file with a mode of its own keeps it; without `preserve_mode` it gets the mode of the one that stays."""
    path = Path(home.store.path(keys(home, "b")[0]))
    path.chmod(0o640)
    run(home, plan_dedup(home, replace(EAGER, min_file_size=100)))
    assert (path.stat().st_mode & 0o777, path.stat().st_nlink) == (0o640, 1)
    run(home, plan_dedup(home, replace(EAGER, min_file_size=100, preserve_mode=False)))
    assert (path.stat().st_mode & 0o777, path.stat().st_nlink) == (0o444, 3)

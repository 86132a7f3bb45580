"""Golden cases of the planner: which steps, in which order, and what they free."""

from __future__ import annotations

from catalogkit.plan import Plan
from catalogkit.planners.migrate import MOVES, plan_migrate
from tests.plans.frames import frame, head, sha

ONE = {"location": 1, "sha256": sha("a"), "bytes": 10, "store": "s", "key": "docs/1", "inode": 7, "users": 1}
MOVED = ("unit", "step", "kind", "key", "from_key", "bytes", "object", "users")


def plan(*rows: dict[str, object], to: str = "cas", **more: bool) -> Plan:
    full = [{"target": "cas/a", "exists": False, "mtime_ns": 5, **row} for row in rows]
    return plan_migrate(head(kind="migrate"), frame(MOVES, *full), to=to, **more)


def test_a_copy_gets_its_new_name_before_it_gives_up_the_old_one() -> None:
    """One unit: link, then drop, which leaves a view and frees nothing: the file has two names by then."""
    made = plan(ONE)
    assert made.frame.select(MOVED).rows() == [
        (0, 0, "link", "cas/a", "docs/1", 0, None, None),
        (0, 1, "drop", "docs/1", "cas/a", 10, "s:7", 2),
    ]
    assert made.bytes_freed() == 0
    assert made.frame["reason"].unique().to_list() == ["to-cas"]


def test_of_two_files_of_one_content_the_second_is_freed() -> None:
    """The first becomes what lies at the content address; a name of the same file frees nothing either."""
    two = ONE | {"location": 2, "key": "docs/2", "inode": 8}
    again = ONE | {"location": 3, "key": "docs/3", "inode": 7, "users": 2}
    made = plan(two, ONE | {"users": 2}, again)
    assert made.frame.filter(kind="drop").select("key", "users").rows() == [
        ("docs/1", 3), ("docs/2", 1), ("docs/3", 3),
    ]  # fmt: skip
    assert made.bytes_freed() == 10


def test_where_the_bytes_lie_at_the_target_already() -> None:
    """Nothing new is made: the file that is dropped is freed, unless its names say that it is the one there."""
    assert plan(ONE | {"exists": True}).bytes_freed() == 10
    assert plan(ONE | {"exists": True, "users": 2}).bytes_freed() == 0


def test_without_views_and_with_old_names_kept() -> None:
    """Without views nothing takes the place of the old name; kept, it is not dropped, and nothing is done twice."""
    assert plan(ONE, views=False).frame["from_key"].to_list() == ["docs/1", None]
    other = ONE | {"location": 2, "key": "docs/2", "exists": True}
    assert plan(ONE, other, keep=True).frame.select("kind", "from_key").rows() == [("link", "docs/1")]


def test_to_readable_paths_a_copy_gets_all_its_names_first() -> None:
    """One name for each document, then the content address goes."""
    row = ONE | {"key": "cas/a"}
    made = plan(row | {"target": "docs/y"}, row | {"target": "docs/x"}, to="policy", views=False)
    assert made.frame.select("step", "kind", "key", "users").rows() == [
        (0, "link", "docs/x", None), (1, "link", "docs/y", None), (2, "drop", "cas/a", 3),
    ]  # fmt: skip


def test_nothing_to_move_is_an_empty_plan() -> None:
    """With the schema of every plan."""
    assert plan().units == 0

"""Which backups stay: each rule by itself, what always stays, and properties of any list of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from catalogkit.planners.thin import Keep, thin

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NONE = Keep(last=0, daily=0, weekly=0, monthly=0)
keeps = st.builds(Keep, **dict.fromkeys(("last", "daily", "weekly", "monthly"), st.integers(0, 5)))
times = st.lists(st.integers(0, 400 * 24), unique=True, max_size=40).map(
    lambda hours: [(f"b{hour}", NOON + timedelta(hours=hour)) for hour in hours]
)


def stay(backups: list[tuple[str, datetime]], keep: Keep, proven: str | None = None) -> list[str]:
    return [one.name for one in thin(backups, keep, proven=proven) if one.stays]


def daily(days: int) -> list[tuple[str, datetime]]:
    """A backup every noon, named by how many days ago it was."""
    return [(str(ago), NOON - timedelta(days=ago)) for ago in range(days)]


def test_the_rules_by_example() -> None:
    """Sixty days of daily backups: the last three, then a day, a week and a month each by its newest."""
    decisions = thin(daily(60), Keep(last=3, daily=2, weekly=2, monthly=2))
    told = {one.name: one.reasons for one in decisions if one.stays}
    assert told == {
        "0": ("last 3", "daily 2026-03-01", "weekly 2026-W09", "monthly 2026-03"),
        "1": ("last 3", "daily 2026-02-28", "monthly 2026-02"),
        "2": ("last 3",),
        "7": ("weekly 2026-W08",),
    }


def test_periods_without_a_backup_do_not_count() -> None:
    """After a pause of a year, the last backups before it are still there."""
    old = [("old", NOON - timedelta(days=365)), ("older", NOON - timedelta(days=366))]
    assert stay([("new", NOON), *old], Keep(last=0, daily=3, weekly=0, monthly=0)) == ["new", "old", "older"]


def test_what_always_stays() -> None:
    """The newest, and the newest that a drill proved, whatever the rules say."""
    assert stay(daily(5), NONE, "3") == ["0", "3"]


@given(times, keeps)
def test_the_newest_stays_and_every_backup_is_decided_about(backups: list[tuple[str, datetime]], keep: Keep) -> None:
    """Each backup once, newest first; nothing is ever thinned to nothing."""
    decisions = thin(backups, keep)
    assert sorted(one.name for one in decisions) == sorted(name for name, _ in backups)
    assert [one.as_of for one in decisions] == sorted((when for _, when in backups), reverse=True)
    assert not decisions or decisions[0].stays


@given(times, keeps)
def test_thinning_twice_changes_nothing(backups: list[tuple[str, datetime]], keep: Keep) -> None:
    """What stays once stays again."""
    left = set(stay(backups, keep))
    assert set(stay([one for one in backups if one[0] in left], keep)) == left


@given(times, keeps, st.sampled_from(["last", "daily", "weekly", "monthly"]))
def test_more_keeps_more(backups: list[tuple[str, datetime]], keep: Keep, rule: str) -> None:
    """Raising a number never removes a backup more."""
    from dataclasses import replace

    assert set(stay(backups, keep)) <= set(stay(backups, replace(keep, **{rule: getattr(keep, rule) + 1})))

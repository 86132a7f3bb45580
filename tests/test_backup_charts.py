"""Pictures of backups: what they draw adds up, and says so where there is nothing to draw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from catalogkit import backup_charts
from catalogkit.backups.listing import BackupRow, framed
from catalogkit.backups.recovering import Missing, Recovery

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def rows() -> list[BackupRow]:
    return [
        BackupRow(
            name=f"2026030{day}T120000Z-{day:012}",
            as_of=NOON + timedelta(days=day),
            documents=day,
            written_bytes=1000 * day,
            held_bytes=100 * day,
            only_bytes=10 * day,
            proved=[None, True, False][day % 3],
        )
        for day in range(1, 6)
    ]


def words(figure: object) -> str:
    return str(figure)


def test_the_timeline_has_every_backup_once() -> None:
    """A bar for each, in the colour of what its drill said; a damaged manifest has no time and no bar."""
    figure = backup_charts.timeline(framed([*rows(), BackupRow(name="x", as_of=None, damaged="gone")]))
    found = {place: size for bar in figure.data for place, size in zip(bar.x, bar.y, strict=True)}
    assert found == {day - 1: 1000 * day for day in range(1, 6)}
    assert {bar.name for bar in figure.data} == {"proved by a drill", "a drill found it damaged", "never tried"}


def test_what_is_held_adds_up() -> None:
    """Shared and alone make what a backup keeps."""
    figure = backup_charts.held(framed(rows()))
    shared, alone = figure.data[:2]
    assert [a + b for a, b in zip(shared.x, alone.x, strict=True)] == [500, 400, 300, 200, 100]
    assert list(alone.x) == [50, 40, 30, 20, 10]


def test_changes_are_counted() -> None:
    """Documents that come back, go, change, and miss their bytes."""
    found = Recovery(backup="b", backup_as_of=NOON, documents=9, catalog="c", was="whole")
    found.changes = {"only in the backup": 3, "only in the catalog": 2, "changed": 1}
    found.missing = [Missing(sha256="0" * 64, bytes=5, documents=4, in_backup=False)]
    assert backup_charts.change_counts(found)["documents"].to_list() == [3, 2, 1, 4]
    assert list(backup_charts.changes(found).data[0].x) == [3, 2, 1, 4]


def test_nothing_to_draw_is_said() -> None:
    """An empty figure says why."""
    nothing = Recovery(backup="b", backup_as_of=NOON, documents=9, catalog="c", was="whole", changes={"changed": 0})
    assert "There is no backup" in words(backup_charts.timeline(framed([])))
    assert "No backup keeps anything" in words(backup_charts.held(framed([])))
    assert "Nothing: the catalog" in words(backup_charts.changes(nothing))

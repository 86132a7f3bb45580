"""What every engine must do with notes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from catalogkit.catalog.about import Vitals
from tests.catalog.desk import HOUR, NOW, PLAN

if TYPE_CHECKING:
    from tests.catalog.desk import Desk


class Notes:
    """A few words by name."""

    def test_what_was_noted_last_is_told(self, desk: Desk) -> None:
        """Under each name one text."""
        assert desk.catalog.noted("stores") is None
        desk.catalog.note("stores", "one")
        desk.catalog.note("other", "another")
        desk.catalog.note("stores", "two é'")
        assert desk.catalog.noted("stores") == "two é'"
        assert desk.catalog.noted("other") == "another"

    def test_what_a_look_at_its_health_asks(self, desk: Desk) -> None:
        """Nothing of an empty one; then who has announced what, which plans are not over, and the newest times."""
        catalog = desk.catalog
        assert catalog.vitals() == Vitals(False, None, None, (), (), 0)
        desk.put_one("one", as_of=NOW)
        desk.stage(desk.entry("two", "b"), desk.entry("three", "c"), owner="me", as_of=NOW)
        told = catalog.vitals()
        assert (told.stored, told.newest_at, told.checked_at, told.contested) == (True, NOW, None, 0)
        assert told.ingests == (("me", 2, NOW + HOUR),)
        desk.check("one", at=NOW + HOUR)
        catalog.begin_plan(PLAN, "gc", {}, {}, as_of=NOW + 2 * HOUR)
        told = catalog.vitals()
        assert (told.newest_at, told.checked_at) == (NOW + 2 * HOUR, NOW + HOUR)
        assert told.plans == ((PLAN, "gc", NOW + 2 * HOUR, False),)
        catalog.end_plan(PLAN, as_of=NOW + timedelta(hours=3))
        assert catalog.vitals().plans == ((PLAN, "gc", NOW + 2 * HOUR, True),)

    def test_its_schema_is_this_programs(self, desk: Desk) -> None:
        """Whoever opened it for work brought it up to date."""
        found, known = desk.catalog.schemas()
        assert found == known > 0

    def test_what_is_noted_instead_of_something_else(self, desk: Desk) -> None:
        """Of several that looked at the same text one has its own stand there, and the others are told."""
        catalog = desk.catalog
        assert not catalog.note_instead("marks", "one", "nothing yet") and catalog.noted("marks") is None
        assert catalog.note_instead("marks", "one", None)
        assert not catalog.note_instead("marks", "another", None)
        assert catalog.note_instead("marks", "two é'", "one")
        assert not catalog.note_instead("marks", "another", "one")
        assert catalog.noted("marks") == "two é'"

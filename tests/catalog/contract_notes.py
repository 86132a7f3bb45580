"""What every engine must do with notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

"""The commands: what they answer, and with which exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from catalogkit.collection import open_collection
from tests.migration.scene import CONTENTS, settle
from tests.plans.steps import spoil
from tests.test_cli import answer, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A collection at readable paths, closed."""
    settle(tmp_path / "collection").close()
    return tmp_path / "collection"


def test_dry_run_migrate_views_and_back(home: Path) -> None:
    """Each says what there is and what was done; what is in the way of a view waits for a person: exit code 2."""
    told = answer("-C", home, "migrate", "--dry-run")
    assert (told["left"], told["layout"]) == (10, "policy")
    told = answer("-C", home, "migrate", "--batch-size", "3")
    assert (told["moved"], told["batches"], told["layout"]) == (10, 4, "cas")
    assert answer("-C", home, "views")["made"] == len(CONTENTS)
    (home / "views" / "a").unlink()
    (home / "views" / "a").write_text("mine")
    assert answer("-C", home, "views", code=2)["in_the_way"] == [str(home / "views" / "a")]
    told = answer("-C", home, "migrate", "--rollback")
    assert (told["moved"], told["layout"]) == (10, "policy")


def test_what_could_not_be_moved_waits_for_a_person(home: Path) -> None:
    """A copy that stays is reason enough to look: exit code 2. Old paths are dropped when somebody says so."""
    with open_collection(home) as collection:
        spoil(collection, "docs/a")
    told = answer("-C", home, "migrate", code=2)
    assert (told["moved"], told["left"]) == (9, 1)
    assert answer("-C", home, "views", "--drop-old") == {"removed": 9}


def test_a_plan_is_kept_and_waits(home: Path) -> None:
    """`plan migrate` changes nothing; a layout that is none is an error."""
    told = answer("-C", home, "plan", "migrate", "--limit", "4", code=2)
    assert (told["units"], told["kind"], told["bytes_freed"]) == (4, "migrate", 0)
    assert "use cas or policy" in run("-C", home, "plan", "migrate", "--to", "tape", code=1).stderr

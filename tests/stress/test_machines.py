"""Several machines on one bucket: leases and states in the catalog, conditions on every removal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stress import machines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pg import Server


@pytest.fixture
def catalog(pg: Server, pg_template: str) -> Iterator[str]:
    """The address of an empty catalog."""
    url = pg.database(pg_template)
    yield url
    pg.drop(url)


@pytest.mark.stress
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kill", [False, True])
def test_two_machines_on_one_bucket_lose_nothing(kill: bool, catalog: str, s3_url: str, tmp_path: Path) -> None:
    """One takes in and condemns, one takes in and purges, both move between two places: nothing loses its bytes."""
    kills = machines.race(tmp_path, catalog, s3_url, 20, kill=kill)
    assert (kills > 0) == kill

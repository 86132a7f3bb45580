"""The user's door."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from catalogkit.errors import InvalidInput
from catalogkit.federation.exchange import exchange
from catalogkit.federation.federated import FederatedCatalog
from tests.federation.scene import add, agree, change, texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection


def test_sync_and_conflicts(make_collection: Callable[..., Collection], tmp_path: Path) -> None:
    """Regions by collection, made sites when they are first talked to; bytes follow as far as the budget goes."""
    primary, east = make_collection(name="here"), make_collection(name="there")
    add(primary, "one", "first")
    catalog = FederatedCatalog(primary, {"east": east})
    report = asyncio.run(catalog.sync_to_region("east", bytes_budget=None))
    assert (report.site, report.sent.new) == ("east", 1)  # type: ignore[union-attr]
    assert east.read(1) == b"first"
    assert [one.name for one in east.catalog.sites()] == ["east", "primary"]
    change(primary, "one", "here")
    change(east, "one", "there")
    asyncio.run(catalog.sync_to_region("east"))
    found = asyncio.run(catalog.reconcile_conflicts())
    assert found.groups() == {"content": 1}
    agree(primary, east)
    with pytest.raises(InvalidInput, match="no region 'west'; there are: east"):
        asyncio.run(catalog.sync_to_region("west"))
    # Where neither reaches the other's catalog, by way of a place that both reach.
    add(primary, "two", "second")
    assert asyncio.run(catalog.sync_to_region("east", through=str(tmp_path / "share"))).written > 0
    assert asyncio.run(catalog.sync_to_region("east", through=str(tmp_path / "share"))).written == 0
    exchange(east, str(tmp_path / "share"))
    agree(primary, east)
    with pytest.raises(InvalidInput, match="straight between sites"):
        asyncio.run(catalog.sync_to_region("east", through="share", copies=2))
    # Two sites say that they have the first, one has the second: only that follows.
    asyncio.run(catalog.sync_to_region("east", bytes_budget=None, copies=1))
    assert east.catalog.frame("wanted")["artifact_id"].to_list() == ["two"]
    asyncio.run(catalog.sync_to_region("east", bytes_budget=None, copies=2))
    assert east.catalog.frame("wanted").is_empty()


def test_regions_of_the_settings(make_collection: Callable[..., Collection]) -> None:
    """A region is a folder seen from the collection's; what the door opened it closes."""
    primary, other = make_collection(name="here"), make_collection(name="there")
    add(other, "one", "first")
    other.close()
    path = primary.path
    primary.close()
    with (path / "catalogkit.toml").open("a") as file:
        file.write('\n[regions]\neast = "../there"\n')
    with FederatedCatalog(path) as catalog:
        assert catalog.regions == ["east"]
        asyncio.run(catalog.sync_to_region("east"))
        assert texts(catalog.primary).keys() == {"one"}
        asyncio.run(catalog.sync_to_region("east"))

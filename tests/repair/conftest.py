"""A server to fetch from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.repair.server import Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on loopback."""
    with serving() as told:
        yield told

"""A sandbox that the tests of a module share, with limits that hostile documents soon reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from catalogkit.extract.extractor import MetadataExtractor
from catalogkit.policies.extract import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalogkit.content import ContentMetadata

TIGHT = Limits(seconds=20, cpu_seconds=2, memory_bytes=900_000_000, input_bytes=20_000_000, unpacked_bytes=8_000_000)


@pytest.fixture(scope="module")
def extractor() -> Iterator[MetadataExtractor]:
    with MetadataExtractor(limits=TIGHT) as extractor:
        yield extractor


@pytest.fixture
def told() -> Callable[[bytes], ContentMetadata]:
    """What is inside these bytes, read in this process: for documents that are harmless."""
    return MetadataExtractor(isolated=False).extract

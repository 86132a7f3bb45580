"""The door for single documents: paths, bytes, blobs; and what tells them apart from each other: nothing but bytes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

import catalogkit as ck
from catalogkit.content import ContentMetadata, Reason, enriched
from catalogkit.errors import InvalidInput, SourceError, StoreError
from catalogkit.model import Digest
from tests.extract.made import PROSE, epub, pdf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection


@pytest.fixture
def stocked(make_collection: Callable[..., Collection], source: Path) -> Collection:
    """Three documents in a collection whose store names bytes by content."""
    (source / "birds.pdf").write_bytes(pdf(PROSE, info="/Title (On Birds) /Author (Ada)"))
    (source / "book.epub").write_bytes(epub("<dc:title>A Book</dc:title>"))
    (source / "data.json").write_text('{"title": "Data", "n": [1, null]}')
    collection = make_collection("cas")
    ck.ingest(collection, source)
    return collection


def test_a_name_tells_nothing(stocked: Collection, source: Path, tmp_path: Path) -> None:
    """From the store, where names have no suffix, from any other name and from bytes alone: the same (hazard 71)."""
    with ck.MetadataExtractor(stocked) as extractor:
        for record in stocked.catalog.find():
            named = source / record.artifact_id
            wrong = shutil.copy(named, tmp_path / "whatever.html")
            sources = [
                named,
                str(named),
                wrong,
                stocked.location(record),
                named.read_bytes(),
                record.sha256,
                record.id,
                record,
            ]
            told = {id(one): extractor.extract(one) for one in sources}
            assert len({repr(one) for one in told.values()}) == 1
            (first, *_) = told.values()
            assert first.reason is None and first.title
            assert "octet-stream" not in first.media_type and str(record.sha256) not in (first.title or "")


def test_in_this_process_the_same_is_told(stocked: Collection, source: Path) -> None:
    """Isolation changes nothing of what is told."""
    with ck.MetadataExtractor() as apart:
        for path in sorted(source.iterdir()):
            assert apart.extract(path) == ck.MetadataExtractor(isolated=False).extract(path)


def test_many(source: Path, stocked: Collection) -> None:
    """Many documents are told together, each with what stood for it."""
    with ck.MetadataExtractor(concurrency=2) as extractor:
        titles = {path.name: told.title for path, told in extractor.extract_many(sorted(source.iterdir()))}
    assert titles == {"birds.pdf": "On Birds", "book.epub": "A Book", "data.json": "Data"}


def test_what_is_not_there_is_no_success(stocked: Collection, tmp_path: Path) -> None:
    """A missing file, an unknown document or blob, bytes that are not those they should be: errors (hazard 72)."""
    with ck.MetadataExtractor(stocked) as extractor:
        with pytest.raises(SourceError, match="cannot be read"):
            extractor.extract(tmp_path / "gone")
        with pytest.raises(InvalidInput, match="no document 77"):
            extractor.extract(77)
        with pytest.raises(StoreError, match="no good copy"):
            extractor.extract(Digest(b"\1" * 32))
        record = stocked.catalog.find()[0]
        where = tmp_path / "collection" / "store" / stocked.catalog.locations_of(record.sha256)[0].key
        where.chmod(0o600)
        where.write_bytes(b"%PDF-1.4 something else")
        with pytest.raises(StoreError, match="verify"):
            extractor.extract(record)
        assert extractor.extract(tmp_path / "collection" / "catalogkit.toml").reason is None
    with pytest.raises(InvalidInput, match="collection"):
        ck.MetadataExtractor().extract(Digest(b"\1" * 32))


def test_enriched(stocked: Collection) -> None:
    """A record with what is inside: metadata, preview, text, schema; nothing of it where nobody looked."""
    with ck.MetadataExtractor(stocked) as extractor:
        fresh = {record.id: extractor.enrich(record.id) for record in stocked.catalog.find()}
        assert stocked.frame("contents").is_empty()
        assert ck.extract(stocked).extracted == 3
        assert {record.id: extractor.enrich(record) for record in stocked.catalog.find()} == fresh
    for record in stocked.catalog.find():
        content = stocked.catalog.content_of(record.sha256)
        one = enriched(record, content)
        assert isinstance(one, ck.EnrichedDocumentRecord) and one.metadata == content
        assert (one.id, one.sha256, one.given) == (record.id, record.sha256, record.metadata)
        assert isinstance(one.metadata, ck.ContentMetadata)
        assert (one.preview, one.extracted_text) == (one.metadata.preview, one.metadata.text)
        assert (one.schema is not None) == (record.artifact_id == "data.json")
        bare = enriched(record, None)
        assert (bare.metadata, bare.preview, bare.extracted_text, bare.schema) == (None, None, None, None)
    refused = ContentMetadata(extractor="pdf", version=1, media_type="application/pdf", reason=Reason.DAMAGED)
    one = enriched(record, refused)
    assert (one.metadata, one.preview, one.extracted_text) == (refused, None, None)

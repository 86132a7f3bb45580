"""Signals: each is given by the documents it is about, and by no others."""

from __future__ import annotations

from typing import Any

import duckdb
import polars as pl
import pytest

from catalogkit import quality_charts
from catalogkit.model import schema
from catalogkit.quality import SIGNALS, Quality, quality


def looked(*rows: dict[str, Any], top: int = 30) -> Quality:
    """What is the matter with these documents; a row with ``unseen`` was not looked into."""
    documents, contents = [], []
    for number, row in enumerate(rows, 1):
        about = {
            "id": number,
            "sha256": f"{number:064x}",
            "artifact_id": f"a{number}",
            "bytes": 10,
            "resolver": "r",
            "source_url": f"https://example.org/{number}",
            "media_type": "application/pdf",
            "content_type": "",
        }
        inside = {
            "sha256": f"{number:064x}",
            "extractor": "pdf",
            "media_type": "application/pdf",
            "title": "On Birds",
            "warnings": [],
            "text_chars": 100,
            "page_count": 1,
        }
        documents.append(
            about
            | {key: value for key, value in row.items() if key in schema("documents") and key not in schema("contents")}
        )
        if "unseen" not in row:
            contents.append(inside | {key: value for key, value in row.items() if key in schema("contents")})
    with duckdb.connect() as db:
        db.register("documents", pl.DataFrame(documents, schema=schema("documents")))
        db.register("contents", pl.DataFrame(contents, schema=schema("contents")))
        return quality(lambda query, values: db.execute(query, values).pl(), top)


@pytest.mark.parametrize(
    "row, told",
    [
        ({}, []),
        ({"reason": "damaged", "title": None}, ["damaged"]),
        ({"reason": "time"}, ["failed"]),
        ({"reason": "encrypted", "title": None}, ["encrypted"]),
        ({"warnings": ["repaired"]}, ["truncated"]),
        ({"warnings": ["text_cut"]}, []),
        ({"content_type": "text/html; charset=utf-8"}, ["other kind than claimed"]),
        ({"content_type": "Application/PDF"}, []),
        ({"content_type": "application/octet-stream"}, []),
        ({"source_url": "https://example.org/a.html?x=1.pdf"}, ["other kind than its name"]),
        ({"source_url": "https://example.org/a.PDF#x"}, []),
        ({"artifact_id": "a.json"}, ["other kind than its name"]),
        ({"artifact_id": "a.v2"}, []),
        ({"text_chars": 0}, ["no text"]),
        ({"text_chars": 0, "page_count": None}, []),
        ({"title": None}, ["no title"]),
        ({"title": None, "extractor": "data", "media_type": "application/json"}, []),
        ({"title": "Untitled"}, ["placeholder title"]),
        ({"title": "Microsoft Word - thesis_final2.doc"}, ["placeholder title"]),
        ({"title": "Untitled poems of the north"}, []),
        ({"language": "de-AT", "detected_language": "en"}, ["other language than stated"]),
        ({"language": "en_US", "detected_language": "en"}, []),
        ({"language": "nn", "detected_language": "no"}, []),
        ({"language": "und", "detected_language": "en"}, []),
        ({"warnings": ["encoding_errors"]}, ["characters lost"]),
        ({"unseen": True}, ["not looked into"]),
    ],
)
def test_each_signal(row: dict[str, Any], told: list[str]) -> None:
    """A document gives the signals that are true of it."""
    assert looked(row).signals["signal"].to_list() == told


def test_an_archive_that_is_told_to_be_one_is_no_contradiction() -> None:
    """A book is a zip archive, XHTML is XML: who says so is right."""
    book = {"media_type": "application/epub+zip", "content_type": "application/zip", "extractor": "book"}
    assert looked(book).signals.is_empty()


def test_the_summary_counts_each_signal_once() -> None:
    """Counts and shares are of documents, in the sequence of the list, zeros included."""
    rows: list[dict[str, Any]] = [{}, {"title": None}, {"title": None, "text_chars": 0}, {"unseen": True}]
    found = looked(*rows)
    assert (found.documents, found.told, found.with_signal) == (4, 3, 3)
    assert found.summary["signal"].to_list() == list(SIGNALS)
    counts = {name: (count, size) for name, count, size in found.summary.select("signal", "documents", "bytes").rows()}
    assert {name: told for name, told in counts.items() if told[0]} == {
        "no title": (2, 20),
        "no text": (1, 10),
        "not looked into": (1, 10),
    }
    assert dict(found.summary.select("signal", "share").rows())["no title"] == 0.5


def test_the_first_documents_of_each_signal_are_listed() -> None:
    """Of documents that are alike, or not, those of the lowest ids, by name; what is counted are all."""
    rows: list[dict[str, Any]] = [{}, {"title": None}, {"title": None, "text_chars": 0}, {"title": None}]
    found = looked(*rows, {"unseen": True, "content_type": "text/plain"})
    told = found.signals.select("signal", "document_id").rows()
    assert told == [("no text", 3), ("no title", 2), ("no title", 3), ("no title", 4), ("not looked into", 5)]
    assert found.signals.row(-1, named=True) == {
        "signal": "not looked into", "document_id": 5, "artifact_id": "a5", "resolver": "r",
        "media_type": "application/pdf", "claimed_type": "text/plain", "title": None, "bytes": 10,
    }  # fmt: skip
    few = looked(*rows, top=2)
    assert few.signals["document_id"].to_list() == [3, 2, 3]
    assert few.summary.filter(signal="no title")["documents"].item() == 3
    assert looked(*rows, top=0).signals.is_empty()


def test_languages_are_those_of_the_text() -> None:
    """What the text tells counts before what is stated; documents that tell neither are counted, too."""
    found = looked(
        {"detected_language": "de", "language": "en"}, {"language": "DE-at"}, {"detected_language": "fr"}, {}, {}, {}
    )
    assert found.languages.select("language", "documents").rows() == [(None, 3), ("de", 2), ("fr", 1)]


def test_pictures() -> None:
    """Each chart has a bar for each row; where there is nothing, words."""
    found = looked({"title": None}, {"text_chars": 0, "detected_language": "de"})
    figure = quality_charts.signals(found.summary)
    assert list(figure.data[0].y) == ["no text", "no title"] and list(figure.data[0].x) == [1, 1]
    figure = quality_charts.languages(found.languages)
    assert sorted(figure.data[0].y) == ["de", "not told"]
    none = looked()
    assert none.documents == 0 and none.signals.is_empty() and none.languages.is_empty()
    for empty in (quality_charts.signals(none.summary), quality_charts.languages(none.languages)):
        assert not empty.data and empty.layout.annotations

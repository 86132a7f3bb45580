"""Signals: each is given by the documents it is about, and by no others."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from catalogkit import quality, quality_charts
from catalogkit.model import schema


def frames(*rows: dict[str, Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The documents and contents of these rows; a row with ``unseen`` was not looked into."""
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
    return pl.DataFrame(documents, schema=schema("documents")), pl.DataFrame(contents, schema=schema("contents"))


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
    documents, contents = frames(row)
    assert quality.signals(documents, contents)["signal"].to_list() == told


def test_an_archive_that_is_told_to_be_one_is_no_contradiction() -> None:
    """A book is a zip archive, XHTML is XML: who says so is right."""
    book = {"media_type": "application/epub+zip", "content_type": "application/zip", "extractor": "book"}
    documents, contents = frames(book)
    assert quality.signals(documents, contents).is_empty()


def test_the_summary_counts_each_signal_once() -> None:
    """Counts and shares are of documents, in the sequence of the list, zeros included."""
    documents, contents = frames({}, {"title": None}, {"title": None, "text_chars": 0}, {"unseen": True})
    found = quality.signals(documents, contents)
    summary = quality.summary(found, documents.height)
    assert summary["signal"].to_list() == list(quality.SIGNALS)
    counts = dict(summary.select("signal", "documents").rows())
    assert {name: count for name, count in counts.items() if count} == {
        "no title": 2,
        "no text": 1,
        "not looked into": 1,
    }
    assert dict(summary.select("signal", "share").rows())["no title"] == 0.5
    assert found["signal"].to_list() == ["no text", "no title", "no title", "not looked into"]
    told = quality.of_documents(documents, contents)
    assert quality.of_documents(told, contents) is told
    counted, any_signal = quality.counted(told)
    assert_frame_equal(counted, summary)
    assert any_signal == found["document_id"].n_unique() == 3
    assert quality.signals(told, contents, 1)["signal"].to_list() == ["no text", "no title", "not looked into"]


def test_languages_are_those_of_the_text() -> None:
    """What the text tells counts before what is stated; documents that tell neither are counted, too."""
    documents, contents = frames(
        {"detected_language": "de", "language": "en"}, {"language": "DE-at"}, {"detected_language": "fr"}, {}, {}, {}
    )
    found = quality.languages(documents, contents)
    assert found.select("language", "documents").rows() == [(None, 3), ("de", 2), ("fr", 1)]


def test_pictures() -> None:
    """Each chart has a bar for each row; where there is nothing, words."""
    documents, contents = frames({"title": None}, {"text_chars": 0, "detected_language": "de"})
    summary = quality.summary(quality.signals(documents, contents), 2)
    figure = quality_charts.signals(summary)
    assert list(figure.data[0].y) == ["no text", "no title"] and list(figure.data[0].x) == [1, 1]
    figure = quality_charts.languages(quality.languages(documents, contents))
    assert sorted(figure.data[0].y) == ["de", "not told"]
    none = pl.DataFrame(schema=schema("documents")), pl.DataFrame(schema=schema("contents"))
    assert quality.signals(*none).is_empty() and quality.languages(*none).is_empty()
    for empty in (
        quality_charts.signals(quality.summary(quality.signals(*none), 0)),
        quality_charts.languages(quality.languages(*none)),
    ):
        assert not empty.data and empty.layout.annotations

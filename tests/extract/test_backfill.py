"""Looking into a whole collection: once, in pieces, again where it is worth it, and only into the right bytes."""

from __future__ import annotations

import json
import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import catalogkit as ck
from catalogkit.content import Reason
from catalogkit.errors import InvalidInput
from catalogkit.extract import registry
from catalogkit.policies.extract import Limits
from tests.extract.made import PROSE, pdf
from tests.test_cli import answer, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.model import Digest


@pytest.fixture
def pile(source: Path) -> Path:
    """Texts, a PDF file twice, one that is broken, and no bytes."""
    for number in range(6):
        (source / f"{number}.txt").write_text(f"Text {number}. {PROSE}")
    for name in ("a.pdf", "b.pdf"):
        (source / name).write_bytes(pdf(PROSE, info="/Title (On Birds)"))
    (source / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (source / "empty").touch()
    return source


@pytest.fixture
def stocked(make_collection: Callable[..., Collection], pile: Path) -> Collection:
    collection = make_collection("cas")
    assert ck.ingest(collection, pile).ingested == 10
    return collection


def file_of(collection: Collection, digest: Digest, number: int = 0) -> str:
    copy = collection.catalog.locations_of(digest)[number]
    return collection.stores[collection.store_id(copy.store)].describe(copy.key)


def spoil(path: str, content: bytes) -> None:
    """Other bytes at a path, and only there: further names of the file keep theirs."""
    os.remove(path)
    with open(path, "wb") as file:
        file.write(content)


def test_every_blob_once(stocked: Collection) -> None:
    """Each blob is told of or refused, a shared one once; then nothing is due, refusals neither."""
    report = ck.extract(stocked)
    assert (report.extracted, report.refused, report.unread, report.left) == (7, 2, 0, 0)
    assert dict(report.reasons) == {"damaged": 1, "empty": 1}
    frame = stocked.frame("contents")
    assert frame.height == stocked.catalog.totals()["blobs"] == 9
    assert frame.filter(pl.col("title") == "On Birds")["page_count"].to_list() == [1]
    again = ck.extract(stocked)
    assert (again.read, again.left) == (0, 0)


def test_it_goes_on_where_it_was(stocked: Collection) -> None:
    """A limit, a budget or a stop ends a run early; the next ones do the rest, and nothing twice."""
    report = ck.extract(stocked, limit=2)
    assert (report.read, report.left, report.stopped) == (2, 7, "limit reached")
    report = ck.extract(stocked, budget=timedelta(0))
    assert (report.read, report.left, report.stopped) == (1, 6, "time budget used up")
    stop = threading.Event()
    stop.set()
    report = ck.extract(stocked, stop=stop)
    assert (report.read, report.left, report.stopped) == (0, 6, "interrupted")
    assert ck.extract(stocked).read == 6


def test_a_new_version_looks_again_into_what_it_reads(stocked: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what that extractor told of, or refused, is due again."""
    ck.extract(stocked)
    newer = registry.Extractor("pdf", 99, registry.EXTRACTORS["pdf"].takes)
    monkeypatch.setitem(registry.EXTRACTORS, "pdf", newer)
    assert stocked.catalog.contents_due_totals(registry.versions())[0] == 2


def test_again(stocked: Collection) -> None:
    """What was refused, for one reason or for any, or all that was told, can be asked for again."""
    ck.extract(stocked)
    assert ck.extract(stocked, again="empty").read == 1
    assert ck.extract(stocked, again="refused").read == 2
    assert ck.extract(stocked, again="all").read == 9
    with pytest.raises(InvalidInput, match="refused"):
        ck.extract(stocked, again="sometimes")


def test_only_some_documents(stocked: Collection) -> None:
    """Of the documents that are named, those whose blobs are due."""
    records = {record.artifact_id: record for record in stocked.catalog.find()}
    assert ck.extract(stocked, [records["a.pdf"].id, records["b.pdf"].id, records["0.txt"].id]).read == 2
    assert ck.extract(stocked, [records["a.pdf"].id]).read == 0
    assert ck.extract(stocked, []).read == 0
    assert ck.extract(stocked, [records["a.pdf"].id], again="all").read == 1


def test_wrong_bytes_are_a_check_not_a_fact(stocked: Collection) -> None:
    """Nothing is noted under a digest that the bytes do not have; the copy is corrupt, in the ledger and the report."""
    record = next(one for one in stocked.catalog.find() if one.artifact_id == "a.pdf")
    place = file_of(stocked, record.sha256)
    spoil(place, pdf("Another", info="/Title (Wrong)").ljust(record.bytes)[: record.bytes])
    report = ck.extract(stocked)
    assert (report.extracted, report.unread, report.left) == (6, 1, 1)
    (finding,) = report.findings
    assert (finding.sha256, finding.place, finding.outcome) == (str(record.sha256), place, "corrupt")
    assert stocked.catalog.content_of(record.sha256) is None
    assert stocked.frame("contents").filter(pl.col("title") == "Wrong").is_empty()
    (check,) = stocked.frame("checks").rows(named=True)
    assert (check["outcome"], check["method"], check["run_id"]) == ("corrupt", "extract", report.run_id)
    assert stocked.catalog.locations_of(record.sha256)[0].outcome == "corrupt"


def test_a_good_copy_is_read_instead(make_collection: Callable[..., Collection], pile: Path) -> None:
    """Where one copy is bad, another one is read in the same run."""
    collection = make_collection("policy")
    ck.ingest(collection, pile)
    record = next(one for one in collection.catalog.find() if one.artifact_id == "a.pdf")
    assert len(collection.catalog.locations_of(record.sha256)) == 2
    spoil(file_of(collection, record.sha256), b"%PDF-1.4 gone bad")
    report = ck.extract(collection)
    assert (report.unread, report.left) == (0, 0)
    content = collection.catalog.content_of(record.sha256)
    assert content is not None and content.title == "On Birds"
    assert [one.outcome for one in collection.catalog.locations_of(record.sha256)] == ["corrupt", None]


def test_what_cannot_be_read_stays_due(stocked: Collection) -> None:
    """A file that is gone is told, and looked for again the next time."""
    record = next(one for one in stocked.catalog.find() if one.artifact_id == "0.txt")
    os.remove(file_of(stocked, record.sha256))
    report = ck.extract(stocked)
    assert (report.unread, report.left) == (1, 1)
    assert "nothing lies at" in report.findings[0].detail


def test_limits_are_settings(stocked: Collection) -> None:
    """The settings say how much text is kept; how long all of it is, is known all the same."""
    ck.extract(stocked, limits=Limits(text_chars=10))
    record = next(one for one in stocked.catalog.find() if one.artifact_id == "0.txt")
    content = stocked.catalog.content_of(record.sha256)
    assert (
        content is not None and content.text == "Text 0. Th" and content.text_chars == len(f"Text 0. {PROSE}".strip())
    )
    contents = [stocked.catalog.content_of(one.sha256) for one in stocked.catalog.find()]
    assert len({one.text for one in contents if one is not None}) > 1
    toml = stocked.path / "catalogkit.toml"
    toml.write_text(toml.read_text() + "\n[extract]\npages = 3\nseconds = 5\n")
    with ck.open(stocked.path) as opened:
        assert (opened.config.extract.pages, opened.config.extract.seconds) == (3, 5)
    toml.write_text(toml.read_text().replace("pages = 3", "pages = 0"))
    with pytest.raises(InvalidInput, match="pages"):
        ck.open(stocked.path)


# -- the command line --------------------------------------------------------------------------------------------


def test_the_commands(tmp_path: Path, pile: Path) -> None:
    """extract, ingest --extract, show and find tell what is inside; exit codes say whether somebody should look."""
    home = tmp_path / "home"
    run("init", home)
    taken = answer("-C", home, "ingest", pile, "--extract")
    assert (taken["ingested"], taken["extract"]["extracted"], taken["extract"]["refused"]) == (10, 7, 2)
    told = answer("-C", home, "extract", "--again", "all", "--limit", "3")
    assert (told["extracted"] + told["refused"], told["stopped"]) == (3, "limit reached")
    found: list[dict[str, Any]] = answer("-C", home, "find")["documents"]
    titles = {one["artifact_id"]: one["title"] for one in found}
    assert (titles["a.pdf"], titles["b.pdf"], titles["0.txt"]) == ("On Birds", "On Birds", None)
    number = next(one["id"] for one in found if one["artifact_id"] == "a.pdf")
    shown = answer("-C", home, "show", number)["content"]
    assert (shown["title"], shown["page_count"], shown["reason"]) == ("On Birds", 1, None)
    words = run("-C", home, "show", number).stdout
    assert "On Birds" in words and "pages" in words
    broken = next(one for one in found if one["artifact_id"] == "broken.pdf")
    assert "could not be told: damaged" in run("-C", home, "show", broken["id"]).stdout
    assert "On Birds" in run("-C", home, "find").stdout
    os.remove(broken["location"])
    assert answer("-C", home, "extract", broken["id"], "--again", Reason.DAMAGED, code=2)["unread"] == 1
    assert "there is no document 999" in run("-C", home, "extract", "999", code=1).stderr
    json.dumps(told)

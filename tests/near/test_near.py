"""Near-duplicates of a collection: found, reported, planned, and let go of only where somebody chose to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from catalogkit.apply import apply
from catalogkit.approval import DEFAULT_RULE, Selection
from catalogkit.content import ContentMetadata
from catalogkit.errors import PlanError
from catalogkit.model import Check, Outcome
from catalogkit.near.clusters import LARGEST
from catalogkit.near.table import NEAR
from catalogkit.planning import approve, near_duplicates, plan_near, why
from tests.near.texts import page, prose, watermarked
from tests.plans.scene import broken, digest_of, put
from tests.test_cli import answer, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.model import DocumentRecord

TEXT = prose("cells")


@pytest.fixture
def collection(make_collection: Callable[..., Collection]) -> Collection:
    """An empty collection; texts are compared wherever bytes lie."""
    return make_collection("cas")


def add(collection: Collection, name: str, text: str, size: int = 1000, **facts: Any) -> DocumentRecord:
    """A document of that many bytes, and what an extractor told of it."""
    names = {key: facts.pop(key) for key in ("tenant", "resolver", "artifact_id") if key in facts}
    content = f"{name} ".encode().ljust(size, b".")
    record = put(collection, name, content, **names)
    told = {"extractor": "test", "version": 1, "media_type": record.media_type, "text_chars": len(text)} | facts
    collection.catalog.record_contents(
        [(digest_of(content), ContentMetadata(text=text, **told))], as_of=collection.now()
    )
    return record


@pytest.fixture
def papers(collection: Collection) -> Collection:
    """One paper three times, another twice, a third once; a scan, a title page, an error page, one that nobody read."""
    add(collection, "cells", TEXT, 5000, title="On cells")
    add(collection, "cells-watermarked", watermarked(TEXT), 7000)
    add(collection, "cells-page", page(TEXT, words=20), 3000)
    add(collection, "stars", prose("stars"), 2000, title="On stars")
    add(collection, "stars-again", prose("stars").upper(), 1000)
    add(collection, "dust", prose("dust"), 9000)
    add(collection, "scan", "")
    add(collection, "cover", "A title and no more")
    add(collection, "missing-a", "404 not found " + prose("server", 60))
    add(collection, "missing-b", "404 not found " + prose("server", 60))
    put(collection, "unread", b"nobody looked")
    return collection


def names(collection: Collection, frame: pl.DataFrame) -> dict[str, list[str]]:
    """The artifacts of each cluster by the one that is kept."""
    made: dict[str, list[str]] = {}
    for row in frame.iter_rows(named=True):
        kept = collection.catalog.document(row["kept_document_id"])
        assert kept is not None
        made.setdefault(kept.artifact_id, []).append(row["artifact_id"])
    return made


def test_what_is_found(papers: Collection) -> None:
    """Clusters with the best copy first, those that take most room first; the rest with why it was not compared."""
    found = near_duplicates(papers)
    assert found.frame.schema == NEAR
    made = names(papers, found.frame)
    assert {kept: sorted(members) for kept, members in made.items()} == {
        "cells": ["cells", "cells-page", "cells-watermarked"],
        "stars": ["stars", "stars-again"],
    }
    assert (list(made), made["cells"][0], made["stars"][0]) == (["cells", "stars"], "cells", "stars")
    assert (found.clusters(), found.candidates.height, found.reclaimable_bytes()) == (2, 3, 7000 + 3000 + 1000)
    assert (found.compared, found.left_out) == (6, {"empty": 1, "short": 1, "stock": 2, "unread": 1})
    kept = found.frame.filter("kept")
    assert kept["similarity"].to_list() == [1.0, 1.0] and kept["only_here"].to_list() == [0, 0]
    [mark] = found.frame.filter(artifact_id="cells-watermarked").iter_rows(named=True)
    assert 0.6 < mark["similarity"] < 1 and mark["differs"].startswith("Downloaded by reader 4711")
    assert found.frame.filter(artifact_id="stars-again")["differs"].item() == ""
    assert "7,000" not in found._repr_mimebundle_()["text/plain"]


def test_nothing_changes_but_sketches(papers: Collection) -> None:
    """No document, no location; and a second look makes no sketch anew."""
    tables = ("documents", "blobs", "locations")
    before = [papers.frame(name) for name in tables]
    told: list[int] = []
    near_duplicates(papers, progress=lambda progress: told.append(progress.done))
    near_duplicates(papers, progress=lambda progress: told.append(progress.done))
    assert told == [10]
    assert all(papers.frame(name).equals(frame) for name, frame in zip(tables, before, strict=True))


def test_an_empty_collection(collection: Collection) -> None:
    """Nothing found, with the schema of what could be; an empty plan."""
    found = near_duplicates(collection)
    assert found.frame.schema == NEAR and found.frame.is_empty() and found.left_out == {}
    assert (found.clusters(), found.reclaimable_bytes(), plan_near(collection).units) == (0, 0, 0)


def test_the_best_copy_is_kept(collection: Collection) -> None:
    """Not one that is known to be bad; then under a hold, with a title, verified, seen last, small."""

    def kept() -> str:
        return next(iter(names(collection, near_duplicates(collection).frame)))

    records = {name: add(collection, name, TEXT.replace("\n", " " * n), 900 - n) for n, name in enumerate("abcd")}
    assert kept() == "d"  # the smallest
    add(collection, "c", TEXT, 900 - 2, title="A title")
    assert kept() == "c"
    collection.catalog.place_hold("court", digest=records["b"].sha256, as_of=collection.now())
    assert kept() == "b"
    [place] = collection.catalog.locations_of(records["b"].sha256)
    bad = Check(location_id=place.id, sha256=place.sha256, checked_at=collection.now(), outcome=Outcome.CORRUPT)
    collection.catalog.record_checks([bad])
    assert kept() == "c"
    add(collection, "c", TEXT[: len(TEXT) * 5 // 6], 900 - 2, title="A title, and a part of the text")
    assert kept() == "d"


def test_a_plan_selects_nothing(papers: Collection, tmp_path: Path) -> None:
    """Every unit is a last copy: it takes somebody's choice to let it go, and a yes without one is for nothing."""
    plan = plan_near(papers)
    assert (plan.head.kind, plan.units, plan.bytes_freed()) == ("near", 3, 11_000)
    assert set(plan.frame["kind"]) == {"forget"} and plan.frame["last_copy"].all()
    assert Selection(DEFAULT_RULE).units(plan) == set()
    assert set(plan.frame["artifact_id"]) == {"cells-watermarked", "cells-page", "stars-again"}
    assert "another document, which is kept, has the same text; they are 100 % alike" in plan.head.reasons.values()
    with pytest.raises(PlanError, match="nobody approved"):
        apply(papers, plan)
    yes = approve(plan.save(tmp_path), approved_by="ada", as_of=papers.now())
    assert apply(papers, plan, approval=yes).done == 0
    assert papers.catalog.totals()["documents"] == 11


def test_what_somebody_chose_is_forgotten_and_comes_back(papers: Collection, tmp_path: Path) -> None:
    """By the executor as it is; the best copy stays, and the rule holds."""
    from catalogkit.planning import plan_undo

    plan = plan_near(papers)
    unit = plan.frame.filter(artifact_id="stars-again")["unit"].item()
    yes = approve(plan.save(tmp_path), include=[unit], approved_by="ada", as_of=papers.now())
    assert apply(papers, plan, approval=yes).done == 1
    assert set(papers.frame("documents")["artifact_id"]) >= {"stars", "cells-page"}
    assert "stars-again" not in set(papers.frame("documents")["artifact_id"])
    assert near_duplicates(papers).clusters() == 1
    assert list(broken(papers)) == []
    papers.clock.advance(seconds=1)  # type: ignore[attr-defined]
    apply(papers, plan_undo(papers, plan.id), unapproved=True)
    assert near_duplicates(papers).clusters() == 2


def test_a_document_that_was_downloaded_again_stays(papers: Collection) -> None:
    """What was seen since the plan was made is wanted."""
    plan = plan_near(papers)
    papers.clock.advance(days=1)  # type: ignore[attr-defined]
    put(papers, "stars-again", b"stars-again ".ljust(1000, b"."))
    report = apply(papers, plan, unapproved=True, max_share=1.0)
    assert (report.done, report.skipped, list(report.why)) == (2, 1, ["it was seen again since the plan was made"])


@pytest.mark.parametrize("on", ["document", "content"])
def test_holds_are_respected(papers: Collection, on: str) -> None:
    """What is under one is no candidate; in the report it says so."""
    [record] = papers.catalog.find(artifact_id="stars-again")
    subject = {"document_id": record.id} if on == "document" else {"digest": record.sha256}
    papers.catalog.place_hold("court", as_of=papers.now(), **subject)
    [other] = papers.catalog.find(artifact_id="stars")
    papers.catalog.place_hold("court", as_of=papers.now(), document_id=other.id)
    plan, found = plan_near(papers), near_duplicates(papers)
    assert "stars" not in set(plan.frame["artifact_id"]) and "stars-again" not in set(plan.frame["artifact_id"])
    assert found.frame.filter(artifact_id="stars-again")["held"].item()


def test_all_documents_of_a_content_go_together(collection: Collection) -> None:
    """They are one unit, and its bytes count once."""
    add(collection, "best", TEXT, title="T")
    for number in range(3):
        put(collection, f"copy-{number}", b"copy ".ljust(1000, b"."))
    add(collection, "copy", TEXT.upper())
    plan = plan_near(collection)
    assert (plan.units, plan.frame.height, plan.bytes_freed()) == (1, 4, 1000)


def test_no_tenant_loses_a_document_to_another(collection: Collection) -> None:
    """That another tenant has the same text in a better copy is no help to this one."""
    add(collection, "best", TEXT, title="T", tenant="acme")
    add(collection, "copy", TEXT.upper(), tenant="other")
    assert near_duplicates(collection).clusters() == 1
    assert plan_near(collection).units == 0


def test_a_copy_that_is_bad_keeps_nothing_away(collection: Collection) -> None:
    """Where every copy of every content is known to be bad, none is let go for another."""
    for name in ("a", "b"):
        record = add(collection, name, TEXT.upper() if name == "a" else TEXT)
        [place] = collection.catalog.locations_of(record.sha256)
        bad = Check(location_id=place.id, sha256=place.sha256, checked_at=collection.now(), outcome=Outcome.MISSING)
        collection.catalog.record_checks([bad])
    assert near_duplicates(collection).clusters() == 1
    assert plan_near(collection).units == 0


def test_what_many_say_is_stock(collection: Collection) -> None:
    """It is shown as that, counts for nothing and is never planned."""
    for number in range(LARGEST + 1):
        add(collection, f"wall-{number}", prose("wall", 100), 500 + number)
    found = near_duplicates(collection)
    assert found.frame.height == LARGEST + 1 and found.frame["stock"].all()
    assert (found.clusters(), found.candidates.height, plan_near(collection).units) == (0, 0, 0)


def test_records_are_no_prose(collection: Collection) -> None:
    """Answers of one service have most words in common."""
    for name in "ab":
        content = f'{{"name": "{name}"}}'.encode()
        put(collection, name, content)
        told = ContentMetadata(extractor="test", version=1, media_type="application/json", text=TEXT, text_chars=9)
        collection.catalog.record_contents([(digest_of(content), told)], as_of=collection.now())
    found = near_duplicates(collection)
    assert (found.frame.is_empty(), found.compared, found.left_out) == (True, 0, {"data": 2})


def test_why_tells_of_the_plan(papers: Collection) -> None:
    """As long as it waits: which document is kept instead, how alike they are, and where they differ."""
    [record] = papers.catalog.find(artifact_id="cells-watermarked")
    [kept] = papers.catalog.find(artifact_id="cells")
    plan_near(papers).save(papers.path / "plans")
    said = " ".join(why(papers, record.id))
    assert f"proposes to forget it: document {kept.id}, which is kept, has the same text" in said and "% alike)" in said
    assert "this one alone begins to say: 'Downloaded by reader 4711" in said
    assert "proposes" not in " ".join(why(papers, kept.id))
    papers.clock.advance(days=30)  # type: ignore[attr-defined]
    assert "proposes" not in " ".join(why(papers, record.id))


def test_a_limit(papers: Collection) -> None:
    """The first units, and a plan that says that it is not complete."""
    plan = plan_near(papers, limit=1)
    assert (plan.units, plan.head.complete) == (1, "2 more units were left out")


def test_the_command(papers: Collection, tmp_path: Path) -> None:
    """What waits for somebody ends with 2; evidence for people and machines; nothing found ends with 0."""
    said = answer("-C", papers.path, "plan", "near", code=2)
    assert (said["kind"], said["units"], said["clusters"], said["candidate_bytes"]) == ("near", 3, 2, 11_000)
    assert said["left_out"] == {"empty": 1, "short": 1, "stock": 2, "unread": 1}
    assert {row["artifact_id"] for row in said["near"] if row["kept"]} == {"cells", "stars"}
    text = run("-C", papers.path, "plan", "near", code=2)
    assert "keep: document 1, On cells" in text.stdout and "only here: Downloaded by reader 4711" in text.stdout
    assert "nothing is selected" in text.stderr and "`catalogkit extract` extracts" in text.stderr
    run("init", tmp_path / "empty")
    assert "No near-duplicates." in run("-C", tmp_path / "empty", "plan", "near").stderr

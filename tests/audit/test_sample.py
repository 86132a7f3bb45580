"""An audit of a sample: what it looks at, what it says of the rest, and the audit of everything that came before it."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit import audit_charts
from catalogkit.audit import AuditReport
from catalogkit.audit_codes import Code
from catalogkit.audit_sample import DRAWN_FROM, LEFT_OUT, NOT_DRAWN, Drawn, Part, at_most
from catalogkit.auditing import audit, last_audit
from catalogkit.errors import CatalogError, InvalidInput
from tests.audit.faults import FAULTS, ONE, Fault, change, overwrite
from tests.plans.scene import path_of, stray

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection

# One of each kind that the catalog is asked for, and rows of each table that is sampled.
SOME = {fault.code: fault for fault in reversed(FAULTS) if fault.code in DRAWN_FROM and fault.code >= "A3"}
SOME.pop(Code.MALFORMED_ROW)
ROWS = [one for one in FAULTS if str(one).endswith(("-blob_state", "-document_tenant", "-location_layout"))]


def ids(collection: Collection, table: str) -> tuple[int, ...]:
    return tuple(row[0] for row in collection.catalog.rows(f"SELECT id FROM {table}"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", [*SOME.values(), *ROWS], ids=str)
def test_a_fault_is_found_where_it_was_drawn(stock: Callable[..., Collection], fault: Fault) -> None:
    """With everything drawn a question finds what it finds of everything, with nothing drawn nothing."""
    collection = stock(fault.layout)
    fault.plant(collection)
    asked: dict[str, Any] = {"as_of": collection.now(), "future": collection.now() + timedelta(minutes=5)}
    asked |= {"stale": timedelta(days=1), "limit": 100}
    documents, copies = ids(collection, "documents"), ids(collection, "locations")
    every = Drawn(documents, copies, len(documents), len(copies))
    found = collection.catalog.faults(fault.code, **asked, among=every)
    assert found and found == collection.catalog.faults(fault.code, **asked)
    nothing = Drawn((), (), len(documents), len(copies))
    assert collection.catalog.faults(fault.code, **asked, among=nothing) == []


def test_rows_about_what_was_drawn_are_questioned(stock: Callable[..., Collection]) -> None:
    """What sites say of a document and its content, its sketch, and its eviction unless that ended."""
    collection = stock()
    for table, row in {
        "records (document_id, seq, site_id, number, at_us, state)": "1, 1, 1, 1, 1, '{'",
        "elsewhere (seq, site_id, copies, sha256)": "1, 1, -1, sha256",
        "evictions (plan_id, evicted_us, sha256)": "'', 1, sha256",
        "evictions (plan_id, evicted_us, returned_us, sha256)": "'', 1, 2, sha256",
        "contents (id, sha256, extractor, version, reason, detail, media_type, authors, encrypted, text_chars,"
        " warnings, preview, more, extracted_us)": "7, sha256, 'x', 1, '', '', 'x', '[]', 0, 0, '[]', '', '{}', 1",
        "sketches (content_id, version, shingles, numbers, why_not)": "7, '', 0, x'', ''",
    }.items():
        change(collection, f"INSERT INTO {table} SELECT {row} FROM documents WHERE id = 1")
    asked: dict[str, Any] = {"as_of": collection.now(), "future": collection.now(), "stale": timedelta(days=1)}
    found = {}
    for number in (1, 2):
        where = f" WHERE sha256 = (SELECT sha256 FROM documents WHERE id = {number})"
        drawn = Drawn((number,), ids(collection, f"locations{where}"), 7, 6)
        facts = collection.catalog.faults(Code.MALFORMED_ROW, **asked, limit=9, among=drawn)
        found[number] = sorted(fact.object.partition(" of ")[0] for fact in facts)
    assert found == {1: ["copies elsewhere", "eviction 1", "record", "sketch 7"], 2: []}


def test_a_sample_looks_at_what_was_drawn(stock: Callable[..., Collection]) -> None:
    """Of six copies that are gone it meets three, others at another time; what it did not look at is told."""
    collection = stock()
    for number in range(6):
        path_of(collection, b"document %d" % number).unlink()
    stray(collection, b"an orphan")
    met = set()
    for _ in range(5):
        report = audit(collection, 0, looks=3, note=False)
        assert dict(report.counts) == {"A201": 3} and report.copies == 3
        assert report.parts == {"documents": Part(3, 7), "copies": Part(3, 6)}
        assert not report.complete and not report.clean and report.coverage is None
        met |= {one.object for one in report.findings}
        collection.clock.advance(seconds=1)  # type: ignore[attr-defined]
    assert len(met) > 3
    unseen = {one.what: one.why for one in report.unseen}
    assert unseen["3 of 6 copies"] == unseen["4 of 7 documents"] == "they were not drawn"
    assert all(any(code.value in what for what in unseen) for code in LEFT_OUT)
    assert all(any(what.startswith("A501") and rows in what for what in unseen) for rows in NOT_DRAWN)
    assert report.to_dict()["parts"]["copies"] == {"looked": 3, "of": 6}
    assert "needed by document" in report.findings[0].detail


def test_the_same_time_draws_the_same(stock: Callable[..., Collection]) -> None:
    """A report that is made once more for the same time looks at the same rows."""
    collection = stock()
    one, two = (audit(collection, 0, looks=2, note=False, as_of=collection.now()).drawn for _ in range(2))
    assert one == two


def test_what_can_be_asked_of_everything_is(stock: Callable[..., Collection]) -> None:
    """A document whose only copy the ledger calls bad is told though nothing of it was drawn."""
    collection = stock()
    overwrite(path_of(collection, ONE), ONE.upper())
    audit(collection, 1)
    for _ in range(4):
        assert audit(collection, 0, looks=1, note=False).counts[Code.DOCUMENT_LOST.value] == 1
        collection.clock.advance(seconds=1)  # type: ignore[attr-defined]


def test_a_small_collection_is_looked_at_whole(stock: Callable[..., Collection]) -> None:
    """Where there are no more than may be looked at, nothing is drawn and nothing left out."""
    collection = stock()
    stray(collection, b"an orphan")
    report = audit(collection, 0, looks=7)
    assert report.drawn is None and report.parts == {} and report.complete and report.counts == {"A102": 1}
    with pytest.raises(InvalidInput, match="one copy at least"):
        audit(collection, 0, looks=0)


def test_a_sample_reads_a_share_of_what_was_drawn(stock: Callable[..., Collection]) -> None:
    """Half of two copies is one, not three."""
    report = audit(stock(), 0.5, looks=2)
    assert report.sampling is not None
    assert (report.sampling.read, report.sampling.copies) == (1, 6)


def test_the_last_audit_of_everything(stock: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is remembered with what came of it; a dry one, a sample, a part and one that was stopped are not."""
    collection = stock()
    assert last_audit(collection) == {}
    path_of(collection, ONE).unlink()
    first = collection.now()
    audit(collection, 0.5)
    collection.clock.advance(hours=1)  # type: ignore[attr-defined]
    audit(collection, 0, note=False)
    audit(collection, 0, looks=1)
    last = last_audit(collection)
    assert last["as_of"] == first.isoformat()
    assert (last["error"], last["warning"], last["counts"], last["complete"]) == (1, 0, {"A201": 1}, True)
    assert (last["copies"], last["read"], last["unseen"]) == (6, 3, 0)

    def full(*_: object, **__: object) -> None:
        raise CatalogError("the disk is full")

    monkeypatch.setattr(type(collection.catalog), "end_run", full)
    report = audit(collection, 0)
    assert [(one.what, one.why) for one in report.unseen] == [("the record of this audit", "the disk is full")]


@pytest.mark.parametrize(("found", "looked"), [(0, 1), (0, 59), (0, 20_000), (1, 10), (7, 300), (4_000, 20_000)])
def test_at_most(found: int, looked: int) -> None:
    """With that share so few would be found in one of twenty samples: counted with whole fractions."""
    share = Fraction(at_most(found, looked) or 0)
    if looked < 1000:
        chance = sum(math.comb(looked, n) * share**n * (1 - share) ** (looked - n) for n in range(found + 1))
        assert float(chance) == pytest.approx(0.05, rel=1e-6)
    assert found / looked < share < 1
    if not found:
        assert float(share) == pytest.approx(1 - 0.05 ** (1 / looked))


def test_the_edges_of_at_most() -> None:
    """Of nothing nothing is known; of all that is there, exactly what was found."""
    assert at_most(0, 0) is None and at_most(5, 5) == 1.0
    assert float(at_most(0, 1000) or 0) == pytest.approx(3 / 1000, rel=0.01)
    assert Part(10, 10).at_most(2) == 0.2 and Part(0, 10).at_most(0) is None


def sampled(looked: int, *codes: Code) -> AuditReport:
    from datetime import UTC, datetime

    report = AuditReport(datetime(2026, 5, 1, tzinfo=UTC))
    report.drawn, report.copies = Drawn(tuple(range(looked)), tuple(range(looked)), 10**6, 637_000), looked
    for code in codes:
        report.add(code, "location 1", "/a", "because")
    return report


def test_bounds_are_told() -> None:
    """For each kind of fault that was looked for in what was drawn: how many were found, and how many there may be."""
    frame = audit_charts.bounds(sampled(20_000, Code.MISSING_FILE))
    rows = {row["code"]: row for row in frame.to_dicts()}
    assert rows["A202"] | {"what_it_is": ""} == {
        "code": "A202", "what_it_is": "", "looked_at": 20_000, "of": 637_000, "these": "copies", "found": 0,
        "at_most_of_all": "0.015 %", "that_is": 95,
    }  # fmt: skip
    assert (rows["A201"]["found"], rows["A201"]["at_most_of_all"]) == (1, "0.024 %")
    assert rows["A401"]["these"] == "documents" and rows["A401"]["of"] == 10**6
    assert audit_charts.bounds(AuditReport(sampled(1).as_of)).is_empty()
    assert audit_charts.groups(sampled(9))["kinds_left_out"].sum() == len(LEFT_OUT)


def test_what_was_looked_at_is_told() -> None:
    """In sentences: the sample and its bound, or that it was everything; then the last audit of everything."""
    last = {"as_of": "2026-04-30T02:00:00+00:00", "copies": 637_000, "complete": True, "error": 0, "warning": 1,
            "info": 2}  # fmt: skip
    told = audit_charts.extent(sampled(20_000), last)
    assert "20,000 of 637,000 copies, drawn at random" in told[0]
    assert "0; with 95 % confidence at most 0.015 % of all (95)" in told[0]
    assert "2026-04-30 02:00 UTC" in told[-1] and "0 errors, 1 warning, 2 infos" in told[-1]
    assert "nothing is known of the others" in audit_charts.extent(sampled(0), {})[0]
    whole = audit_charts.extent(AuditReport(sampled(1).as_of, copies=12), {})
    assert "every one of 12 copies" in whole[0] and "No audit of everything was noted yet" in whole[-1]

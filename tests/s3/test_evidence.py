"""What proving costs, and what a server itself says of what lies there: rows of the ledger of their own kind."""

from __future__ import annotations

import base64
import csv
import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import catalogkit as ck
from catalogkit.collection import init, open_collection
from catalogkit.errors import InvalidInput
from catalogkit.evidence import METHOD, import_checksums
from catalogkit.stores.s3.store import S3Layout
from tests.conftest import Clock, make_tree
from tests.stores.test_contract import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalogkit.collection import Collection

FILES = {"a": b"one", "b": b"two", "c": b"three" * 1000}
PRICES = "\n[prices.main]\nread_gb = 90\nrequests_1000 = 0.4\n"


@pytest.fixture
def collection(tmp_path: Path, s3_url: str, source: Path) -> Iterator[Collection]:
    """Three documents in a bucket that charges for reading."""
    clock = Clock(datetime(2100, 1, 1, tzinfo=UTC))
    init(tmp_path / "collection", store=s3_url, clock=clock).close()
    settings = tmp_path / "collection" / "catalogkit.toml"
    settings.write_text(settings.read_text() + PRICES)
    with open_collection(tmp_path / "collection", clock=clock) as made:
        ck.ingest(made, make_tree(source, FILES), resolver="test")
        yield made


def row(collection: Collection, content: bytes, said: bytes | None = None, **other: str) -> list[str]:
    """A row of a completion report, of a copy of that content."""
    assert isinstance(collection.store, S3Layout)
    key = collection.store.settings.key(collection.catalog.locations_of(digest_of(content))[0].key)
    sha256 = bytes(digest_of(content if said is None else said))
    message = {
        "checksum_base64": base64.b64encode(sha256).decode(),
        "etag": "0123",
        "checksumAlgorithm": other.get("algorithm", "SHA256"),
        "checksumType": other.get("kind", "FULL_OBJECT"),
    }
    return ["tests", other.get("key", key), "null", other.get("status", "succeeded"), "", "200", json.dumps(message)]


def write(folder: Path, *rows: list[str], at: datetime | None = None) -> Path:
    """A report as a file of that age."""
    with (folder / "report.csv").open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    if at:
        os.utime(folder / "report.csv", (at.timestamp(), at.timestamp()))
    return folder / "report.csv"


def test_a_report_is_a_row_of_the_ledger(collection: Collection, tmp_path: Path) -> None:
    """Copies it tells of are checked by its method and at its time; one with another SHA-256 is corrupt."""
    at = collection.now() - timedelta(days=1)
    path = write(tmp_path, row(collection, b"one"), row(collection, b"two", b"tw0"), at=at)
    found = import_checksums(collection, path)
    assert (found.ok, found.corrupt, dict(found.left_out)) == (1, 1, {})
    checks = collection.frame("checks")
    assert set(checks["method"]) == {METHOD} and set(checks["checked_at"]) == {at}
    assert sorted(checks["outcome"]) == ["corrupt", "ok"]
    coverage = collection.catalog.coverage(as_of=collection.now())
    assert coverage.never_checked == 1 and coverage.bad == 1


def test_what_says_nothing_is_told(collection: Collection, tmp_path: Path) -> None:
    """Failed tasks, other checksums, those made of parts', and foreign objects prove nothing, and are counted."""
    path = write(
        tmp_path,
        row(collection, b"one", status="failed"),
        row(collection, b"one", algorithm="CRC32"),
        row(collection, b"one", kind="COMPOSITE"),
        row(collection, b"one", key="somebody/else%27s"),
        [*row(collection, b"one")[:-1], "no JSON"],
    )
    found = import_checksums(collection, path)
    wanted = {"its task failed": 1, "it has no SHA-256 of the whole object": 3, "no copy of ours": 1}
    assert (found.ok, found.corrupt, dict(found.left_out)) == (0, 0, wanted)
    assert collection.frame("checks").is_empty()


def test_a_newer_check_stays(collection: Collection, tmp_path: Path) -> None:
    """A report from before the last check of a copy changes nothing about it."""
    ck.verify(collection)
    at = collection.now() - timedelta(days=1)
    found = import_checksums(collection, write(tmp_path, row(collection, b"two", b"tw0"), at=at))
    assert (found.corrupt, dict(found.left_out)) == (0, {"checked since": 1})
    assert ck.audit(collection).complete and set(collection.frame("checks")["outcome"]) == {"ok"}


def test_what_is_no_report(collection: Collection, tmp_path: Path) -> None:
    """Another table, bytes that are no text, a file that is not there, a time to come: one clear error."""
    for content in (b"a,b,c\n", b"\xff\xfe\x00", b'"' + b"x" * 200_000):
        (tmp_path / "other.csv").write_bytes(content)
        with pytest.raises(InvalidInput):
            import_checksums(collection, tmp_path / "other.csv")
    with pytest.raises(InvalidInput, match="cannot be read"):
        import_checksums(collection, tmp_path / "nothing.csv")
    with pytest.raises(InvalidInput, match="still to come"):
        import_checksums(collection, write(tmp_path), checked_at=collection.now() + timedelta(days=1))
    assert collection.frame("checks").is_empty()


def test_a_check_has_a_price(collection: Collection) -> None:
    """90 USD a GB and 0.4 USD a thousand requests: three copies of 5,006 bytes, a request each."""
    report = ck.verify(collection)
    assert report.ok == 3 and report.cost == {"amount": "0.001651", "currency": "USD"}


def test_a_budget_of_money_ends_a_run(collection: Collection) -> None:
    """What is not paid for is left out by name, longest unchecked first; the next run goes on there."""
    report = ck.verify(collection, max_cost="0.0014USD")
    assert report.ok == 2 and dict(report.unchecked) == {"money budget used up": 1}
    assert float(report.cost["amount"]) <= 0.0014
    assert ck.verify(collection, max_cost="1 USD", max_age=timedelta(days=1)).checked == 1


def test_a_budget_needs_prices(collection: Collection, tmp_path: Path, s3_url: str) -> None:
    """Without a price, in another currency, or as no amount of money: an error, and nothing is read."""
    for words in ("2", "much", "-1USD", "2EUR"):
        with pytest.raises(InvalidInput):
            ck.verify(collection, max_cost=words)
    ck.add_store(collection, "other", f"{s3_url}-2")
    with pytest.raises(InvalidInput, match=r"\[prices\.other\]"):
        ck.verify(collection, max_cost="2USD")
    assert collection.frame("checks").is_empty()


def test_a_folder_is_free(make_collection: object, source: Path) -> None:
    """Nobody charges for one's own disk: any budget will do, and no cost is told."""
    collection: Collection = make_collection()  # type: ignore[operator]
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    report = ck.verify(collection, max_cost="0USD")
    assert report.ok == 3 and report.cost == {}

"""Tiers: to a cheap store and back. SeaweedFS has no archive: the proxy before it answers as one would."""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import catalogkit as ck
from catalogkit.cli import main
from catalogkit.collection import open_collection
from catalogkit.errors import Archived, InvalidInput, StoreError
from catalogkit.layouts import cas_key
from catalogkit.model import Outcome
from catalogkit.plan import Plan
from catalogkit.policies.maintain import STEPS
from catalogkit.stores.contract import Asked
from catalogkit.stores.s3 import multipart
from catalogkit.stores.s3.store import S3Layout
from tests.conftest import Clock, make_tree
from tests.s3.proxy import LOSE_ANSWER, proxied
from tests.s3.test_relocate import GO, cloud_of, kill_after, sound, where
from tests.stores.test_contract import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalogkit.collection import Collection
    from tests.s3.proxy import Proxy
    from tests.s3.server import Server

FILES = {"old": b"old" * 100, "large": os.urandom((5 << 20) + 7), "small": b"x"}
PRICES = """
[prices.main]
month_gb = 0.02
[prices.glacier]
month_gb = 0.001
requests_1000 = 0.0004
[cadence]
main = "1d"
[tiering]
cold = "glacier"
least_bytes = "10"
"""


@pytest.fixture
def clock() -> Clock:
    """A clock that is later than the server's, whatever day it is."""
    return Clock(datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def proxy(s3_server: Server) -> Iterator[Proxy]:
    """An archive, in front of a server that has none."""
    with proxied(s3_server.url, s3_server.client()) as running:
        running.archive = True
        yield running


@pytest.fixture
def tiers(
    make_collection: Callable[..., Collection], proxy: Proxy, s3_url: str, source: Path, clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Collection]:  # fmt: skip
    """A collection in a folder, filled half a year ago, with an archive beside it."""
    monkeypatch.setattr(multipart, "WHOLE_BYTES", 5 << 20)
    monkeypatch.setattr(multipart, "PART_BYTES", 5 << 20)
    made = make_collection()
    ck.ingest(made, make_tree(source, FILES), resolver="test")
    ck.add_store(made, "glacier", f"{s3_url}?endpoint={proxy.url}&storage_class=GLACIER")
    settings = made.path / "catalogkit.toml"
    settings.write_text(settings.read_text() + PRICES)
    clock.advance(days=180)
    with open_collection(made.path, clock=clock) as opened:
        yield opened


def test_there_and_back_out_of_an_archive(tiers: Collection, proxy: Proxy, s3_server: Server) -> None:
    """What is old goes there in one request; coming back waits for a restore, and is taken up when it is there."""
    plan = ck.plan_tier(tiers)
    assert plan.units == 2 and set(plan.frame["reason"]) == {"cold"}
    assert "within 5 hours" in " ".join(plan.head.policy["told"])
    done = ck.apply(tiers, plan, **GO)
    assert (done.failed, done.skipped, done.removed) == (0, 0, 2)
    assert where(tiers) == {"main": 1, "glacier": 2}
    cold, client = cloud_of(tiers), s3_server.client()
    keys = list(cold.keys())
    for key in keys:
        told = client.head_object(Bucket="tests", Key=cold.settings.key(key), ChecksumMode="ENABLED")
        assert told["StorageClass"] == "GLACIER" and "-" not in told["ChecksumSHA256"]
    identity = client.head_object(Bucket="tests", Key=cold.settings.key(".catalogkit/store.json"))
    assert identity.get("StorageClass", "STANDARD") == "STANDARD"  # who it is has to be readable at any time
    (number,) = tiers.find(artifact_id="large")["id"].to_list()
    with pytest.raises(Archived, match="--back"):
        tiers.read(number)
    back = ck.plan_tier(tiers, back=[number])
    assert back.units == 1 and "restored first" in " ".join(back.head.policy["told"])
    since = tiers.now()
    for _ in range(2):  # asking twice asks once
        waits = ck.apply(tiers, back, **GO)
        assert (waits.done, waits.failed, waits.waiting) == (0, 0, 2) and where(tiers) == {"main": 1, "glacier": 2}
        assert "takes 5 hours" in " ".join(waits.why)
        (row,) = [one for one in tiers.catalog.plans() if one.id == back.id]
        assert (row.failed, row.waiting, row.waits_since) == (0, 2, since)
        assert row.waits_until == since + timedelta(hours=5) and "since" in row.waits and "until about" in row.waits
        assert {one[3] for one in tiers.catalog.journal(back.id)} == {"waiting"}
        tiers.clock.advance(minutes=1)  # type: ignore[attr-defined]
    proxy.thaw()
    done = ck.apply(tiers, back, **GO)
    assert (done.done, done.failed, done.waiting) == (2, 0, 0) and where(tiers) == {"main": 2, "glacier": 1}
    assert tiers.read(number) == FILES["large"]
    assert [row.ended_at is not None for row in tiers.catalog.plans()] == [True, True]


def test_an_answer_that_is_lost_on_the_way_there(tiers: Collection, proxy: Proxy) -> None:
    """What arrived, and nobody said so, is found to be there by what the server computed of it."""
    proxy.fault(LOSE_ANSWER, "PUT", "/cas/", times=2)
    proxy.fault(LOSE_ANSWER, "DELETE")
    done = ck.apply(tiers, ck.plan_tier(tiers), **GO)
    assert (done.failed, done.removed) == (0, 2) and where(tiers) == {"main": 1, "glacier": 2}


def test_what_lies_in_an_archive_is_left_out_by_name(tiers: Collection) -> None:
    """Nobody can read it back, so a check neither tries nor calls it unknown; audits look at it all the same."""
    ck.apply(tiers, ck.plan_tier(tiers), **GO)
    assert tiers.frame("locations").filter(store="glacier")["outcome"].to_list() == [None, None]  # nothing is claimed
    report = ck.verify(tiers)
    assert report.clean and report.ok == 1
    assert {why: n for why, n in report.unchecked.items() if "archive" in why} == {
        "in an archive, where only a job of the server checks: `catalogkit store evidence`": 2
    }
    numbers = tiers.frame("documents")["id"].to_list()
    report = ck.verify(tiers, numbers)
    assert report.clean and report.ok == 1 and sum(report.unchecked.values()) == 2
    found = ck.audit(tiers, sample_rate=1.0)
    assert not found.findings
    cold = cloud_of(tiers)
    client = cold.bucket.api
    client.delete_object(Bucket="tests", Key=cold.settings.key(cas_key(digest_of(FILES["old"]))))
    assert [one.code.value for one in ck.audit(tiers).findings]


def test_the_other_copy_stays_unless_the_server_says_it_has_the_bytes(tiers: Collection, s3_server: Server) -> None:
    """Other bytes there, or a checksum made of parts' ones: the copy here is not given up."""
    cold, client = cloud_of(tiers), s3_server.client()
    plan = ck.plan_tier(tiers)
    for name, body in (("old", b"rotten"), ("large", FILES["large"])):
        at = {"Bucket": "tests", "Key": cold.settings.key(cas_key(digest_of(FILES[name])))}
        client.put_object(**at, Body=body, StorageClass="GLACIER", ChecksumAlgorithm="CRC32")
    done = ck.apply(tiers, plan, **GO)
    assert done.removed == 0 and where(tiers)["main"] == 3
    assert [tiers.read(number) for number in tiers.frame("documents")["id"]]


def test_an_answer_about_what_arrived(tiers: Collection) -> None:
    """Right, other, and missing bytes are told apart by what the server computed, and reading is never tried."""
    ck.apply(tiers, ck.plan_tier(tiers), **GO)
    cold = cloud_of(tiers)
    key, size = cas_key(digest_of(FILES["large"])), len(FILES["large"])
    for digest, bytes_, outcome in (
        (digest_of(FILES["large"]), size, Outcome.OK),
        (digest_of(FILES["large"]), size + 1, Outcome.CORRUPT),
        (digest_of(b"other"), size, Outcome.CORRUPT),
    ):
        assert cold.arrived(Asked(key, digest, bytes_)).outcome is outcome
    assert cold.arrived(Asked(cas_key(digest_of(b"none")), digest_of(b"none"), 4)).outcome is Outcome.MISSING
    (read,) = cold.examiner()([Asked(key, digest_of(FILES["large"]), size)])
    assert read.outcome is Outcome.UNKNOWN and "archive" in read.detail


def test_bytes_that_are_asked_for_again_come_back(tiers: Collection, proxy: Proxy, clock: Clock) -> None:
    """Two requests within the time bring a content back; after that it stays, for it is no longer unread."""
    ck.apply(tiers, ck.plan_tier(tiers), **GO)
    assert ck.plan_tier(tiers).units == 0
    log = tiers.path / "log.csv"
    (number,) = tiers.find(artifact_id="old")["id"].to_list()
    rows = [f"{number},{(clock.now - timedelta(days=day)).isoformat()}" for day in (1, 2)]
    log.write_text("\n".join(["document_id,accessed_at", *rows]) + "\n")
    assert ck.import_accesses(tiers, log).matched == 2
    plan = ck.plan_tier(tiers)
    assert plan.units == 1 and set(plan.frame["reason"]) == {"back"}
    assert ck.apply(tiers, plan, **GO).waiting == 2
    proxy.thaw()
    assert ck.apply(tiers, plan, **GO).done == 2 and where(tiers) == {"main": 2, "glacier": 1}
    assert ck.plan_tier(tiers).units == 0


def test_repair_waits_as_well(tiers: Collection, proxy: Proxy) -> None:
    """A bad copy here is made good out of the archive, once that was restored."""
    ck.apply(tiers, ck.plan_relocate(tiers, "glacier", keep=True), **GO)
    path = Path(tiers.store.path(cas_key(digest_of(FILES["old"]))))  # type: ignore[union-attr]
    path.unlink()
    assert ck.verify(tiers).missing == 1
    plan = ck.plan_repair(tiers)
    assert ck.apply(tiers, plan, **GO).waiting and not path.exists()
    proxy.thaw()
    assert ck.apply(tiers, plan, **GO).failed == 0 and path.read_bytes() == FILES["old"]


def test_a_round_of_maintenance_takes_it_up_again(tiers: Collection, proxy: Proxy, clock: Clock) -> None:
    """Night by night: it goes there, is asked for, waits, comes back; a person is told meanwhile, and asked nothing."""
    others = [name for name in STEPS if name != "tier"]
    settings = tiers.path / "catalogkit.toml"
    text = f"{settings.read_text()}\n[maintain]\nskip = {others}\napply = ['tier']\n"
    (number,) = tiers.find(artifact_id="old")["id"].to_list()

    def night(applied: str = "['tier']") -> dict[str, Any]:
        settings.write_text(text.replace("['tier']", applied))
        clock.advance(days=1)
        with open_collection(tiers.path, clock=clock) as opened:
            return ck.maintain(opened).steps["tier"]

    assert night()["applied"]["failed"] == 0
    # Most of what is stored went at once, which a plan of this kind may do, for it arrived elsewhere.
    assert where(tiers) == {"main": 1, "glacier": 2}
    for _ in range(2):
        tiers.record_access(number, clock.now)
    told = night()
    assert (told["outcome"], told["applied"]["waiting"]) == ("waits", 2)
    assert night()["applied"]["waiting"] == 2 and night("[]")["applied"] is None
    assert len(list((tiers.path / "plans").glob("tier-*"))) == 2
    proxy.thaw()
    assert (told := night())["outcome"] == "done" and told["applied"]["done"] == 2
    assert where(tiers) == {"main": 2, "glacier": 1} and night()["outcome"] == "done"
    settings.write_text(text.replace('cold = "glacier"', ""))
    with open_collection(tiers.path, clock=clock) as opened:
        assert ck.maintain(opened).steps["tier"]["outcome"] == "skipped"


def test_an_archive_is_no_place_for_new_bytes(tiers: Collection, tmp_path: Path, s3_url: str) -> None:
    """Nothing that is taken in could be proved there."""
    with pytest.raises(InvalidInput, match="archive"):
        ck.use_store(tiers, "glacier")
    with pytest.raises(InvalidInput, match="archive"):
        ck.init(tmp_path / "other", store=f"{s3_url}?storage_class=DEEP_ARCHIVE")
    for query in ("storage_class=STANDARD_IA&restore=Bulk", "storage_class=DEEP_ARCHIVE&restore=Expedited"):
        with pytest.raises(InvalidInput, match="restore"):
            S3Layout(f"{s3_url}?{query}", name="x", token="x")


def test_a_server_that_takes_wrong_checksums_is_no_archive(
    s3_url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the uploader's word would be all there is."""
    from catalogkit.stores.s3 import probing

    monkeypatch.setattr(probing, "_checksum", lambda bucket, key: (False, "it takes anything"))
    with pytest.raises(StoreError, match="wrong SHA-256"):
        S3Layout.create(f"{s3_url}-x?endpoint={proxy.url}&storage_class=GLACIER", name="x", catalog="y")
    S3Layout.create(f"{s3_url}-x?endpoint={proxy.url}&storage_class=STANDARD_IA", name="x", catalog="y")


def test_what_is_too_large_for_one_request_stays(tiers: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would prove that it arrived; the plan says so, and how many, and any other cheap store takes it."""
    monkeypatch.setattr("catalogkit.planning.tier.MOST_BYTES", 5 << 20)
    plan = ck.plan_tier(tiers)
    assert plan.units == 1 and plan.frame["sha256"].unique().to_list() == [str(digest_of(FILES["old"]))]
    assert "1 contents are larger than the 5 GB" in plan.head.complete and "SHA-256 of the whole" in plan.head.complete
    ck.add_store(tiers, "cool", str(tiers.path.parent / "cool"))
    policy = ck.TierPolicy(cold="cool", least_bytes="10")
    assert ck.plan_tier(tiers, policy).units == 2 and not ck.plan_tier(tiers, policy).head.complete


def test_a_budget_needs_no_price_of_an_archive(tiers: Collection, clock: Clock) -> None:
    """Nothing is read there, so it costs nothing to check all the rest."""
    settings = tiers.path / "catalogkit.toml"
    settings.write_text(settings.read_text().replace("[prices.glacier]", "[prices.other]"))
    with open_collection(tiers.path, clock=clock) as opened:
        assert ck.verify(opened, max_cost="1USD").ok == 3


def test_a_store_has_a_cadence_of_its_own(tiers: Collection, clock: Clock) -> None:
    """What was checked lately enough for its store is left out, whatever the run asks for; what never was is not."""
    assert ck.verify(tiers).ok == 3
    clock.advance(hours=23)
    report = ck.verify(tiers, max_age=timedelta(0))
    assert report.ok == 0 and report.unchecked == {"checked lately enough for its store": 3}
    clock.advance(hours=2)
    assert ck.verify(tiers).ok == 3


@pytest.mark.parametrize("calls", [1, *(pytest.param(number, marks=pytest.mark.stress) for number in (0, 2))])
def test_killed_while_tiering(make_collection: Callable[..., Collection], s3_url: str, source: Path, clock: Clock,
                              calls: int) -> None:  # fmt: skip
    """Whichever change of the bucket was the last, every document can be read, and the same plan goes on to its end."""
    made = make_collection()
    ck.ingest(made, make_tree(source, {"a": b"a" * 20, "b": b"b" * 20, "c": b"c" * 20}), resolver="test")
    ck.add_store(made, "cold", f"{s3_url}?storage_class=STANDARD_IA")
    clock.advance(days=180)
    policy = ck.TierPolicy(cold="cold", least_bytes="0")
    there = ck.plan_tier(made, policy).save(made.path / "plans")
    assert kill_after(made, calls, "apply", str(there)) == -signal.SIGKILL
    assert [made.read(number) for number in made.frame("documents")["id"]]
    assert ck.apply(made, Plan.load(there), **GO).failed == 0 and where(made) == {"cold": 3}
    back = ck.plan_tier(made, policy, back=made.frame("documents")["id"].to_list()).save(made.path / "plans")
    assert kill_after(made, calls, "apply", str(back)) == -signal.SIGKILL
    assert [made.read(number) for number in made.frame("documents")["id"]]
    assert ck.apply(made, Plan.load(back), **GO).failed == 0 and where(made) == {"main": 3}
    ck.ingest(made, source, resolver="test")  # sweeps what the dead left
    sound(made, 3)


def test_what_the_dead_were_sending_is_swept(
    make_collection: Callable[..., Collection], s3_url: str, source: Path, clock: Clock
) -> None:
    """Uploads in parts that nobody took up go once a plan that sends bytes there has ended; those of others stay."""
    made = make_collection()
    ck.ingest(made, make_tree(source, {"a": b"a" * 20}), resolver="test")
    ck.add_store(made, "cold", s3_url)
    clock.advance(days=180)
    bucket = cloud_of(made).bucket
    for key in (cas_key(digest_of(b"another")), "backups/x"):
        bucket.api.create_multipart_upload(Bucket="tests", Key=bucket.settings.key(key))
    plan = ck.plan_tier(made, ck.TierPolicy(cold="cold", least_bytes="0"))
    assert ck.apply(made, plan, **GO).done
    assert [one.key for one in multipart.dangling(bucket)] == ["backups/x"]


def test_the_command(
    tiers: Collection, proxy: Proxy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what that costs before anybody says yes, in the plan and in its review; and what to do next."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["catalogkit", "-C", str(tiers.path), *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    monkeypatch.setattr("catalogkit.door.utc_now", tiers.clock, raising=False)
    code, _, told = run("plan", "tier", "--older-than", "0d")
    assert code == 2 and "USD a month now" in told and "within 5 hours" in told and "review" in told
    code, out, _ = run("plan", "tier", "--older-than", "0d", "--json")
    said = json.loads(out)
    assert code == 2 and said["units"] == 2 and said["costs"][0]["currency"] == "USD"
    assert (Path(said["path"]) / "tiers.parquet").exists()
    code, out, _ = run("review", said["path"])
    assert code == 2 and "USD a month now" in out
    wrong = (["--to", "nowhere"], ["--to", "main"], ["--back", "99"], ["--older-than", "soon"])
    assert [run("plan", "tier", *words)[0] for words in wrong] == [1, 1, 1, 1]
    assert run("approve", said["path"])[0] == 0 and run("apply", said["path"], "--max-share", "1")[0] == 0
    code, out, _ = run("plan", "tier", "--back", "1", "--json")
    path = json.loads(out)["path"]
    assert code == 2 and run("approve", path)[0] == 0
    code, out, told = run("apply", path)
    assert code == 2 and "apply the plan again" in told and "waiting" in out and "until about" in told
    code, out, _ = run("plans")
    assert code == 0 and "0 failed, 2 waiting since" in out and "until about" in out
    code, out, _ = run("review", path)
    assert code == 0 and "Waiting; apply it again once" in out and "2 waiting since" in out
    proxy.thaw()
    assert run("apply", path)[0] == 0
    assert "waiting" not in run("plans")[1]

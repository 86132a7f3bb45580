"""Retention on real collections: planned, applied, collected, taken back; and what is never lost by it."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import catalogkit as ck
from catalogkit.apply import apply
from catalogkit.collection import Collection, open_collection
from catalogkit.errors import InvalidInput, PlanError
from catalogkit.ingest import ingest
from catalogkit.model import Check, Outcome
from catalogkit.plan import Plan
from catalogkit.planning import Retention, common, plan_retention, plan_undo, retention_decisions
from catalogkit.policies.retention import RetentionPolicy
from tests.conftest import Clock, make_tree
from tests.plans.scene import broken, collect, digest_of, put, run, state_of, stored_bytes

SHORT = RetentionPolicy(10)


def reasons(collection: Collection, policy: RetentionPolicy = SHORT, **more: Any) -> dict[str, str]:
    """What is decided about each document, by its artifact id."""
    frame = retention_decisions(collection, policy, **more)
    return dict(frame.select("artifact_id", pl.col("reason").cast(pl.String)).rows())


def test_what_is_due_is_forgotten_collected_and_can_come_back(collection: Collection, clock: Clock) -> None:
    """End to end: due documents go, their bytes with them; until the purge all of it can be undone (hazard 70)."""
    put(collection, "old", b"old")
    put(collection, "twin", b"shared")
    clock.advance(days=8)
    put(collection, "young", b"young")
    put(collection, "other", b"shared")
    clock.advance(days=3)
    plan = plan_retention(collection, RetentionPolicy(10, min_replicas=0))
    assert plan.frame["artifact_id"].to_list() == ["old", "twin"]
    assert plan.head.kind == "retention"
    assert plan.head.policy["kept"] == {"young": 2}
    before = stored_bytes(collection)
    report = run(collection, plan)
    assert (report.done, report.skipped, report.failed) == (2, 0, 0)
    assert list(broken(collection)) == []
    assert run(collection, plan_undo(collection, plan.id)).done == 2
    assert reasons(collection)["old"] == "due-age"  # it comes back as old as it was
    again = plan_retention(collection, RetentionPolicy(10, min_replicas=0))
    run(collection, again)
    collect(collection)
    assert (state_of(collection, b"old"), state_of(collection, b"shared")) == ("purged", "live")
    freed = before - stored_bytes(collection)
    # Under readable paths the twin had a path of its own, which stays: its bytes are needed.
    assert freed == plan.bytes_freed() == len(b"old")
    assert list(broken(collection)) == []


def test_a_second_look_finds_nothing(collection: Collection, clock: Clock) -> None:
    """What was forgotten is not planned again; an empty collection plans nothing."""
    assert plan_retention(collection, SHORT).units == 0
    put(collection, "old", b"old")
    clock.advance(days=11)
    run(collection, plan_retention(collection, SHORT))
    assert plan_retention(collection, SHORT).units == 0


def test_a_sighting_and_a_hold_both_prevent_it(collection: Collection, clock: Clock, source: Path) -> None:
    """Downloaded again, unchanged: younger. Held, by id or by content: kept, and the hold's end ends that."""
    for name in ("seen", "held", "bytes-held", "plain"):
        put(collection, name, name.encode())
    clock.advance(days=11)
    put(collection, "seen", b"seen")
    ids = {row["artifact_id"]: row["id"] for row in collection.find().to_dicts()}
    hold = collection.catalog.place_hold("law", document_id=ids["held"], as_of=clock.now)
    collection.catalog.place_hold("law", digest=digest_of(b"bytes-held"), as_of=clock.now)
    said = {"seen": "young", "held": "held", "bytes-held": "held", "plain": "due-age"}
    assert reasons(collection) == said
    collection.catalog.release_hold(hold, as_of=clock.now)
    assert reasons(collection)["held"] == "due-age"


def test_an_access_is_a_sighting_where_the_policy_says_so(collection: Collection, clock: Clock) -> None:
    """The newest entry of the access log counts, if it is to."""
    record = put(collection, "read", b"read")
    clock.advance(days=11)
    log = [(record.id, clock.now - timedelta(days=days), "read", 4) for days in (9, 1, 5)]
    collection.catalog.record_accesses(log)
    assert reasons(collection) == {"read": "due-age"}
    frame = retention_decisions(collection, RetentionPolicy(10, count_access=True))
    assert frame["last_seen"].to_list() == [clock.now - timedelta(days=1)]
    assert frame["reason"].to_list() == ["young"]


def test_what_was_seen_again_after_the_plan_stays(collection: Collection, clock: Clock) -> None:
    """Between plan and apply somebody downloads it again: the step is skipped, and says why."""
    put(collection, "back", b"back")
    put(collection, "old", b"old")
    clock.advance(days=11)
    plan = plan_retention(collection, SHORT)
    assert plan.units == 2
    clock.advance(seconds=1)
    put(collection, "back", b"back")
    report = run(collection, plan)
    assert (report.done, report.why) == (1, {"it was seen again since the plan was made": 1})
    assert [row["artifact_id"] for row in collection.find().to_dicts()] == ["back"]


def test_a_hold_placed_after_the_plan_wins(collection: Collection, clock: Clock) -> None:
    """The database refuses what a hold forbids, whatever a plan says."""
    record = put(collection, "old", b"old")
    clock.advance(days=11)
    plan = plan_retention(collection, SHORT)
    collection.catalog.place_hold("law", document_id=record.id, as_of=clock.now)
    assert run(collection, plan).why == {"a document under a hold cannot be forgotten": 1}


def test_a_store_that_does_not_answer_keeps_everything(collection: Collection, clock: Clock) -> None:
    """Where copies cannot be counted nothing is due, and the reason is shown (hazard 13)."""
    put(collection, "old", b"old")
    clock.advance(days=11)
    root = Path(collection.store.root)
    root.rename(root.with_name("away"))
    plan = plan_retention(collection, SHORT)
    assert (plan.units, plan.head.policy["kept"]) == (0, {"copies-unknown": 1})
    root.with_name("away").rename(root)
    assert plan_retention(collection, SHORT).units == 1


def test_a_copy_whose_check_could_not_tell_keeps_it(collection: Collection, clock: Clock) -> None:
    """`unknown` never leads to deletion."""
    put(collection, "old", b"old")
    clock.advance(days=11)
    copy = collection.catalog.locations_of(digest_of(b"old"))[0].id
    check = Check(location_id=copy, sha256=digest_of(b"old"), checked_at=clock.now, outcome=Outcome.UNKNOWN)
    collection.catalog.record_checks([check])
    assert reasons(collection) == {"old": "copies-unknown"}


def test_files_in_place_stay_where_they_are(collection: Collection, clock: Clock, source: Path) -> None:
    """Of a document whose file its owner has, forgetting frees nothing."""
    ingest(collection, make_tree(source, {"theirs.txt": b"theirs"}), mode="reference")
    clock.advance(days=11)
    plan = plan_retention(collection, SHORT)
    assert (plan.units, plan.bytes_freed()) == (1, 0)
    run(collection, plan)
    collect(collection)
    assert (source / "theirs.txt").read_bytes() == b"theirs"


def test_what_a_snapshot_has_frees_nothing(collection: Collection, clock: Clock) -> None:
    """A snapshot keeps the bytes its documents had; what came after it is freed."""
    put(collection, "before", b"before")
    clock.advance(days=1)
    ck.take_snapshot(collection, "kept", expires_at=clock.now + timedelta(days=30))
    clock.advance(days=1)
    put(collection, "after", b"after!")
    clock.advance(days=11)
    plan = plan_retention(collection, SHORT)
    assert (plan.units, plan.bytes_freed()) == (2, len(b"after!"))
    before = stored_bytes(collection)
    run(collection, plan)
    collect(collection)
    assert before - stored_bytes(collection) == len(b"after!")


def test_names_of_the_catalog_are_known(collection: Collection) -> None:
    """A rule about a resolver that the catalog has never heard of is an error, and nothing is planned."""
    put(collection, "one", b"one", resolver="unpaywall")
    with pytest.raises(InvalidInput, match="did you mean 'unpaywall'"):
        plan_retention(collection, RetentionPolicy(resolver_rules={"unpaywal": 3}))
    assert plan_retention(collection, RetentionPolicy(resolver_rules={"unpaywall": 3})).units == 0


def test_tenants_have_policies_of_their_own(collection: Collection, clock: Clock) -> None:
    """Each document is judged by its tenant's policy; a plan may be for one tenant only."""
    put(collection, "ours", b"ours")
    put(collection, "theirs", b"theirs", tenant="acme")
    clock.advance(days=11)
    policy = RetentionPolicy(10, tenants={"acme": RetentionPolicy(5)})
    assert reasons(collection, policy) == {"ours": "due-age", "theirs": "due-age"}
    assert reasons(collection, policy, tenant="acme") == {"ours": "not-asked", "theirs": "due-age"}
    assert reasons(collection, RetentionPolicy(10, tenants={"acme": RetentionPolicy(12)}))["theirs"] == "young"
    assert plan_retention(collection, policy, tenant="acme").frame["artifact_id"].to_list() == ["theirs"]


def test_a_limit_takes_the_longest_overdue_first(collection: Collection, clock: Clock) -> None:
    """The score orders the plan, and a part of it says that it is one."""
    for name in ("first", "second", "third"):
        put(collection, name, name.encode())
        clock.advance(days=1)
    clock.advance(days=20)
    plan = plan_retention(collection, SHORT, limit=2)
    assert plan.frame["artifact_id"].to_list() == ["first", "second"]
    assert plan.head.complete == "1 more unit was left out"


def test_the_settings_are_the_policy(make_collection: Callable[..., Collection], clock: Clock, tmp_path: Path) -> None:
    """`[retention]` of catalogkit.toml is used where no policy is given, and read strictly."""
    collection = make_collection()
    put(collection, "old", b"old")
    clock.advance(days=11)
    settings = collection.path / "catalogkit.toml"
    plain = settings.read_text()
    settings.write_text(plain + "\n[retention]\nage_days = 10\n[retention.tenants.acme]\nage_days = 5\n")
    with pytest.raises(InvalidInput, match="tenants: 'acme' is not known"), opened(collection, clock) as again:
        plan_retention(again)
    settings.write_text(plain + "\n[retention]\nage_days = 10\n[retention.size_tier_rules]\nlarge = 100\n")
    with opened(collection, clock) as again:
        assert plan_retention(again).units == 1
    settings.write_text(plain + "\n[retention]\nage_dais = 10\n")
    with pytest.raises(InvalidInput, match=r"catalogkit.toml: .*did you mean 'age_days'"), opened(collection, clock):
        pass


def opened(collection: Collection, clock: Clock) -> Collection:
    return open_collection(collection.path, clock=clock)


def test_a_plan_is_for_its_catalog_only(collection: Collection, clock: Clock, tmp_path: Path) -> None:
    """Another catalog refuses it before anything happens (hazard 64)."""
    with ck.init(tmp_path / "other", clock=clock) as other:
        for one in (collection, other):
            put(one, "old", b"old")
        clock.advance(days=11)
        with pytest.raises(PlanError, match="this plan is for catalog"):
            run(other, plan_retention(collection, SHORT))
        assert other.catalog.totals()["documents"] == 1


def test_a_plan_is_kept_and_read_again(collection: Collection, clock: Clock, tmp_path: Path) -> None:
    """Policy and reasons travel with it."""
    put(collection, "old", b"old")
    clock.advance(days=11)
    plan = plan_retention(collection, SHORT)
    again = Plan.load(plan.save(tmp_path))
    assert again.id == plan.id
    assert RetentionPolicy.parse({k: v for k, v in again.head.policy.items() if k != "kept"}) == SHORT


def healthy(collection: Collection, content: bytes) -> int:
    """Physical copies of some content that hash right, counted on the disk."""
    inodes = set()
    for copy in collection.catalog.locations_of(digest_of(content)):
        path = Path(collection.store.path(copy.key))
        if path.is_file() and digest_of(path.read_bytes()) == digest_of(content):
            inodes.add(path.stat().st_ino)
    return len(inodes)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_keeps_its_copies(collection: Collection, clock: Clock, seed: int) -> None:
    """After any part of any batch, and the garbage collection after it, whatever a document still needs has as many
    healthy physical copies as asked, or as many as before (hazard 12)."""
    dice = random.Random(seed)
    contents = [f"content {n}".encode() for n in range(6)]
    for number in range(24):
        put(collection, f"a{number}", dice.choice(contents), resolver=dice.choice(["core", "pmc"]))
        clock.advance(days=dice.choice([0, 1]))
    for content in contents:  # some get a second name, some go bad
        copies = collection.catalog.locations_of(digest_of(content))
        if copies and dice.random() < 0.3:
            path = Path(collection.store.path(copies[-1].key))
            path.chmod(0o600)
            path.write_bytes(b"rotten")
    ck.verify(collection)
    clock.advance(days=dice.choice([0, 5]))
    policy = RetentionPolicy(dice.randint(3, 18), resolver_rules={"core": dice.randint(3, 18)}, min_replicas=2)
    plan = plan_retention(collection, policy)
    before = {content: healthy(collection, content) for content in contents}
    units = [unit for unit in plan.frame["unit"] if dice.random() < 0.7]
    approval = ck.planning.approve(plan.save(collection.path / "plans"), "", approved_by="x", as_of=clock.now,
                                   exclude=sorted(set(plan.frame["unit"]) - set(units)))  # fmt: skip
    report = apply(collection, plan, approval=approval, max_share=1.0)
    assert (report.done, report.failed) == (len(units), 0)
    collect(collection)
    needed = set(collection.frame("documents")["sha256"])
    for content in contents:
        if str(digest_of(content)) in needed:
            assert healthy(collection, content) >= min(policy.min_replicas, before[content])
            assert healthy(collection, content) == before[content]


def test_many_documents_are_decided_about_in_numbers(
    collection: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the mirror come the same decisions and plans: holds, snapshots, sightings, the whole and the first."""
    for number in range(6):
        put(collection, f"d{number}", b"x" * (number // 2 + 1))
        clock.advance(hours=1)
    ids = {row["artifact_id"]: row["id"] for row in collection.find().to_dicts()}
    ck.take_snapshot(collection, "kept")
    clock.advance(days=9)
    for name in ("later", "held"):
        ids[name] = put(collection, name, name.encode()).id
    clock.advance(days=11)
    collection.catalog.touch([ids["d1"]], as_of=clock.now)
    collection.catalog.place_hold("law", digest=digest_of(b"held"), as_of=clock.now)
    collection.catalog.place_hold("law", document_id=ids["d4"], as_of=clock.now)
    collection.catalog.record_accesses([(ids["d2"], clock.now, "read", None)])
    policies = [
        RetentionPolicy(10), RetentionPolicy(10, count_access=True, min_replicas=2), RetentionPolicy(300),
        RetentionPolicy(5, content_type_rules={"text/*": 15}, size_tier_rules={"<3B": 19, ">=4B": 400}),
    ]  # fmt: skip

    def decided() -> list[Any]:
        found: list[Any] = []
        for policy in policies:
            one = Retention(collection, policy, as_of=clock.now)
            found += [(plan.id, plan.units, plan.head.complete) for plan in (one.plan(), one.plan(2), one.plan(0))]
            found += one.decided.sort("id").drop("artifact_id", "sha256").rows()
        return found

    plain = decided()
    assert plain[0][1] > plain[1][1] == 2 and plain[1][2].endswith("left out") and not plain[0][2]
    monkeypatch.setattr(common, "MANY", 1)
    assert decided() == plain

"""Damage, verify, plan, approve, apply, verify: in each layout, from every kind of source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.acts.placing import NO_FETCHING
from catalogkit.apply import apply
from catalogkit.approval import Approval
from catalogkit.errors import StoreUnreachable
from catalogkit.fetching import Fetcher
from catalogkit.layouts import cas_key
from catalogkit.model import Outcome
from catalogkit.plan import Plan
from catalogkit.planners.gc import GCPolicy
from catalogkit.planners.repair import RepairPolicy
from catalogkit.planning import approve, plan_gc, plan_repair, plan_undo, repair_report
from catalogkit.review import Review
from tests.plans.scene import broken, condemn, digest_of, files, forget, put, run, stray
from tests.repair.damage import copies, corrupt, ours, part, rotten, scrub, set_aside, stock, theirs
from tests.repair.server import Server, reply

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from tests.conftest import Clock

A, B, C, D = b"the bytes of a", b"other bytes", b"x" * 100_000, b""
WHOLE = {"corrupt": 0, "missing": 0, "unknown": 0}


@pytest.fixture
def fetcher() -> Fetcher:
    """Fetches from loopback, and does not wait."""
    return Fetcher(private=True, per_second=1000, sleep=lambda _: None)


def whole(collection: Collection) -> bool:
    """Whether all that is stored is right, as read now, and nothing is left to be repaired."""
    found = scrub(collection)
    return found == {**WHOLE, "ok": found["ok"]} and not plan_repair(collection).units and not [*broken(collection)]


def reasons(plan: Plan) -> list[tuple[str, str]]:
    return plan.frame.select("kind", "reason").rows()


def test_everything_is_whole_again(collection: Collection, clock: Clock) -> None:
    """Corrupt and missing copies are made good from replicas, as approved; the bad bytes are kept, byte for byte."""
    for name, content in (("a", A), ("b", B), ("c", C), ("d", D)):
        stock(collection, name, content)
    put(collection, "twin", A)
    assert scrub(collection)["ok"] == (9 if collection.layout == "policy" else 8)
    inodes = {content: ours(collection, content).stat().st_ino for content in (A, B, C, D)}
    spoilt = corrupt(ours(collection, A))
    os.truncate(_writable(ours(collection, C)), 10)
    ours(collection, B).unlink()
    corrupt(ours(collection, D))
    clock.advance(days=1)
    scrub(collection)
    clock.advance(hours=3)
    plan = plan_repair(collection)
    assert plan.units == 4 and plan.head.complete == ""
    assert set(plan.frame["reason"]) <= {"copy-proved", "copy-repaired"}
    home = plan.save(collection.path / "plans")
    approve(home, as_of=clock())
    report = apply(collection, Plan.load(home), approval=Approval.load(home))
    assert (report.done, report.skipped, report.failed, report.bytes_freed) == (plan.frame.height, 0, 0, 0)
    twice = [spoilt] if collection.layout == "policy" else []
    assert set_aside(collection) == sorted([spoilt, *twice, C[:10], rotten(D)])
    assert all(ours(collection, content).stat().st_ino != inode for content, inode in inodes.items())
    assert ours(collection, A).stat().st_nlink == (2 if collection.layout == "policy" else 1)
    assert all(ours(collection, content).stat().st_mode & 0o777 == 0o444 for content in (A, B, C, D))
    clock.advance(days=1)
    assert whole(collection)


def _writable(path: Path) -> Path:
    path.chmod(0o644)
    return path


def test_another_name_in_the_same_store(collection: Collection) -> None:
    """A name with a bad file of its own becomes one more name of the good one."""
    if collection.layout != "policy":
        run(collection, _placed(collection, "docs/view", A))
    else:
        put(collection, "a", A)
        put(collection, "twin", A)
    bad, good = (place for place in (Path(collection.store.path(one.key)) for one in copies(collection, A).values()))
    part(bad)
    spoilt = corrupt(bad)
    scrub(collection)
    plan = plan_repair(collection)
    assert reasons(plan) == [("link", "copy-proved")]
    assert run(collection, plan).done == 1
    assert bad.samefile(good)
    assert set_aside(collection) == [spoilt]
    assert whole(collection)


def _placed(collection: Collection, key: str, content: bytes) -> Plan:
    from tests.plans.steps import step, steps

    put(collection, "a", content)
    return steps(collection, step(collection, "link", content, key, cas_key(digest_of(content))))


@pytest.mark.parametrize("condemned", [False, True])
def test_a_stray_has_them(condemned: bool, collection: Collection) -> None:
    """A file that no record knows, also one that waits for its purge, has what was lost; it is left where it is."""
    put(collection, "a", A)
    corrupt(ours(collection, A))
    other = stray(collection, A, key="docs/somewhere/else.txt")
    stray(collection, rotten(A), key="docs/somewhere/same-size.txt")
    if condemned:
        assert condemn(collection).done == 2
    scrub(collection)
    plan = plan_repair(collection)
    assert reasons(plan) == [("copy", "stray")]
    assert run(collection, plan).done == 1
    assert other.read_bytes() == A
    assert whole(collection)


def test_the_content_address_has_them(make_collection: Any) -> None:
    """In a store of readable paths, a stray at the content address is found without looking through the store."""
    collection = make_collection("policy")
    put(collection, "a", A)
    ours(collection, A).unlink()
    stray(collection, A)
    scrub(collection)
    collection.store.keys = lambda *_: pytest.fail("the store was looked through")
    plan = plan_repair(collection)
    assert plan.frame.select("reason", "from_key").rows() == [("stray", cas_key(digest_of(A)))]
    del collection.store.keys
    assert run(collection, plan).done == 1
    assert whole(collection)


def test_the_quarantine_has_them(collection: Collection) -> None:
    """Bytes that were put aside by mistake are found there by their digest, and stay there."""
    put(collection, "a", A)
    collection.store.quarantine(next(iter(copies(collection, A).values())).key)
    scrub(collection)
    plan = plan_repair(collection)
    assert reasons(plan) == [("copy", "quarantined")]
    assert run(collection, plan).done == 1
    assert set_aside(collection) == [A]
    assert whole(collection)


def test_a_source_gone_bad_meanwhile(collection: Collection) -> None:
    """Nothing is repaired from a copy that is not right at that moment; the bad bytes stay where they are."""
    stock(collection, "a", A)
    spoilt = corrupt(ours(collection, A))
    scrub(collection)
    plan = plan_repair(collection)
    corrupt(theirs(collection, A))
    report = run(collection, plan)
    assert (report.done, report.skipped) == (0, 1)
    assert ours(collection, A).read_bytes() == spoilt
    assert set_aside(collection) == []


def test_a_copy_that_is_good_again(collection: Collection) -> None:
    """A copy that somebody put back meanwhile is only noted; nothing is put aside."""
    stock(collection, "a", A)
    corrupt(ours(collection, A))
    scrub(collection)
    plan = plan_repair(collection)
    _writable(ours(collection, A)).write_bytes(A)
    inode = ours(collection, A).stat().st_ino
    assert run(collection, plan).done == 1
    assert (ours(collection, A).stat().st_ino, set_aside(collection)) == (inode, [])
    assert {one.outcome for one in copies(collection, A).values()} == {Outcome.OK}


def test_hazard_41_a_store_that_is_away_is_no_damage(collection: Collection) -> None:
    """Copies that cannot be read are unknown, and no repair is planned for them."""
    stock(collection, "a", A)
    os.rename(collection.store.root, f"{collection.store.root}-away")
    assert scrub(collection)["unknown"] >= 1
    report = repair_report(collection)
    assert (report.plan.units, report.unrepairable.height) == (0, 0)
    os.rename(f"{collection.store.root}-away", collection.store.root)
    assert whole(collection)


def test_hazards_39_and_40_only_what_is_read_counts(collection: Collection) -> None:
    """A file that is there, of the right size and age, is found corrupt by its bytes, and made good."""
    stock(collection, "a", A)
    path = ours(collection, A)
    about = path.stat()
    corrupt(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert scrub(collection)["corrupt"] == 1
    assert run(collection, plan_repair(collection)).done == 1
    assert whole(collection)


def test_hazard_17_nothing_outside_the_store_is_written(collection: Collection) -> None:
    """A copy in its owner's hands is left as it is, whatever is planned; only its record goes, and only if asked."""
    stock(collection, "a", A)
    theirs(collection, A).chmod(0o644)
    spoilt = corrupt(theirs(collection, A))
    scrub(collection)
    report = repair_report(collection)
    assert (report.plan.units, report.unrepairable["reason"].to_list()) == (0, ["owner"])
    path, plan = theirs(collection, A), plan_repair(collection, RepairPolicy(let_go=True))
    assert reasons(plan) == [("drop", "owner-changed")]
    assert run(collection, plan).done == 1
    assert path.read_bytes() == spoilt
    assert len(copies(collection, A)) == 1
    assert whole(collection)


def test_a_missing_copy_among_enough_is_dropped(make_collection: Any) -> None:
    """With a policy for it, a name that is gone leaves the catalog while the store has the bytes under others."""
    collection = make_collection("policy")
    for name in ("a", "b", "c"):
        put(collection, name, A)
    ours(collection, A).unlink()
    scrub(collection)
    plan = plan_repair(collection, RepairPolicy(enough=2))
    assert reasons(plan) == [("drop", "surplus")]
    assert run(collection, plan).done == 1
    assert len(copies(collection, A)) == 2
    assert whole(collection)
    assert run(collection, plan_undo(collection, plan.id)).done == 1
    assert len(copies(collection, A)) == 3
    assert whole(collection)


# -- fetching ----------------------------------------------------------------------------------------------------------


def test_what_is_left_nowhere_is_fetched(collection: Collection, server: Server, fetcher: Fetcher) -> None:
    """Without permission it is told; with it planned; done only with a fetcher, and again where that failed before."""
    put(collection, "a", A, source_url=server.on("/a", reply(404), reply(body=rotten(A)), reply(body=A)))
    put(collection, "twin", A, source_url="file:///somewhere/a")
    spoilt = corrupt(ours(collection, A))
    scrub(collection)
    assert set(repair_report(collection).unrepairable["reason"]) == {"not-fetchable"}  # it is at a private address
    assert set(repair_report(collection, RepairPolicy(private=True)).unrepairable["reason"]) == {"not-asked"}
    plan = plan_repair(collection, RepairPolicy(private=True), fetch=True)
    assert reasons(plan)[0] == ("fetch", "source")
    assert f"127.0.0.1:{server.port}" not in str(plan.frame.to_dicts())
    assert next(iter(run(collection, plan).why)) == NO_FETCHING
    for said in ("answered 404", "has other bytes now"):
        report = run(collection, plan, fetcher=fetcher)
        assert said in next(iter(report.why)) and "not an address of the web" in next(iter(report.why))
        assert (report.done, ours(collection, A).read_bytes()) == (0, spoilt)
    report = run(collection, plan, fetcher=fetcher)
    assert (report.done, report.failed) == (plan.frame.height, 0)
    assert set(set_aside(collection)) == {spoilt}
    assert whole(collection)


def test_a_private_source_is_not_asked(collection: Collection, server: Server) -> None:
    """A fetcher without permission asks nothing at a private address, though the plan was made with it."""
    put(collection, "a", A, source_url=server.on("/a", reply(body=A)))
    ours(collection, A).unlink()
    scrub(collection)
    plan = plan_repair(collection, RepairPolicy(fetch=True, private=True))
    assert "private address" in next(iter(run(collection, plan, fetcher=Fetcher()).why))
    assert server.asked == []


def test_fetched_by_a_document_that_moved_on(collection: Collection, server: Server, fetcher: Fetcher) -> None:
    """An earlier version, and one whose document was forgotten, are fetched from where they came from."""
    first, second = server.on("/first", reply(body=A)), server.on("/second", reply(body=C))
    put(collection, "a", A, source_url=first)
    put(collection, "a", B, source_url=first)
    forget(collection, put(collection, "c", C, source_url=second))
    for content in (A, C):
        corrupt(ours(collection, content))
    scrub(collection)
    plan = plan_repair(collection, RepairPolicy(fetch=True, private=True))
    assert reasons(plan) == [("fetch", "source")] * 2
    assert run(collection, plan, fetcher=fetcher).done == 2
    assert whole(collection)


def test_the_store_gets_what_its_owner_lost(collection: Collection, server: Server, fetcher: Fetcher) -> None:
    """Bytes that lay in their owner's hands alone are brought into the store at their content address."""
    path = collection.path.parent / "mine"
    path.write_bytes(A)
    from catalogkit.ingest import register_or_get

    url = server.on("/a", reply(body=A))
    record = register_or_get(collection, path, artifact_id="a", source_url=url, mode="reference")
    path.unlink()
    scrub(collection)
    plan = plan_repair(collection, RepairPolicy(fetch=True, private=True, let_go=True))
    assert reasons(plan) == [("fetch", "source"), ("drop", "owner-changed")]
    assert run(collection, plan).done == 0  # nothing is let go before it is fetched
    assert len(copies(collection, A)) == 1
    assert run(collection, plan, fetcher=fetcher).done == 2
    assert list(copies(collection, A)) == [f"main {cas_key(digest_of(A))}"]
    assert collection.read(record.id) == A
    assert whole(collection)


# -- afterwards --------------------------------------------------------------------------------------------------------


def test_undo_says_what_it_cannot(collection: Collection) -> None:
    """A repair has no way back: the plan to undo it is empty, and says how many steps it leaves."""
    stock(collection, "a", A)
    stock(collection, "b", B)
    corrupt(ours(collection, A))
    ours(collection, B).unlink()
    scrub(collection)
    plan = plan_repair(collection)
    assert run(collection, plan).done == 2
    undo = plan_undo(collection, plan.id)
    assert (undo.units, undo.head.complete) == (0, "2 steps cannot be undone: copy x 2")


def test_hazard_76_the_journal_and_the_ledger_tell(collection: Collection) -> None:
    """What was repaired, from where, and that it was read and right then, can be asked for later."""
    stock(collection, "a", A)
    corrupt(ours(collection, A))
    scrub(collection)
    plan = plan_repair(collection)
    run(collection, plan)
    (row,) = collection.catalog.journal(plan.id)
    _, _, kind, outcome, _, sha256, _, store, *_, from_store, from_key, effect = row
    assert (kind, outcome, sha256, store, effect) == ("copy", "done", str(digest_of(A)), "main", "repaired")
    assert (from_store, "/" + from_key) == ("in-place", str(theirs(collection, A)))
    last = collection.frame("checks").rows(named=True)[-1]
    assert (last["outcome"], last["method"], last["run_id"]) == ("ok", "apply", plan.id)


def test_what_is_put_aside_is_never_collected(collection: Collection) -> None:
    """Garbage collection does not take what lies in quarantine for strays."""
    stock(collection, "a", A)
    spoilt = corrupt(ours(collection, A))
    scrub(collection)
    run(collection, plan_repair(collection))
    before = files(collection)
    assert plan_gc(collection, GCPolicy(), as_of=collection.now()).units == 0
    assert (files(collection), set_aside(collection)) == (before, [spoilt])


def test_a_limit(collection: Collection) -> None:
    """Some of the blobs now, the rest with the next plan."""
    for number in range(5):
        stock(collection, str(number), b"%d" % number)
        ours(collection, b"%d" % number).unlink()
    scrub(collection)
    plan = plan_repair(collection, limit=2)
    assert (plan.units, plan.head.complete) == (2, "3 more units were left out")
    run(collection, plan)
    assert plan_repair(collection).units == 3


def test_hazard_45_half_a_look_is_no_look(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a folder cannot be listed, nothing is said of what strays there are: planning fails, and says where."""
    put(collection, "a", A)
    ours(collection, A).unlink()
    stray(collection, A, key="docs/closed/a")
    scrub(collection)
    scandir = os.scandir

    def closed(path: Any = ".") -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", closed)
        with pytest.raises(StoreUnreachable, match="closed"):
            plan_repair(collection)
    assert reasons(plan_repair(collection)) == [("copy", "stray")]


def test_what_a_reviewer_reads(collection: Collection, server: Server) -> None:
    """The review says that there is no way back and that bad bytes are kept, and how to apply what fetches."""
    stock(collection, "a", A)
    corrupt(ours(collection, A))
    scrub(collection)
    looked_at = Review(plan_repair(collection), collection)
    assert looked_at.consequences() == "Bad bytes are put aside and kept; what was made good is not undone."
    assert looked_at.commands()[1] == "catalogkit apply PLAN"
    put(collection, "b", B, source_url=server.on("/b"))
    ours(collection, B).unlink()
    scrub(collection)
    looked_at = Review(plan_repair(collection, RepairPolicy(fetch=True, private=True)), collection)
    assert looked_at.consequences() == "Cannot be undone: 1 file will be fetched again."
    assert looked_at.commands()[1] == "catalogkit apply PLAN --fetch --private"

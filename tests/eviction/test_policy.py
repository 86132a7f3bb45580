"""`SmartEvictionPolicy`: what may go, in which order, what it costs, and a plan that the executor carries out."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import catalogkit as ck
from catalogkit.cli import main
from catalogkit.collection import Collection
from catalogkit.errors import InvalidInput
from catalogkit.eviction import backtest
from catalogkit.planning.evicted import PROMISES
from tests.conftest import Clock
from tests.plans.scene import put, run

LAST = ck.EvictionPolicy(last_copies=True)


def filled(collection: Collection, clock: Clock) -> dict[str, Any]:
    """Documents of several kinds, some asked for every day of two months."""
    told = {name: put(collection, name, name.encode() * size) for name, size in (("a", 900), ("b", 800), ("c", 700))}
    told["twin"] = put(collection, "twin", b"a" * 900)
    told["held"] = put(collection, "held", b"h" * 5000)
    told["lone"] = put(collection, "lone", b"l" * 6000, source_url="file:///lone")
    told["near"] = put(collection, "near", b"n" * 4000, source_url="http://127.0.0.1/near")
    collection.catalog.place_hold("law", document_id=told["held"].id, as_of=clock())
    for _ in range(60):
        clock.advance(days=1)
        for name in ("b", "twin"):
            collection.record_access(told[name].id)
    return told


def test_without_a_log_size_and_age_decide(collection: Collection, clock: Clock) -> None:
    """The largest that may go comes first; held, without an address, or at a private one: not offered."""
    put(collection, "small", b"s")
    put(collection, "large", b"l" * 100)
    clock.advance(days=9)
    policy = ck.SmartEvictionPolicy(collection)
    assert [one.artifact_id for one in policy.recommend_eviction()] == ["large", "small"]
    first = policy.recommend_eviction(1)[0]
    assert first.reuse is None and first.expected_cost is None and policy.card.method == "size x age"
    assert first.bytes == 100 and first.saved_per_month == pytest.approx(100e-9 * 0.023)


def test_what_nobody_asked_for_goes_before_what_is_asked_for(collection: Collection, clock: Clock) -> None:
    """Demand of any document of a content is the content's; parts add up; what must stay is not offered."""
    told = filled(collection, clock)
    policy = ck.SmartEvictionPolicy(collection, horizon=timedelta(days=7), learn=False)
    offered = policy.recommend_eviction()
    assert [one.artifact_id for one in offered] == ["c", "a", "b"]
    assert offered[1].document_ids == (told["a"].id, told["twin"].id)
    assert all(sum(one.parts.values()) == pytest.approx(one.score) for one in offered)
    assert offered[0].reuse < 0.5 < offered[2].reuse and offered[2].expected > 3
    assert offered[2].expected_cost == pytest.approx(offered[2].reuse / 0.9)
    stays = dict(policy.scores.select("artifact_id", "stays").rows())
    assert (stays["held"], stays["lone"], stays["near"], stays["a"]) == ("held", "source", "source", "")
    assert policy.score_file(told["twin"]) == policy.score_file(told["a"]) == offered[1].score
    private = ck.SmartEvictionPolicy(collection, policy=ck.EvictionPolicy(private=True), learn=False)
    assert "near" in [one.artifact_id for one in private.recommend_eviction()]


def test_no_more_than_is_needed(collection: Collection, clock: Clock) -> None:
    """By number, or until so many bytes are free, and not one content more."""
    filled(collection, clock)
    policy = ck.SmartEvictionPolicy(collection, horizon=timedelta(days=7), learn=False)
    assert len(policy.recommend_eviction(2)) == 2 and policy.recommend_eviction(0) == []
    assert [one.artifact_id for one in policy.recommend_eviction(bytes_to_free=700)] == ["c"]
    assert [one.artifact_id for one in policy.recommend_eviction(bytes_to_free=701)] == ["c", "a"]
    for bad in ({"n": -1}, {"bytes_to_free": -1}):
        with pytest.raises(InvalidInput):
            policy.recommend_eviction(**bad)
    with pytest.raises(InvalidInput, match="no document has the content"):
        policy.score_file(_other(collection))


def _other(collection: Collection) -> Any:
    from dataclasses import replace

    from catalogkit.model import Digest

    return replace(collection.catalog.find(limit=1)[0], sha256=Digest(bytes(32)))


def test_fetches_that_failed_make_it_dear(collection: Collection, clock: Clock) -> None:
    """One over the chance that a fetch succeeds, by how that went for the resolver."""
    one = put(collection, "a", b"one", resolver="flaky")
    put(collection, "b", b"two", resolver="good")
    collection.catalog.begin_plan("f" * 64, "fetch", {}, {}, as_of=clock())
    with collection.catalog.hand("f" * 64, as_of=clock()) as hand:
        for unit in range(10):
            hand.note(unit, 0, "fetch", "failed", "", (one.sha256, one.id, None, None, None, None), 0)
    told = {c.resolver: c for c in ck.SmartEvictionPolicy(collection).recommend_eviction()}
    assert told["flaky"].refetch_chance == pytest.approx(9 / 20) and told["good"].refetch_chance == pytest.approx(0.9)
    assert told["good"].parts["refetch"] - told["flaky"].parts["refetch"] == pytest.approx(1)


def test_a_plan_that_is_carried_out_and_taken_back(collection: Collection, clock: Clock) -> None:
    """Last copies go only where the policy says so; the document says so; what came after is the regret."""
    told = filled(collection, clock)
    careful = ck.plan_evict(collection, n=2, learn=False)
    assert careful.units == 0 and careful.head.complete.startswith("2 contents stay")
    policy = ck.SmartEvictionPolicy(collection, horizon=timedelta(days=7), policy=LAST, learn=False)
    plan = policy.plan(2)
    assert plan.units == 2 and plan.summary()["last_copies"] == 2 and set(plan.frame["reason"]) == {"rate"}
    assert run(collection, plan).bytes_freed == 1600
    assert set(collection.frame("evictions")["sha256"]) == {str(told["a"].sha256), str(told["c"].sha256)}
    assert any("evicted" in said for said in ck.why(collection, told["a"].id))
    assert ck.plan_forget(collection, [told["c"].id]).bytes_freed() == 0
    assert ck.plan_forget(collection, [told["b"].id]).bytes_freed() == 800
    collection.record_access(told["twin"].id, count=3)
    regret = dict(ck.eviction_regret(collection).select("sha256", "requests").rows())
    assert regret == {str(told["a"].sha256): 3, str(told["c"].sha256): 0}
    back = ck.plan_fetch(collection, [told["a"].id])
    assert back.frame.select("kind", "document_id").rows() == [("fetch", told["a"].id)]
    assert ck.plan_fetch(collection).units == 2
    with pytest.raises(InvalidInput, match="was not evicted"):
        ck.plan_fetch(collection, [told["b"].id])

    def fetch(url: str, target: str, digest: object, size: int) -> None:
        Path(target).write_bytes(b"a" * 900)

    assert run(collection, back, fetcher=fetch).done == 1
    assert collection.read(told["twin"].id) == b"a" * 900 and ck.plan_fetch(collection).units == 1


def test_what_was_promised_and_what_came(collection: Collection, clock: Clock) -> None:
    """Within the horizon, of what really went: asked for while it was gone, or fetched again; each content once."""
    told = filled(collection, clock)
    assert dict(ck.eviction_promises(collection).schema) == dict(PROMISES)
    policy = ck.SmartEvictionPolicy(collection, horizon=timedelta(days=7), policy=LAST, learn=False)
    plan, promised = policy.plan(3), sum(one.reuse for one in policy.recommend_eviction(3))
    assert plan.head.policy["of"] == 3 and plan.head.policy["expected_back"] == pytest.approx(promised, rel=1e-5)
    # Of three contents that were approved one is held meanwhile, and stays.
    collection.catalog.place_hold("law", document_id=told["b"].id, as_of=clock())
    assert run(collection, plan).bytes_freed == 1600
    assert _came(collection) == (plan.id, 2, pytest.approx(promised * 2 / 3, rel=1e-5), 0, 0, 0, 0)
    clock.advance(days=2)
    collection.record_access(told["twin"].id, count=3)
    collection.record_access(told["b"].id)
    assert _came(collection)[3:] == (1, 1, 0, 0)

    def fetch(url: str, target: str, digest: object, size: int) -> None:
        Path(target).write_bytes(b"a" * 900)

    assert run(collection, ck.plan_fetch(collection, [told["a"].id]), fetcher=fetch).done == 1
    assert _came(collection)[3:] == (1, 1, 1, 900)
    clock.advance(days=9)
    collection.record_access(told["c"].id)
    assert _came(collection)[3:] == (1, 1, 1, 900)
    due = ck.eviction_promises(collection)["due_at"][0]
    assert due == collection.frame("evictions")["evicted_at"].max() + timedelta(days=7)


def _came(collection: Collection) -> tuple[Any, ...]:
    names = ("plan_id", "contents", "expected_back", "came_back", "asked_for", "fetched_again", "bytes_back")
    return ck.eviction_promises(collection).select(names).row(0)


def test_without_a_log_nothing_was_promised(collection: Collection, clock: Clock) -> None:
    """What comes back is told all the same, however late."""
    told = put(collection, "a", b"one")
    run(collection, ck.plan_evict(collection, n=1, policy=LAST))
    clock.advance(days=90)
    collection.record_access(told.id)
    row = ck.eviction_promises(collection).row(0, named=True)
    assert (row["expected_back"], row["due_at"], row["contents"], row["came_back"]) == (None, None, 1, 1)


def test_forgetting_what_was_evicted_frees_nothing(collection: Collection, clock: Clock) -> None:
    """Its bytes are gone already: no plan claims them again; a document that still has some claims its own alone."""
    gone, twin = put(collection, "gone", b"gone" * 25), put(collection, "twin", b"gone" * 25)
    here = put(collection, "here", b"here!")
    collection.catalog.place_hold("stays", document_id=here.id, as_of=clock())
    run(collection, ck.plan_evict(collection, n=1, policy=LAST))
    collection.catalog.release_hold(1, as_of=clock())
    assert collection.frame("locations")["bytes"].to_list() == [5]
    both = ck.plan_forget(collection, [gone.id, twin.id])
    assert both.units == 2 and both.bytes_freed() == 0
    assert ck.plan_forget(collection, [gone.id, twin.id, here.id]).bytes_freed() == 5
    assert run(collection, both).bytes_freed == 0 and collection.frame("documents")["id"].to_list() == [here.id]
    assert ck.plan_gc(collection).bytes_freed() == 0


def test_the_past_in_curves(collection: Collection, clock: Clock) -> None:
    """From nothing to all: who knows the future is never worse; a log that is too short has no curves."""
    filled(collection, clock)
    smart = ck.SmartEvictionPolicy(collection, learn=False)
    curves = backtest.curves(smart.history, timedelta(days=7), learn=False)
    ends = (
        curves.filter(pl.col("freed_share").is_in([0.0, 1.0]))
        .select("freed_share", "requests_share")
        .unique()
        .sort("freed_share")
    )
    assert ends.rows() == [(0.0, 0.0), (1.0, 1.0)]
    assert curves["order"].n_unique() == 7
    assert backtest.curves(smart.history, timedelta(days=90), learn=False).is_empty()


def test_on_the_command_line(
    collection: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A log is read, told and remembered; the plan says what it rests on, and keeps its scores and card."""
    told = put(collection, "a", b"one")
    log = tmp_path / "access.log"
    line = '1.2.3.4 - - [{}/Feb/2026:12:00:00 +0000] "GET /a HTTP/1.1" 200 3\n'
    log.write_text(line.format("01") + line.format("20"))

    def call(*arguments: str) -> tuple[int, Any]:
        monkeypatch.setattr(sys, "argv", ["catalogkit", "-C", str(collection.path), *arguments, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        code, out = ended.value.code, capsys.readouterr().out
        return code, json.loads(out) if code != 1 and out else {}

    code, read = call("access", "import", str(log))
    assert code == 0 and read["matched"] == 2
    assert call("access", "list")[1]["files"][0]["matched"] == 2
    code, planned = call("plan", "evict", "--last-copies")
    home = Path(planned["path"])
    assert code == 2 and json.loads((home / "card.json").read_text())["method"] == "rate"
    assert pl.read_parquet(home / "scores.parquet")["sha256"].to_list() == [str(told.sha256)]
    assert call("plan", "fetch")[0] == 0
    assert call("evictions") == (0, {"evictions": []})
    assert run(collection, ck.Plan.load(home)).removed == 1
    (row,) = call("evictions")[1]["evictions"]
    assert row["plan_id"] == planned["id"] and row["contents"] == 1 and 0 < row["expected_back"] < 1
    assert call("plan", "evict", "--bytes", "much")[0] == 1
    assert call("plan", "evict", "--aim", "money")[0] == 1

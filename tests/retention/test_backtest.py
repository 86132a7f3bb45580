"""Policies tried on the past: a story by hand, and any story against a simulation that goes step by step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import catalogkit as ck
from catalogkit.collection import Collection
from catalogkit.errors import InvalidInput
from catalogkit.model import schema
from catalogkit.planning import Retention, common, plan_forget, plan_retention
from catalogkit.policies.backtest import EPISODES, STEPS, RetentionBacktest, backtest
from catalogkit.policies.retention import RetentionPolicy
from catalogkit.policies.wording import Shorten
from tests.conftest import Clock
from tests.plans.scene import digest_of, put, run
from tests.retention.frames import DAY, NOW, sha

START = NOW - 40 * DAY


def day(number: float) -> datetime:
    return START + number * DAY


def version(
    name: str, begins: float, ends: float | None = None, seen: float | None = None, **more: Any
) -> dict[str, Any]:
    """A version of the document `name`, by days since the start."""
    plain = {"tenant": "default", "source_url": "u", "resolver": "", "variant": "", "content_type": ""}
    return plain | {
        "document_id": ord(name[0]),
        "artifact_id": name,
        "sha256": sha(name),
        "bytes": 10,
        "media_type": "text/html",
        "operation": "current" if ends is None else "ingest",
        "valid_from": day(begins),
        "valid_to": None if ends is None else day(ends),
        "seen_at": day(begins if seen is None else seen),
    } | more  # fmt: skip


def told(
    *versions: dict[str, Any],
    policy: RetentionPolicy | None = None,
    read: tuple[tuple[str, float], ...] = (),
    since: float = 0,
    until: float = 40,
    step: float = 1,
    **more: Any,
) -> RetentionBacktest:
    frame = pl.DataFrame(list(versions), schema=schema("document_versions"), orient="row")
    log = [(ord(name), day(when), "read", 1, 1) for name, when in read]
    return backtest(
        frame.with_columns(stored_bytes="bytes"),
        pl.DataFrame(log, schema=schema("accesses"), orient="row"),
        policy or RetentionPolicy(10),
        since=day(since), until=day(until), step=step * DAY, as_of=more.pop("as_of", NOW), **more,
    )  # fmt: skip


def numbers(report: RetentionBacktest, *names: str) -> tuple[Any, ...]:
    totals = report.totals()
    return tuple(totals[name] for name in names)


def test_a_story_by_hand() -> None:
    """A was never seen again; B was brought in again after 14 days; C was read twice; D is young at the end."""
    report = told(
        version("A", 0), version("B", 0, seen=14), version("C", 5), version("D", 35), read=(("C", 17), ("C", 30))
    )
    episodes = report.episodes.select("artifact_id", "forgotten_at", "back_at", "asked_at", "requests").rows()
    regrets = [("C", day(15), None, day(17), 2), ("B", day(10), day(14), day(14), 1)]
    assert episodes[:2] == regrets
    assert sorted(episodes[2:], key=str) == [("A", day(10), None, None, 0), ("B", day(24), None, None, 0)]
    assert numbers(report, "documents", "forgotten", "regretted", "requests", "regretted_bytes") == (4, 4, 2, 3, 20)
    saved = dict(zip(range(41), report.steps["saved_bytes"], strict=True))
    assert [saved[n] for n in (9, 10, 13, 14, 15, 24, 40)] == [0, 20, 20, 10, 20, 30, 30]
    assert report.steps["stored_bytes"].to_list() == [20] * 5 + [30] * 30 + [40] * 6
    at = dict(report.steps.select("at", "regretted").rows())
    assert {when: count for when, count in at.items() if count} == {day(14): 1, day(17): 1}
    assert report.steps.schema == STEPS and report.episodes.schema == EPISODES


def test_what_is_shared_is_saved_together() -> None:
    """Bytes are saved when the last document that has them is forgotten, once, in all their copies."""
    shared = {"sha256": sha("shared"), "bytes": 10}
    report = told(version("A", 0, **shared), version("B", 7, **shared), until=20)
    assert report.steps["saved_bytes"].to_list() == [0] * 17 + [10] * 4


def test_an_access_is_a_sighting_where_the_policy_says_so() -> None:
    """Then a read document is not forgotten; a read while it is gone is a request, and brings it back."""
    read = (("A", 8.0), ("A", 25.0))
    report = told(version("A", 0), policy=RetentionPolicy(10, count_access=True), read=read, until=39)
    episodes = report.episodes.select("last_seen", "forgotten_at", "back_at", "requests").rows()
    assert episodes == [(day(8), day(18), day(25), 1), (day(25), day(35), None, 0)]
    report = told(version("A", 0), read=read)
    assert report.episodes.select("forgotten_at", "back_at", "requests").rows() == [(day(10), None, 1)]


def test_brought_in_again_under_a_new_id() -> None:
    """A document that was really forgotten and came back is the same document."""
    report = told(version("A", 0, 12, operation="apply"), version("A", 20, document_id=9))
    assert report.episodes.select("forgotten_at", "back_at", "requests").rows()[0] == (day(10), day(20), 1)
    assert numbers(report, "documents") == (1,)
    assert report.steps["stored_bytes"].to_list()[11:21] == [10] + [0] * 8 + [10]


def test_a_changed_document_is_seen() -> None:
    """A new version begins anew; what arrived late, and was never current, says nothing."""
    report = told(version("A", 0, 8), version("A", 8, sha256=sha("other")), version("A", 15, 15, operation="older"))
    assert report.episodes.select("forgotten_at", "sha256").rows() == [(day(18), sha("other"))]


def test_sightings_nobody_wrote_down_are_uncertain() -> None:
    """Between the first and the last sighting of a version there may have been more; the report counts such cases."""
    report = told(version("A", 0, seen=35), version("B", 0))
    assert report.episodes.select("artifact_id", "uncertain").rows() == [("A", True), ("B", False)]
    assert numbers(report, "uncertain") == (1,)


def test_held_documents_are_never_forgotten() -> None:
    """By id or by content."""
    report = told(
        version("A", 0), version("B", 0), version("C", 0), held_documents=[ord("A")], held_contents=[sha("B")]
    )
    assert report.episodes["artifact_id"].to_list() == ["C"]


def test_only_the_tenant_that_was_asked_for() -> None:
    """Documents of others stay, and so does what they share."""
    shared = {"sha256": sha("shared")}
    report = told(version("A", 0, tenant="acme", **shared), version("B", 0, **shared), tenant="acme")
    assert report.episodes["artifact_id"].to_list() == ["A"]
    assert report.totals()["saved_bytes"] == 0


def test_what_happened_later_is_not_known() -> None:
    """Nothing after `as_of` counts, neither what was ended then nor what was asked for."""
    later = told(version("A", 0, 20, seen=18), read=(("A", 19),), until=12, as_of=day(15))
    assert later.episodes.select("back_at", "requests").rows() == [(day(15), 1)]
    nothing = told(version("A", 20), until=12, as_of=day(15))
    assert numbers(nothing, "documents", "forgotten", "stored_bytes") == (0, 0, 0)


def test_the_rules_are_those_of_the_policy() -> None:
    """Type, resolver, size and tenant decide in the past as they do now."""
    policy = RetentionPolicy(
        10, {"application/pdf": 20}, {"core": Shorten(5)}, tenants={"acme": RetentionPolicy(15)}, expected=("core",)
    )
    report = told(
        version("A", 0, media_type="Application/PDF; q=1"), version("B", 0, resolver="core"),
        version("C", 0, tenant="acme"), version("D", 0), policy=policy,
    )  # fmt: skip
    found = dict(report.episodes.select("artifact_id", "forgotten_at").rows())
    assert found == {"A": day(20), "B": day(5), "C": day(15), "D": day(10)}
    assert set(report.episodes["rule"]) >= {"content-type application/pdf: 20 d", "resolver core: 5 d, shortens"}


@pytest.mark.parametrize("more", [{"since": 5, "until": 4}, {"until": 41}, {"step": 0}, {"step": -1}, {"step": 1e-4}])
def test_times_that_make_no_sense_are_refused(more: dict[str, Any]) -> None:
    """The end before the beginning, the future, a step of nothing, a million steps."""
    with pytest.raises(InvalidInput):
        told(version("A", 0), **more)


def test_nothing_happened() -> None:
    """No history gives steps of nothing, and a report that can be shown."""
    report = told(until=3)
    assert report.steps["stored_bytes"].to_list() == [0, 0, 0, 0]
    assert numbers(report, "forgotten", "regretted", "saved_bytes") == (0, 0, 0)
    assert "saved_bytes" in str(report.to_dict()) and "Back-test" in report._repr_mimebundle_()["text/plain"]


# -- any story ------------------------------------------------------------------------------------------------------

whole_days = st.integers(0, 39)


@st.composite
def stories(draw: Any) -> tuple[list[dict[str, Any]], list[tuple[str, float]]]:
    versions, reads = [], []
    for name in "ABC"[: draw(st.integers(0, 3))]:
        marks = sorted(draw(st.sets(whole_days, min_size=1, max_size=4)))
        for begins, ends in zip(marks, [*marks[1:], None], strict=True):
            seen = draw(st.integers(begins, 39 if ends is None else ends))
            gone = ends is not None and draw(st.booleans())
            until = draw(st.integers(max(seen, begins + 1), ends)) if gone and ends > begins else ends
            seen = seen if until is None else min(seen, until)
            content = draw(st.sampled_from("xyz"))
            versions.append(version(name, begins, until, seen, sha256=sha(content)))
        reads += [(name, when + 0.5) for when in draw(st.sets(whole_days, max_size=3))]
    return versions, reads


def simulated(
    versions: list[dict[str, Any]], reads: list[tuple[str, float]], days: int, count_access: bool, step: int
) -> tuple[list[tuple[int, int]], list[tuple[Any, ...]]]:
    """Step by step, document by document: (stored, saved) of each step, and (name, forgotten, back, requests)."""
    names = sorted({one["artifact_id"] for one in versions})
    times = [day(n) for n in range(0, 41, step)]
    mine = {name: [one for one in versions if one["artifact_id"] == name] for name in names}

    def lives(name: str, when: datetime) -> dict[str, Any] | None:
        return next(
            (v for v in mine[name] if v["valid_from"] <= when and (v["valid_to"] is None or when < v["valid_to"])), None
        )

    log = {name: [day(when) for who, when in reads if who == name] for name in names}
    seen = {
        name: sorted(
            {v[key] for v in mine[name] for key in ("valid_from", "seen_at")}
            | {when for when in log[name] if count_access and lives(name, when)}
        )
        for name in names
    }
    gone: dict[str, datetime] = {}
    episodes, course = [], []

    def end(name: str, back: datetime | None) -> None:
        began = gone.pop(name)
        asked = [when for when in log[name] if began <= when and (back is None or when < back)]
        episodes.append((name, began, back, len(asked) + (back is not None)))

    for now in times:
        contents: dict[str, bool] = {}
        for name in names:
            if name in gone:
                back = next((when for when in seen[name] if when > gone[name] and when <= now), None)
                if back is not None:
                    end(name, back)
            current = lives(name, now)
            if current is None:
                continue
            last = max(when for when in seen[name] if when <= now)
            if name not in gone and now >= last + timedelta(days=days):
                gone[name] = now
            contents[current["sha256"]] = contents.get(current["sha256"], False) or name not in gone
        course.append((10 * len(contents), 10 * sum(not kept for kept in contents.values())))
    for name in list(gone):
        end(name, next((when for when in seen[name] if when > gone[name]), None))
    return course, sorted(episodes, key=str)


@settings(max_examples=80, deadline=None)
@given(stories(), st.integers(1, 20), st.booleans(), st.integers(1, 4))
def test_any_story_is_told_as_a_simulation_tells_it(
    story: tuple[list[dict[str, Any]], list[tuple[str, float]]], days: int, count_access: bool, step: int
) -> None:
    """What is stored, saved, forgotten, asked for and back is the same as going through it day by day."""
    versions, reads = story
    report = told(*versions, policy=RetentionPolicy(days, count_access=count_access), read=tuple(reads), step=step)
    course, episodes = simulated(versions, reads, days, count_access, step)
    assert report.steps.select("stored_bytes", "saved_bytes").rows() == course
    found = report.episodes.select("artifact_id", "forgotten_at", "back_at", "requests").rows()
    assert sorted(found, key=str) == episodes
    assert report.steps["forgotten"].sum() == len(episodes)
    assert report.steps["regretted"].sum() == sum(1 for *_, requests in episodes if requests)


# -- a collection ---------------------------------------------------------------------------------------------------


def test_a_collections_own_past(collection: Collection, clock: Clock) -> None:
    """History, access log, holds and stored bytes are gathered; what the policy really did is not its regret."""
    first = clock.now
    put(collection, "old", b"old")
    held = put(collection, "held", b"held")
    clock.advance(days=11)
    collection.catalog.place_hold("law", document_id=held.id, as_of=clock.now)
    run(collection, plan_retention(collection, RetentionPolicy(10)))
    clock.advance(days=5)
    put(collection, "old", b"old")
    report = ck.backtest_retention(collection, RetentionPolicy(5), since=first, step=DAY)
    (row,) = report.episodes.rows(named=True)
    assert (row["artifact_id"], row["forgotten_at"], row["requests"]) == ("old", first + 5 * DAY, 1)
    assert report.until == clock.now
    with pytest.raises(InvalidInput, match="'nobody' is not known"):
        ck.backtest_retention(collection, RetentionPolicy(resolver_rules={"nobody": 3}))


def test_files_in_place_save_nothing(make_collection: Callable[..., Collection], clock: Clock, source: Any) -> None:
    """Forgetting does not free what its owner has."""
    collection = make_collection()
    (source / "theirs.txt").write_bytes(b"theirs")
    ck.ingest(collection, source, mode="reference")
    first = clock.now
    clock.advance(days=11)
    report = ck.backtest_retention(collection, RetentionPolicy(5), since=first)
    assert numbers(report, "forgotten", "stored_bytes", "saved_bytes") == (1, 0, 0)


def test_the_past_of_many_documents(collection: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the mirror the same comes out: changed, forgotten and returned documents, requests for what went before."""
    for name in ("early", "gone", "back", "held", "shared-a", "shared-b", "changed", "quiet"):
        put(collection, name, name[:6].encode(), resolver="old" if name == "early" else "core")
    ids = {row["artifact_id"]: row["id"] for row in collection.find().to_dicts()}
    run(collection, plan_forget(collection, [ids["early"]]))
    clock.advance(days=3)
    first = clock.now
    clock.advance(days=4)
    put(collection, "changed", b"another content")
    collection.catalog.touch([ids["quiet"]], as_of=clock.now)
    run(collection, plan_forget(collection, [ids["gone"], ids["back"]]))
    clock.advance(days=4)
    put(collection, "back", b"back", resolver="core")
    put(collection, "early", b"early", resolver="old")
    collection.catalog.place_hold("law", digest=digest_of(b"held"), as_of=clock.now)
    log = [(ids[name], first + days * DAY, "read", None) for name in ("early", "quiet", "shared-a") for days in (6, 9)]
    collection.catalog.record_accesses(log)
    clock.advance(days=9)
    policies = [
        RetentionPolicy(5), RetentionPolicy(4, count_access=True), RetentionPolicy(4, resolver_rules={"old": 1}),
        RetentionPolicy(1, content_type_rules={"text/*": 6}, resolver_rules={"core": 2}),
    ]  # fmt: skip
    columns = [name for name in EPISODES.names() if name not in ("artifact_id", "sha256")]

    def tried() -> list[Any]:
        found: list[Any] = []
        for policy in policies:
            report = ck.backtest_retention(collection, policy, since=first, step=DAY)
            found += [report.totals(), report.steps.rows(), report.regrets.sort(EPISODES.names()).rows()]
            found.append(report.episodes.sort(columns).select(columns).rows())
            assert report.episodes.schema == EPISODES
            again = Retention(collection, policy).backtest(since=first, step=DAY)
            assert again.totals() == report.totals() and again.steps.equals(report.steps)
        return found

    plain = tried()
    assert plain[0]["regretted"] >= 2 and plain[0]["forgotten"] > plain[0]["regretted"]
    monkeypatch.setattr(common, "MANY", 1)
    assert tried() == plain
    with pytest.raises(InvalidInput, match="'nobody' is not known"):
        ck.backtest_retention(collection, RetentionPolicy(resolver_rules={"nobody": 3}), since=first)


def test_the_past_of_what_was_all_forgotten(
    collection: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a mirror that has no document any more the same comes out as from the catalog."""
    first = clock.now
    record = put(collection, "gone", b"gone")
    clock.advance(days=9)
    run(collection, plan_forget(collection, [record.id]))
    clock.advance(days=9)
    plain = ck.backtest_retention(collection, RetentionPolicy(5), since=first)
    assert numbers(plain, "documents", "forgotten", "regretted") == (1, 1, 0)
    monkeypatch.setattr(common, "MANY", 1)
    assert ck.backtest_retention(collection, RetentionPolicy(5), since=first).totals() == plain.totals()
    assert Retention(collection, RetentionPolicy(5)).plan().units == 0

"""Everything that can happen to a collection, in any order, by two clients, with crashes: the one rule holds."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import event, note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from catalogkit.approval import approve_plan
from catalogkit.collection import Collection, init, open_collection
from catalogkit.errors import PlanError
from catalogkit.layouts import cas_key
from catalogkit.planners.gc import GCPolicy
from catalogkit.planning import plan_forget, plan_gc, plan_migrate, plan_purge, plan_undo
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import Clock, hurry
from tests.crash.disk import PowerCut
from tests.plans.crashing import Grave, Line
from tests.plans.scene import AT_ONCE, broken, digest_of, put, run, state_of, stray
from tests.plans.steps import seen, step, steps

if TYPE_CHECKING:
    from catalogkit.plan import Plan

NAMES = ("a", "b", "c")
CONTENTS = (b"one", b"", b"two", b"four" * 1000)
PATIENT = GCPolicy(grace=timedelta(days=1), stray_age=timedelta(hours=1))
# How likely each step is. They are drawn by one rule, because a run seldom has all of many rules.
STEPS = {
    "ingest": 6, "let_go": 5, "plan": 5, "apply": 6, "crash": 4, "want_again": 4, "undo": 3, "forget": 2, "hold": 2,
    "evict": 3, "snapshot": 3, "drop": 2, "release": 2, "plant": 2, "wait": 2, "verify": 1, "reopen": 1,
}  # fmt: skip
Draw = Callable[[st.SearchStrategy[Any]], Any]


def lies(collection: Collection, content: bytes) -> bool:
    """Whether a content lies at one of the places where it should; after a crash a record may be one too many."""
    copies = [Path(collection.store.path(one.key)) for one in collection.catalog.locations_of(digest_of(content))]
    return any(path.is_file() and path.read_bytes() == content for path in copies)


class Machine(RuleBasedStateMachine):
    """Two clients of one collection, and what they may rely on: `documents`, `held` bytes, and kept `snapshots`."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="machine-"))
        self.clock = Clock(datetime(2026, 3, 1, 12, tzinfo=UTC))
        self.clients: list[Collection] = []
        self.documents: dict[int, bytes] = {}
        self.held: dict[int, bytes] = {}
        self.snapshots: dict[str, tuple[datetime | None, dict[int, bytes]]] = {}
        self.let: set[str] = set()
        self.began: list[str] = []
        self.plans: list[Plan] = []
        self.counted: set[tuple[str, int, int]] = set()

    def teardown(self) -> None:
        if self.clients:
            assert self.clients[0].catalog.integrity() == []
        for one in self.clients:
            one.close()
        shutil.rmtree(self.top)

    @initialize(layout=st.sampled_from(("cas", "policy")))
    def begin(self, layout: str) -> None:
        self.home = self.top / "collection"
        self.clients = [hurry(init(self.home, layout=layout, clock=self.clock))]
        self.clients.append(hurry(open_collection(self.home, clock=self.clock)))

    @rule(what=st.sampled_from([name for name, weight in STEPS.items() for _ in range(weight)]), data=st.data())
    def step(self, what: str, data: st.DataObject) -> None:
        note(what)
        self.who = data.draw(st.sampled_from((0, 1)))
        self.one = self.clients[self.who]
        getattr(self, what)(data.draw)
        self.clock.advance(seconds=1)

    # -- documents ---------------------------------------------------------------------------------------------

    def ingest(self, draw: Draw) -> None:
        """New, again, or a changed download, by the luck of name and content."""
        few = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(CONTENTS)), min_size=1, max_size=3)
        for name, content in draw(few):
            self._put(name, content, draw(st.sampled_from(("copy", "move"))))

    def want_again(self, draw: Draw) -> None:
        """What was let go is taken in after all."""
        if garbage := set(CONTENTS) - set(self.documents.values()):
            self._put(draw(st.sampled_from(NAMES)), draw(st.sampled_from(sorted(garbage))), "copy")

    def forget(self, draw: Draw) -> None:
        if self.documents:
            ids = st.sampled_from(sorted(self.documents))
            self._plan(plan_forget(self.one, draw(st.lists(ids, min_size=1, max_size=3, unique=True))))

    def let_go(self, draw: Draw) -> None:
        """Every document of a content is forgotten, it is condemned, and perhaps its end is planned."""
        if self.documents:
            content = draw(st.sampled_from(sorted(set(self.documents.values()))))
            ids = [number for number, one in self.documents.items() if one == content]
            self._apply(self._plan(plan_forget(self.one, ids)))
            self._gc(plan_gc, AT_ONCE, now=True)
            if draw(st.booleans()):
                self._gc(plan_purge, AT_ONCE)

    def hold(self, draw: Draw) -> None:
        content = draw(st.sampled_from(CONTENTS))
        if state_of(self.one, content) in ("live", "condemned") and lies(self.one, content):
            number = self.one.catalog.place_hold("somebody asks", digest=digest_of(content), as_of=self.clock())
            self.held[number] = content

    def evict(self, draw: Draw) -> None:
        """Everything there is of some content is let go, noted before."""
        content = draw(st.sampled_from(CONTENTS))
        copies = [one.key for one in self.one.catalog.locations_of(digest_of(content)) if one.store == "main"]
        if not copies:
            return
        there = [key for key in copies if os.path.lexists(self.one.store.path(key))]
        drops = [step(self.one, "drop", content, key, **seen(self.one, key)) for key in there]
        plan = self._plan(steps(self.one, [step(self.one, "evict", content, copies[0]), *drops]))
        self.let.add(plan.id)
        if draw(st.booleans()):
            self._apply(plan, batch=draw(st.integers(1, 3)))

    def release(self, draw: Draw) -> None:
        if self.held:
            self.one.catalog.release_hold(min(self.held), as_of=self.clock())
            del self.held[min(self.held)]

    def snapshot(self, draw: Draw) -> None:
        """Keep what is there now, for a while or until it is dropped."""
        name, end = f"s{len(self.snapshots)}", None
        if draw(st.booleans()):
            end = self.clock() + timedelta(hours=draw(st.sampled_from((1.0, 100.0))))
        kept = self.one.catalog.keep_moment("snapshot", name, expires_at=end, as_of=self.clock())
        self.snapshots[name] = (end, dict(self.documents))
        if draw(st.booleans()):
            assert self.one.catalog.count_moment(kept.id).documents == len(self.documents)

    def drop(self, draw: Draw) -> None:
        if names := [moment.name for moment in self.one.catalog.moments(as_of=self.clock())]:
            name = draw(st.sampled_from(names))
            self.one.catalog.release_moment("snapshot", name, as_of=self.clock())
            self.snapshots[name] = (self.clock(), {})

    def plant(self, draw: Draw) -> None:
        """A stray, of a content that is known, was known, or may be."""
        number = draw(st.integers(0, len(CONTENTS) - 1))
        known = self.one.catalog.locations_of(digest_of(CONTENTS[number]))
        key = None if self.one.layout == "cas" and not known else f"docs/stray-{number}"
        if not os.path.lexists(self.one.store.path(key or "docs/x")):
            stray(self.one, CONTENTS[number], days=draw(st.sampled_from((0.0, 5.0))), key=key)

    # -- plans -------------------------------------------------------------------------------------------------

    def plan(self, draw: Draw) -> None:
        make = draw(st.sampled_from((plan_gc, plan_purge)))
        self._gc(make, draw(st.sampled_from((AT_ONCE, AT_ONCE, PATIENT, GCPolicy()))))

    def apply(self, draw: Draw) -> None:
        """All of a plan, or every other unit."""
        if plan := self._recent(self.plans, draw):
            rule = draw(st.sampled_from(("", "", "unit % 2 = 0")))
            approval = approve_plan(plan, rule, approved_by="me", as_of=self.clock())
            self._apply(plan, batch=draw(st.integers(1, 5)), approval=approval, unapproved=False)

    def shuffle(self, draw: Draw) -> None:
        """Copies of what is stored are made, linked, exchanged, dropped and put aside, in one unit or in several."""
        copies = [one for content in CONTENTS for one in self.one.catalog.locations_of(digest_of(content))]
        mine = [one for one in copies if one.store == self.one.store.name]
        if not mine:
            return
        rows = []
        for _ in range(draw(st.integers(1, 4))):
            one = draw(st.sampled_from(mine))
            kind = draw(st.sampled_from(("copy", "copy", "link", "link", "drop", "drop", "quarantine")))
            others = [two.key for two in mine if two.sha256 == one.sha256 and two.key != one.key]
            new = [f"docs/more-{draw(st.integers(0, 3))}", cas_key(one.sha256)]
            content = next(content for content in CONTENTS if digest_of(content) == one.sha256)
            key = draw(st.sampled_from(new if kind in ("copy", "link") else [one.key]))
            about: dict[str, Any] = {}
            if kind == "drop" and os.path.lexists(self.one.store.path(one.key)):
                about = seen(self.one, one.key)
            if kind == "link" and others and draw(st.booleans()):
                key = draw(st.sampled_from(others))
                about = seen(self.one, key) if os.path.lexists(self.one.store.path(key)) else {}
            if key != one.key or kind in ("drop", "quarantine"):
                source = one.key if kind in ("copy", "link") else None
                rows.append(step(self.one, kind, content, key, source, **about))
        if rows:
            plan = self._plan(steps(self.one, rows) if draw(st.booleans()) else steps(self.one, *rows))
            if draw(st.booleans()):
                self._apply(plan, batch=draw(st.integers(1, 3)))

    def migrate(self, draw: Draw) -> None:
        """All of it, or part, there or back."""
        to = draw(st.sampled_from(("cas", "policy")))
        limit = draw(st.sampled_from((None, 1, 2)))
        self._apply(self._plan(plan_migrate(self.one, to, limit=limit, views=draw(st.booleans()))))

    def crash(self, draw: Draw) -> None:
        """The client dies at some call, and comes back."""
        plan = self._recent(self.plans, draw)
        if plan is None:
            return
        disk = Grave(draw(st.integers(2, 12)))
        disk.grave = Path(tempfile.mkdtemp(dir=self.top))
        self.one.store.files, catalog = disk, self.one.catalog
        self.one.catalog = Line(catalog, disk)  # type: ignore[assignment]
        try:
            self._apply(plan, batch=draw(st.integers(1, 5)))
        except PowerCut:
            event("crashed")
        finally:
            catalog.close()
            self.clients[self.who] = hurry(open_collection(self.home, clock=self.clock))
            self._recount()

    def undo(self, draw: Draw) -> None:
        if plan_id := self._recent(self.began, draw):
            self._apply(self._plan(plan_undo(self.one, plan_id)))

    def wait(self, draw: Draw) -> None:
        self.clock.advance(hours=draw(st.sampled_from((0.5, 2.0, 30.0, 400.0))))

    def verify(self, draw: Draw) -> None:
        verify(self.one, executor=Inline())

    def reopen(self, draw: Draw) -> None:
        self.one.close()
        self.clients[self.who] = hurry(open_collection(self.home, clock=self.clock))

    # -- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost(self) -> None:
        """The one rule; the documents are those that were taken in and not forgotten; held bytes are there."""
        if not self.clients:
            return
        one = self.clients[len(self.plans) % 2]
        # After a crash a record may be one too many, until the plan that was cut off is applied again.
        assert not list(broken(one, whole=False, every=False))
        gone = [eviction for eviction in one.catalog.evictions() if eviction.returned_at is None]
        assert {eviction.plan_id for eviction in gone} <= self.let
        evicted = {bytes(eviction.sha256) for eviction in gone}
        for number, content in self.documents.items():
            if digest_of(content) not in evicted:
                assert one.read(number) == content
        found = dict(one.catalog.rows("SELECT id, sha256 FROM documents"))  # type: ignore[attr-defined]
        assert found == {number: digest_of(content) for number, content in self.documents.items()}
        for content in self.held.values():
            assert lies(one, content)
        for end, documents in self.snapshots.values():
            if end is None or end > self.clock():
                for content in documents.values():
                    assert lies(one, content) or digest_of(content) in evicted

    # -- helpers -----------------------------------------------------------------------------------------------

    def _put(self, name: str, content: bytes, mode: str) -> None:
        record = put(self.one, name, content, mode=mode)
        assert record.sha256 == digest_of(content)
        self.documents[record.id] = content

    def _plan(self, plan: Plan) -> Plan:
        self.plans.append(plan)
        return plan

    def _gc(self, make: Callable[[Collection, GCPolicy], Plan], policy: GCPolicy, *, now: bool = False) -> None:
        try:
            plan = self._plan(make(self.one, policy))
        except PlanError as problem:
            assert "right catalog" in str(problem)
            assert not self.documents
        else:
            if now:
                self._apply(plan)

    def _recent(self, made: list[Any], draw: Draw) -> Any:
        """One of the last, mostly the very last."""
        return made[-min(draw(st.sampled_from((1, 1, 1, 2, 2, 3, 5))), len(made))] if made else None

    def _apply(self, plan: Plan, **more: Any) -> None:
        try:
            report = run(self.one, plan, **more)
        except PlanError as problem:
            assert "expired" in str(problem) or "find out where" in str(problem)
            return
        finally:
            begun = [row.id for row in self.clients[1 - self.who].catalog.plans()]
            if plan.id in begun and plan.id not in self.began:
                self.began.append(plan.id)
            self._recount()
        for outcome in ("done", "skipped"):
            if getattr(report, outcome):
                event(f"{plan.head.kind}: some steps {outcome}")

    def _recount(self) -> None:
        """Documents that the journals say were forgotten or recalled; a person would know no more."""
        catalog = self.clients[1 - self.who].catalog
        told = [row for plan in catalog.plans() for row in catalog.journal(plan.id) if row[2] in ("forget", "recall")]
        contents = {str(digest_of(content)): content for content in CONTENTS}
        for _, _, kind, outcome, _, sha256, number, _, _, _, at, *_ in sorted(told, key=lambda row: row[10]):
            if outcome != "done" or (kind, number, at) in self.counted:
                continue
            self.counted.add((kind, number, at))
            if kind == "forget":
                assert self.documents.pop(number) is not None
            else:
                assert number not in self.documents
                self.documents[number] = contents[sha256]

"""Everything that can happen to a collection, in any order, by two clients, with crashes: the one rule holds."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from catalogkit.approval import approve_plan
from catalogkit.collection import Collection, init, open_collection
from catalogkit.errors import PlanError
from catalogkit.planners.gc import GCPolicy
from catalogkit.planning import plan_forget, plan_gc, plan_purge, plan_undo
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import Clock, hurry
from tests.crash.disk import PowerCut
from tests.plans.crashing import Grave, Line
from tests.plans.scene import AT_ONCE, broken, digest_of, path_of, put, run, stray

if TYPE_CHECKING:
    from catalogkit.plan import Plan

NAMES = ("a", "b", "c")
CONTENTS = (b"one", b"", b"two", b"four" * 1000)
POLICIES = (AT_ONCE, AT_ONCE, GCPolicy(grace=timedelta(days=1), stray_age=timedelta(hours=1)), GCPolicy())
names, contents, client = st.sampled_from(NAMES), st.sampled_from(CONTENTS), st.sampled_from((0, 1))
# Which of the plans made so far: mostly one of the last.
back = st.sampled_from((1, 1, 1, 2, 2, 3, 5))


class Machine(RuleBasedStateMachine):
    """Two clients of one collection, and what they may rely on: `documents`, and `held` bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="machine-"))
        self.clock = Clock(datetime(2026, 3, 1, 12, tzinfo=UTC))
        self.clients: list[Collection] = []
        self.documents: dict[int, bytes] = {}
        self.held: dict[int, bytes] = {}
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

    # -- documents ---------------------------------------------------------------------------------------------

    @rule(who=client, name=names, content=contents, mode=st.sampled_from(("copy", "move")))
    def ingest(self, who: int, name: str, content: bytes, mode: str) -> None:
        """New, again, or a changed download, by the luck of name and content."""
        record = put(self.clients[who], name, content, mode=mode)
        assert record.sha256 == digest_of(content)
        self.documents[record.id] = content
        self._tick()

    @precondition(lambda self: self.documents)
    @rule(who=client, data=st.data(), now=st.booleans())
    def forget(self, who: int, data: st.DataObject, now: bool) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.documents)), min_size=1, max_size=3, unique=True))
        self._made(plan_forget(self.clients[who], chosen))
        if now:
            self._apply(self.clients[who], self.plans[-1])

    @rule(who=client, content=contents)
    def hold(self, who: int, content: bytes) -> None:
        there = any(
            row["sha256"] == str(digest_of(content)) and row["state"] in ("live", "condemned")
            for row in self.clients[who].frame("blobs").iter_rows(named=True)
        )
        if there and path_of(self.clients[who], content).exists():
            catalog = self.clients[who].catalog
            number = catalog.place_hold("somebody asks", digest=digest_of(content), as_of=self.clock())
            self.held[number] = content

    @precondition(lambda self: self.held)
    @rule(who=client)
    def release(self, who: int) -> None:
        number = min(self.held)
        self.clients[who].catalog.release_hold(number, as_of=self.clock())
        del self.held[number]

    @rule(who=client, number=st.integers(0, len(CONTENTS) - 1), days=st.sampled_from((0.0, 5.0)))
    def plant(self, who: int, number: int, days: float) -> None:
        """A stray, of unknown content or of one that may be ingested later, or is known elsewhere."""
        content = CONTENTS[number]
        known = self.clients[who].catalog.locations_of(digest_of(content))
        key = None if self.clients[who].layout == "cas" and not known else f"docs/stray-{number}"
        if not os.path.lexists(self.clients[who].store.path(key or "docs/x")):
            stray(self.clients[who], content, days=days, key=key)

    # -- plans -------------------------------------------------------------------------------------------------

    @rule(who=client, policy=st.sampled_from(POLICIES), purge=st.booleans())
    def plan(self, who: int, policy: GCPolicy, purge: bool) -> None:
        try:
            self._made((plan_purge if purge else plan_gc)(self.clients[who], policy))
        except PlanError as problem:
            assert "right catalog" in str(problem)
            assert not self.documents

    @rule(who=client)
    def condemn(self, who: int) -> None:
        """All that is garbage now, so that there is something to purge."""
        before = len(self.plans)
        self.plan(who, AT_ONCE, False)
        for plan in self.plans[before:]:
            self._apply(self.clients[who], plan)

    @precondition(lambda self: self.plans)
    @rule(who=client, number=back, batch=st.integers(1, 5), share=st.sampled_from((1, 1, 2)))
    def apply(self, who: int, number: int, batch: int, share: int) -> None:
        """All of it, or every other unit."""
        plan = self.plans[-min(number, len(self.plans))]
        when = self.clock()
        approval = approve_plan(plan, f"unit % {share} = 0", approved_by="me", as_of=when)
        self._apply(self.clients[who], plan, batch=batch, approval=approval, unapproved=False)

    @precondition(lambda self: self.plans)
    @rule(who=client, number=back, at=st.integers(1, 12), batch=st.integers(1, 5))
    def crash(self, who: int, number: int, at: int, batch: int) -> None:
        """The client dies at some call, and comes back."""
        plan = self.plans[-min(number, len(self.plans))]
        whole = self.clients[who]
        disk = Grave(at)
        disk.grave = Path(tempfile.mkdtemp(dir=self.top))
        whole.store.files, catalog = disk, whole.catalog
        whole.catalog = Line(catalog, disk)  # type: ignore[assignment]
        try:
            self._apply(whole, plan, batch=batch)
        except PowerCut:
            pass
        finally:
            catalog.close()
            self.clients[who] = hurry(open_collection(self.home, clock=self.clock))
            self._recount()

    @precondition(lambda self: self.began)
    @rule(who=client, number=back)
    def undo(self, who: int, number: int) -> None:
        self._made(plan_undo(self.clients[who], self.began[-min(number, len(self.began))]))
        self._apply(self.clients[who], self.plans[-1])

    @rule(hours=st.sampled_from((0.5, 2.0, 30.0, 400.0)))
    def wait(self, hours: float) -> None:
        self.clock.advance(hours=hours)

    @rule(who=client)
    def verify(self, who: int) -> None:
        verify(self.clients[who], executor=Inline())

    @rule(who=client)
    def reopen(self, who: int) -> None:
        self.clients[who].close()
        self.clients[who] = hurry(open_collection(self.home, clock=self.clock))

    # -- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost(self) -> None:
        """The one rule; the documents are those that were taken in and not forgotten; held bytes are there."""
        if not self.clients:
            return
        one = self.clients[len(self.plans) % 2]
        assert not list(broken(one, whole=False))
        found = {row["id"]: row["sha256"] for row in one.frame("documents").iter_rows(named=True)}
        assert found == {number: str(digest_of(content)) for number, content in self.documents.items()}
        for number, content in self.documents.items():
            assert self.clients[0].read(number) == content
        for content in self.held.values():
            assert path_of(self.clients[0], content).read_bytes() == content

    def _made(self, plan: Plan) -> None:
        self._tick()
        self.plans.append(plan)

    def _tick(self) -> None:
        self.clock.advance(seconds=1)

    def _apply(self, one: Collection, plan: Plan, **more: object) -> None:
        # The model learns what happened from the journal alone, which is what a person would read.
        try:
            run(one, plan, **more)
        except PlanError as problem:
            assert "expired" in str(problem) or "find out where" in str(problem)
        if any(row.id == plan.id for row in one.catalog.plans()) and plan.id not in self.began:
            self.began.append(plan.id)
        self._recount()

    def _recount(self) -> None:
        """Documents that the journals forgot and recalled, in the order of their plans' last steps."""
        told = []
        for plan in self.clients[0].catalog.plans():
            told += [row for row in self.clients[0].catalog.journal(plan.id) if row[3] == "done" and row[6] is not None]
        contents = {str(digest_of(content)): content for content in CONTENTS}
        for row in sorted(told, key=lambda row: row[10]):
            mark = (row[2], row[6], row[10])
            if mark in self.counted:
                continue
            self.counted.add(mark)
            if row[2] == "forget":
                assert self.documents.pop(row[6], None) is not None
            elif row[2] == "recall":
                assert row[6] not in self.documents
                self.documents[row[6]] = contents[row[5]]

"""Three sites in processes of their own, cut off from each other and killed at random: all agree in the end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.auditing import audit
from catalogkit.collection import init
from catalogkit.federation.merging import contested
from tests.conftest import NOON, Clock
from tests.federation.process import NAMES, opened
from tests.federation.scene import all_agree, lost

if TYPE_CHECKING:
    from tests.pg import Server

ROOT = Path(__file__).parents[2]
ALL = [list(pair) for pair in combinations(NAMES, 2)]


def begin(world: Path, *, catalogs: dict[str, str]) -> None:
    """Make three sites that know each other."""
    for name in NAMES:
        with init(world / name, clock=Clock(NOON), **({"catalog": catalogs[name]} if name in catalogs else {})) as made:
            made.catalog.begin_site(name, as_of=NOON)
    split(world, ALL)


def split(world: Path, reach: list[list[str]]) -> None:
    """From now on only these can reach each other."""
    draft = world / "reach.draft"
    draft.write_text(json.dumps(reach))
    os.replace(draft, world / "reach.json")


def play(world: Path, seed: int, rounds: int, steps: int) -> None:
    """Let all three work at once, round by round, with other splits in each; one of them is killed in every second."""
    luck = random.Random(seed)
    for number in range(rounds):
        split(world, luck.sample(ALL, luck.randrange(len(ALL) + 1)))
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.federation.process", world, name, str(luck.randrange(10**6)), str(steps)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=subprocess.PIPE,
            )
            for name in NAMES
        ]
        killed = luck.choice(running) if number % 2 else None
        if killed is not None:
            time.sleep(0.8 + luck.random())
            killed.send_signal(signal.SIGKILL)
        for one in running:
            _, said = one.communicate(timeout=300)
            assert one.returncode == 0 or one is killed, said.decode()


def look(world: Path) -> int:
    """Heal, and see that all agree, nothing is lost, and every conflict is told; how many there are."""
    sites = [opened(world, name) for name in NAMES]
    try:
        for site in sites:
            site.clock.advance(days=30)  # type: ignore[attr-defined]
        all_agree(*sites)
        assert lost(*sites) == []
        for site in sites:
            # Every value that is left beside another one of its group is in the report.
            states = site.catalog.rows("SELECT document_id, contested, state FROM records WHERE state IS NOT NULL")  # type: ignore[attr-defined]
            told = {one.document_id for one in site.catalog.contests()}
            for document, flag, _ in states:
                assert (document in told) == bool(flag)
            for contest in site.catalog.contests():
                assert contested(contest.record)
            kinds = {one.code for one in audit(site).findings if one.severity == "error"}
            assert kinds == set(), kinds
        return len(sites[0].catalog.contests())
    finally:
        for site in sites:
            site.close()


def test_three_processes_converge(tmp_path: Path) -> None:
    """A short play: edits, deletions, holds, garbage collected at once, splits, a kill."""
    begin(tmp_path, catalogs={})
    play(tmp_path, seed=7, rounds=2, steps=25)
    look(tmp_path)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(6))
def test_many_plays_converge(seed: int, tmp_path: Path, pg: Server) -> None:
    """The same for longer, with one catalog on a server in every second; looked at in between as well."""
    urls = {"north": pg.database()} if seed % 2 else {}
    begin(tmp_path, catalogs=urls)
    found = 0
    for number in range(4):
        play(tmp_path, seed=100 * seed + number, rounds=3, steps=40)
        found += look(tmp_path)
    assert found
    for url in urls.values():
        pg.drop(url)

"""The same race on a PostgreSQL catalog, where takers write beside one another; and its server killed in the middle."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests import pg as servers
from tests.stress import racing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pg import Server

SECONDS = 4


@pytest.fixture
def catalog(pg: Server, pg_template: str) -> Iterator[str]:
    """The address of an empty catalog."""
    url = pg.database(pg_template)
    yield url
    pg.drop(url)


def test_threads_lose_nothing(catalog: str, tmp_path: Path) -> None:
    """Ingest, forget, collect, purge, verify and move at once, each with a pool of its own."""
    counts = racing.threads(tmp_path, "cas", "short", SECONDS, catalog=catalog)
    assert counts.keys() == set(racing.ROLES)
    assert all(counts.values()), counts


@pytest.mark.parametrize(("layout", "kill"), [("cas", False), ("policy", True)])
def test_processes_lose_nothing(layout: str, kill: bool, catalog: str, tmp_path: Path) -> None:
    """The same among processes, also when some are killed at any moment: no deadlock and no race reaches anybody."""
    kills = racing.processes(tmp_path, layout, "short", SECONDS, kill=kill, catalog=catalog)
    assert (kills > 0) == kill


def _with_kills(top: Path, seconds: float, every: float) -> int:
    """The race in processes that begin again where the server was away for too long; how often it was killed."""
    # Nothing waits for the disk, but what was committed must be out of the server's hands before it is killed.
    server, kills = servers.launch(synchronous_commit="on"), 0
    try:
        home = racing.start(top, "cas", catalog=server.database())
        command = [sys.executable, "-m", "tests.stress.racing"]

        def child(role: str) -> subprocess.Popen[str]:
            words = [*command, role, str(home), f"kill {kills}"]
            pipe = subprocess.PIPE
            return subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=racing.ROOT)

        running = {role: child(role) for role in racing.ROLES}
        end = time.monotonic() + seconds
        while time.monotonic() < end or not kills:
            time.sleep(every)
            server.kill()
            kills += 1
            server.start()
            for role, one in running.items():
                if one.poll() is not None:
                    _, said = one.communicate()
                    # What cannot be done anew behind its back, such as a batch of a plan, is told in words.
                    assert "AssertionError" not in said, said
                    assert any(words in said for words in ("try again", "run it again", "cannot be opened")), said
                    running[role] = child(role)
        for one in running.values():
            assert "AssertionError" not in one.communicate()[1]
        # Who ended between a removal and its record, for which the server was away, is like one that was killed.
        racing.check(home, killed=True)
    finally:
        server.stop()
    return kills


def test_a_server_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """Killed and started again in the middle of everything: whoever was half way was undone, nothing is lost."""
    assert _with_kills(tmp_path, seconds=4, every=2) >= 1


@pytest.mark.stress
@pytest.mark.timeout(1800)
def test_minutes_of_it(tmp_path: Path, pg: Server, pg_template: str) -> None:
    """For minutes: processes alone, some killed, and the server killed every few seconds."""
    for layout, kill in (("cas", False), ("policy", True)):
        url = pg.database(pg_template)
        racing.processes(tmp_path / layout, layout, "long", 90, kill=kill, catalog=url)
        pg.drop(url)
    assert _with_kills(tmp_path / "kills", seconds=90, every=5) > 5

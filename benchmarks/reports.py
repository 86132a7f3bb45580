"""Reports over a large catalog, end to end, beside stock papermill and nbconvert on the same notebook.

Each report runs as a user runs it, kernel included: first where there is no mirror yet, then with one that is up to
date, then after one document in a hundred changed. The peer runs the same notebook on the same catalog and makes a page
of it; it gets the same figures from the same mirror, so what is compared is all the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.catalogs import LATER, ask_again, catalog, change, look_inside
from benchmarks.corpus import wipe
from benchmarks.race import Contender, Race, Untrue, once, race

COUNT: Final = 1_000_000
QUICK_COUNT: Final = 100_000
REPORTS: Final = (
    "storage_overview", "dedup_analytics", "verification_coverage", "eviction_scoring", "gc_review", "content_quality",
    "retention_review", "tenant_billing", "migration_review", "audit_report",
)  # fmt: skip
# Those that tell more once there is more to tell: what is inside contents, who asked for documents.
TOLD: Final = {
    "content_quality": ("contents looked into", look_inside), "eviction_scoring": ("with an access log", ask_again),
}  # fmt: skip
PAGE_LIMIT: Final = 1_000_000
# By the size of the catalog: CPU seconds that a report may take, from the command to the page.
LIMITS: Final = {1_000_000: 5.0, 10_000_000: 15.0}
STOCK: Final = (
    "import sys, subprocess; notebook, done, *values = sys.argv[1:];"
    "run = lambda *words: subprocess.run([sys.executable, '-m', *words], check=True, capture_output=True);"
    "run('papermill', notebook, done, *values); run('nbconvert', '--to', 'html', done); print('done')"
)


def run(bench: Bench, count: int | None = None) -> Iterator[Race]:
    """The first report, each report again, and one after changes."""
    count = count or bench.count or (QUICK_COUNT if bench.quick else COUNT)
    rounds = min(bench.rounds, 3)
    home = catalog(bench, count)
    pages = bench.scratch()
    limit = LIMITS.get(count, LIMITS[10_000_000])

    anew = _report(home, pages, REPORTS[0], "the first report, which makes the mirror", partial(wipe, home / "mirror"))
    yield race("the first report", [anew], rounds=1, watch=False, documents=count)
    for name in REPORTS:
        yield _raced(home, pages, name, name, rounds, count, limit)
    for name, (more, tell) in TOLD.items():
        tell(home)
        yield _raced(home, pages, name, f"{name}, {more}", rounds, count, limit)
    changed = _report(home, pages, REPORTS[0], "after 1 % changed", partial(change, home))
    result = race("a report after changes", [changed], rounds=rounds, documents=count)
    result.expect_less("cpu", limit, f"{REPORTS[0]} after 1 % changed: less than {limit:.0f} s of CPU")
    yield result


def _raced(home: Path, pages: Path, name: str, title: str, rounds: int, count: int, limit: float) -> Race:
    mine, stock = _report(home, pages, name, f"catalogkit report {name}"), _stock(home, pages, name)
    once(mine)
    result = race(title, [mine, stock], rounds=rounds, documents=count)
    result.expect_less("cpu", limit, f"{title}: less than {limit:.0f} s of CPU")
    result.expect_speed(stock.name, 1.0, f"{title}: no slower than papermill and nbconvert")
    return result


def _report(home: Path, pages: Path, name: str, title: str, prepare: partial[None] | None = None) -> Contender:
    words = ["report", name, "-o", str(pages), "-p", f"as_of={LATER.isoformat()}"]
    return Contender(title, ours.command(home, *words), _small, prepare or partial(int), ours.ENV)


def _small(out: str) -> None:
    page = Path(ours.answer(out)["html"])
    if not 10_000 < page.stat().st_size < PAGE_LIMIT:
        raise Untrue(f"the page has {page.stat().st_size:,} bytes")


def _stock(home: Path, pages: Path, name: str) -> Contender:
    notebook, done = ours.ROOT / "notebooks" / f"{name}.ipynb", pages / f"{name}.ipynb"
    values = ["-p", "collection", str(home), "-p", "as_of", LATER.isoformat()]
    argv = [sys.executable, "-c", STOCK, str(notebook), str(done), *values]
    return Contender(f"papermill and nbconvert, {name}", argv, _done, env=ours.ENV)


def _done(out: str) -> None:
    if "done" not in out:
        raise Untrue("it did not come to its end")

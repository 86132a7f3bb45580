"""One run of each report for all tests here, in whatever process they run, and a browser that reaches nothing."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest

from catalogkit.display import PLOTLY_MIME
from catalogkit.reports import ReportResult, run_report

ROOT = Path(__file__).parents[2]
LIGHT = ROOT / "tests" / "light"  # what Jupyter's tools load is less with it
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all processes that run these tests."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "notebooks"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def surroundings(shared: Path) -> Iterator[None]:
    """A kernel finds the package here, and keeps its demo in a folder that goes away."""
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(ROOT), str(LIGHT), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
        yield


@pytest.fixture(scope="session")
def scratch(shared: Path) -> Path:
    """Where what `report_of` runs puts its temporary files."""
    (shared / "tmp").mkdir(exist_ok=True)
    return shared / "tmp"


@pytest.fixture(scope="session")
def report_of(surroundings: None, shared: Path, scratch: Path) -> Callable[[str], ReportResult]:
    """A report by its name, run once with no parameters: on the demo, by whoever asks first."""

    @cache
    def make(name: str) -> ReportResult:
        known = shared / f"{name}.json"
        with known.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not known.exists():
                with pytest.MonkeyPatch.context() as patch:
                    patch.setenv("TMPDIR", str(scratch))
                    made = run_report(name, {}, shared / "reports", as_of=AS_OF)
                known.write_text(json.dumps([str(made.html), str(made.ipynb), str(made.json), made.seconds]))
        *paths, seconds = json.loads(known.read_text())
        return ReportResult(*map(Path, paths), seconds)

    return make


@pytest.fixture(scope="session")
def report(report_of: Callable[[str], ReportResult]) -> ReportResult:
    """``dedup_analytics``."""
    return report_of("dedup_analytics")


class Page:
    """A page that was opened, with everything it asked for and complained about."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.refused: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda request: self.refused.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def open(self, path: Path, *, drawn: bool = True) -> None:
        self.page.goto(path.as_uri())
        if drawn:
            self.page.locator("html[data-drawn]").wait_for(state="attached", timeout=60_000)

    def types(self) -> list[list[str]]:
        """The trace types of each chart, as drawn: an unknown type would turn up as a scatter."""
        found: list[list[str]] = self.page.evaluate(
            "[...document.querySelectorAll('.ck-plot')].map(plot => (plot._fullData ?? []).map(trace => trace.type))"
        )
        return found


def figures(report: ReportResult) -> dict[str, Any]:
    """The figures that a report recorded, by name."""
    found: dict[str, Any] = json.loads(report.json.read_text())["figures"]
    return found


def outputs(notebook: Path) -> list[Any]:
    """All that the cells of a notebook put out, in order."""
    return [output for cell in nbformat.read(notebook, 4).cells for output in cell.get("outputs", ())]


def complaints(report: ReportResult) -> list[Any]:
    """What a report put out that is no part of it: errors, and lines written to a stream."""
    return [output for output in outputs(report.ipynb) if output.output_type in ("error", "stream")]


def titles_of(notebook: Path) -> list[str]:
    """The titles of the figures that a notebook that ran has, in order."""
    return [output.metadata.catalogkit.title for output in outputs(notebook) if PLOTLY_MIME in output.get("data", {})]


def pictures_of(page: Any, within: str = "body") -> list[str]:
    """The titles of the still pictures that can be seen in a page: each is large, and has marks with some colour."""
    found: list[str] = page.evaluate(
        """within => [...document.querySelectorAll(within + ' svg[role=img][aria-label]')].filter(picture => {
            const box = picture.getBoundingClientRect();
            const marks = [...picture.querySelectorAll('rect, polyline, circle')].filter(mark => {
                const paint = mark.getAttribute('fill') + mark.getAttribute('stroke');
                return paint.includes('#') && mark.getBoundingClientRect().width > 0;
            });
            return picture.checkVisibility() && box.width > 300 && box.height > 80 && marks.length;
        }).map(picture => picture.getAttribute('aria-label'))""",
        within,
    )
    return found


def violations(page: Any) -> list[str]:
    """What axe-core finds wrong with the accessibility of a page as it is now: the rule, and where."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:150]}" for one in found for node in one["nodes"]]


@pytest.fixture(scope="module")  # its driver keeps an event loop running in this thread, in the way of later tests
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("no Chromium is installed; `make test` installs one")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    arguments += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: Any) -> Iterator[Callable[..., Page]]:
    contexts = []

    def new(**options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        context.route(lambda url: not url.startswith(("file:", "data:", "blob:")), lambda route: route.abort())
        return Page(context.new_page())

    yield new
    for context in contexts:
        context.close()

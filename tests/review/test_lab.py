"""The review in a real JupyterLab: what a person sees, clicks, saves and finds again."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import nbformat
import pytest

from catalogkit.approval import Approval
from catalogkit.collection import open_collection
from catalogkit.plan import Plan

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
NOTEBOOK = "gc_review.ipynb"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage")
SILENT = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
IDLE = "() => window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel?.status === 'idle'"


class Lab:
    """A JupyterLab with the review notebook, a browser that reaches nothing else, and where its demo lies."""

    def __init__(self, url: str, folder: Path, cache: Path, browser: Any) -> None:
        self.url, self.folder, self.cache, self.browser = url, folder, cache, browser
        self.strangers: list[str] = []

    def open(self) -> Any:
        context = self.browser.new_context(viewport={"width": 1280, "height": 1100})
        context.route(lambda url: not self._near(url), self._refuse)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{self.url}/lab/tree/{NOTEBOOK}?reset")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.wait_for_function(IDLE)
        return page

    def _near(self, url: str) -> bool:
        return url.startswith((self.url, self.url.replace("http", "ws"), "data:", "blob:", "about:"))

    def _refuse(self, route: Any) -> None:
        self.strangers.append(route.request.url)
        route.abort()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One server and one browser for the tests here."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "these tests need a Chromium on PATH"
    home = tmp_path_factory.mktemp("lab")
    folder, cache = home / "notebooks", home / "cache"
    folder.mkdir()
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, folder)
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    places |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces", "HOME": "home"}
    env = os.environ | {name: str(home / place) for name, place in places.items()}
    env |= {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT), "JUPYTER_PLATFORM_DIRS": "1"}
    env.pop("CATALOGKIT_HOME", None)
    (home / "home").mkdir()
    options = ["--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    options += ["--IdentityProvider.token=", "--ServerApp.allow_root=True", f"--ServerApp.root_dir={folder}"]
    options += ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"]
    options += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env=env, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(url, server, home / "log")
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *SILENT])
            yield Lab(url, folder, cache, browser)
            browser.close()
    finally:
        server.terminate()
        server.wait(30)


def _wait_until_it_answers(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    patience = 240
    while patience and server.poll() is None:
        try:
            with urlopen(f"{url}/api", timeout=5):
                return
        except OSError:
            patience -= 1
            with pytest.raises(subprocess.TimeoutExpired):
                server.wait(0.5)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def picture(page: Any, name: str) -> None:
    """Keep a picture where somebody asked for one."""
    if folder := os.environ.get("CATALOGKIT_PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def cells(page: Any) -> int:
    return int(page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length"))


def test_review_approve_apply_and_find_the_receipt_again(lab: Lab) -> None:
    """Filter, leave out, approve, apply in a live notebook; the saved notebook, reopened, still has the receipt."""
    page = lab.open()
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    face = page.locator(".ck-review")
    face.scroll_into_view_if_needed()
    text = page.get_by_text
    assert face.get_by_role("listitem").filter(has_text="1 Draft").get_attribute("aria-current") == "step"
    face.locator(".ck-row[aria-selected]").first.wait_for()
    assert face.get_by_role("grid").get_attribute("aria-rowcount") == "9"
    picture(page, "draft")

    filters = face.get_by_role("textbox", name="Filter")
    filters.fill("resolver = ")
    filters.press("Enter")
    face.get_by_role("alert").filter(has_text="not a condition").wait_for()
    filters.fill("resolver = 'crossref'")
    filters.press("Enter")
    text("3 rows fit").wait_for()
    face.get_by_role("button", name="Leave out 3 that fit").click()
    text("5 of 8", exact=True).wait_for()
    filters.press("Escape")
    text("8 rows fit").wait_for()

    # Keys that mean something to JupyterLab stay inside: B would insert a cell above.
    before = cells(page)
    grid = face.get_by_role("grid")
    grid.focus()
    for key in ("b", "ArrowDown", " "):
        page.keyboard.press(key)
    text("4 of 8", exact=True).wait_for()
    assert cells(page) == before
    page.keyboard.press("Enter")
    face.get_by_text("no document refers to these bytes any more").first.wait_for()
    face.get_by_text("now: nothing has referred to it").wait_for()
    picture(page, "why")
    page.keyboard.press("Escape")

    approve = face.get_by_role("button", name="Approve", exact=True)
    typed = face.get_by_role("textbox", name="To approve, type CONDEMN 4")
    typed.fill("CONDEMN 5")
    assert approve.is_disabled()
    typed.fill("CONDEMN 4")
    approve.click()
    apply = face.get_by_role("button", name="Apply: CONDEMN 4")
    apply.wait_for()
    [home] = (lab.cache / "catalogkit").glob("demo-*/plans/*/approval.json")
    plan, approval = Plan.load(home.parent), Approval.load(home.parent)
    assert approval is not None
    assert len(approval.units(plan)) == 4
    picture(page, "approved")

    apply.dblclick()
    receipt = page.locator(".ck-receipt")
    receipt.wait_for()
    page.locator(".ck-review-form").get_by_text("Applied.", exact=True).wait_for()
    receipt.scroll_into_view_if_needed()
    picture(page, "applied")
    with open_collection(home.parents[2]) as collection:
        [row] = collection.catalog.plans()
        assert (row.id, row.done, row.skipped, row.failed) == (plan.id, 4, 0, 0)
        assert collection.frame("blobs").filter(state="condemned").height == 4

    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    saved = nbformat.read(lab.folder / NOTEBOOK, 4)
    assert "ck-receipt" in json.dumps(saved.cells[-2].outputs)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
    page.context.close()
    page = lab.open()
    receipt = page.locator(".ck-receipt")
    receipt.scroll_into_view_if_needed()
    assert receipt.get_by_text(f"catalogkit plan undo {plan.id[:12]}").is_visible()
    assert page.locator(".ck-review-form").count() == 1, "no dead widget is left behind"
    picture(page, "reopened")
    page.context.close()
    assert lab.strangers == []

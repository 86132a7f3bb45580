"""A report in a real browser: every chart is drawn, no address is asked, nothing is complained of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import plotly.graph_objects as go
import polars as pl
import pytest

from catalogkit.display import PLOTLY_MIME, TRACES, Chart, Table
from catalogkit.html import to_html
from catalogkit.reports import ReportResult, list_reports
from tests.notebooks.conftest import pictures_of, titles_of, violations

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=x onerror=alert(1)><script>alert(2)</script>"


def asked_for(path: Path) -> list[list[str]]:
    return [
        [trace["type"] for trace in output.data[PLOTLY_MIME]["data"]]
        for cell in nbformat.read(path, 4).cells
        for output in cell.get("outputs", ())
        if PLOTLY_MIME in output.get("data", {})
    ]


@pytest.mark.parametrize("width", [1280, 390])
def test_every_chart_is_drawn_on_a_dark_screen(new_page: Callable[..., Any], report: ReportResult, width: int) -> None:
    """From the beginning, at both widths."""
    opened = new_page(color_scheme="dark", viewport={"width": width, "height": 900}, is_mobile=width < 500)
    is_whole(opened, report, width)
    assert brightness(opened) > 128


@pytest.mark.parametrize("name", list_reports())
def test_every_report_is_whole_offline(
    new_page: Callable[..., Any], report_of: Callable[[str], ReportResult], name: str
) -> None:
    """Each report is one page below a megabyte that asks nobody, draws all it has, and cuts off no label.

    axe-core has nothing to say against it in either scheme, its numbers open; a change of scheme recolours its charts;
    and what prints is whole. All that is asked of a page that was opened once, since opening it is what takes long.
    """
    made = report_of(name)
    assert made.html.stat().st_size < 1_000_000
    sizes = [len(json.dumps(cell.outputs)) for cell in nbformat.read(made.ipynb, 4).cells if "outputs" in cell]
    assert max(sizes) < 200_000
    phone = new_page(viewport={"width": 390, "height": 900}, is_mobile=True)
    is_whole(phone, made, 390)
    assert cut_off(phone) == []

    opened = new_page(color_scheme="light", viewport={"width": 1280, "height": 900})
    is_whole(opened, made, 1280)
    assert cut_off(opened) == []
    assert brightness(opened) < 128
    opened.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert violations(opened.page) == []
    opened.page.emulate_media(color_scheme="dark")
    opened.page.wait_for_function(f"() => ({INKS})().every(ink => ink > 128)", timeout=30_000)
    assert violations(opened.page) == []
    opened.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = false)")
    prints_whole(opened, made)
    assert opened.complaints == []


def test_the_index_is_accessible(new_page: Callable[..., Any], report_of: Callable[[str], ReportResult]) -> None:
    """axe-core has nothing to say against the page in front of the reports."""
    for scheme in ("light", "dark"):
        opened = new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
        opened.open(report_of("storage_overview").html.parents[1] / "index.html", drawn=False)
        assert violations(opened.page) == []


# The brightness of the first label of each chart, from 0 to 255.
INKS = """() => [...document.querySelectorAll('.ck-plot')].flatMap(plot => {
    const label = [...plot.querySelectorAll('.ytick text, .xtick text')].find(one => one.textContent.trim());
    const parts = label ? getComputedStyle(label).fill.match(/\\d+/g).slice(0, 3).map(Number) : [];
    return parts.length ? [parts.reduce((sum, part) => sum + part) / 3] : [];
})"""


def brightness(opened: Any) -> float:
    """How bright the labels of a page's charts are, from 0 to 255."""
    inks: list[float] = opened.page.evaluate(INKS)
    return sum(inks) / len(inks)


def is_whole(opened: Any, report: ReportResult, width: int) -> None:
    """Nothing was asked for but the page, nothing complained of, every chart drawn, nothing sticks out."""
    opened.open(report.html)
    assert opened.requests == [report.html.as_uri()]
    assert opened.complaints == []
    assert opened.types() == asked_for(report.ipynb)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert not opened.page.locator(".ck-picture").first.is_visible()


def prints_whole(opened: Any, report: ReportResult) -> None:
    """On paper every chart is a picture in dark ink, from a dark screen, too; nothing is wider than the sheet."""
    opened.page.set_viewport_size({"width": 688, "height": 1000})  # what A4 leaves between margins
    opened.page.emulate_media(media="print")
    assert pictures_of(opened.page) == titles_of(report.ipynb)
    assert not opened.page.locator(".ck-plot").first.is_visible()
    ink = opened.page.locator(".ck-picture text").first.evaluate("text => getComputedStyle(text).color")
    assert sum(map(int, ink[4:-1].split(","))) < 200
    wide: list[str] = opened.page.evaluate(
        """[...document.querySelectorAll('main *')]
            .filter(one => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1)
            .map(one => one.outerHTML.slice(0, 200))"""
    )
    assert wide == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 688
    assert opened.page.pdf(format="A4").startswith(b"%PDF")


def cut_off(opened: Any) -> list[str]:
    """The labels of charts that reach beyond their chart."""
    found: list[str] = opened.page.evaluate(
        """[...document.querySelectorAll('.ck-plot')].flatMap(plot => {
            const frame = plot.getBoundingClientRect();
            return [...plot.querySelectorAll('.main-svg text')].filter(text => {
                const box = text.getBoundingClientRect();
                const out = box.left < frame.left - 1 || box.right > frame.right + 1;
                return out && box.width && text.textContent.trim();
            }).map(text => text.textContent);
        })"""
    )
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_javascript_every_chart_is_a_picture(
    new_page: Callable[..., Any], report: ReportResult, scheme: str
) -> None:
    """In the inks of the page, with the numbers a click away."""
    opened = new_page(java_script_enabled=False, color_scheme=scheme)
    opened.open(report.html, drawn=False)
    assert pictures_of(opened.page) == titles_of(report.ipynb)
    assert opened.page.locator(".ck-chart details table").count() == len(titles_of(report.ipynb))
    ink = opened.page.locator(".ck-picture text").first.evaluate("text => getComputedStyle(text).color")
    assert (sum(map(int, ink[4:-1].split(","))) > 384) == (scheme == "dark")
    assert not opened.page.locator("#code-toggle").is_visible()


def test_the_code_is_shown_on_request(new_page: Callable[..., Any], report: ReportResult) -> None:
    opened = new_page()
    opened.open(report.html)
    code = opened.page.locator("pre.code").first
    assert not code.is_visible()
    opened.page.locator("#code-toggle").click()
    assert code.is_visible()


def test_tables_sort_and_copy_exact_sizes(new_page: Callable[..., Any], tmp_path: Path) -> None:
    """Sizes are shown in units and sorted as numbers; whoever hovers or copies gets every digit."""
    sizes = [999_499, 1_000_000, 2, None, 30_000]
    frame = pl.DataFrame(
        {"what": ["b", "a", "<c>", "d", "e"], "size_bytes": sizes, "share": [0.1, 0.02, None, 1.0, 0.5]}
    )
    cell = nbformat.v4.new_code_cell("")
    cell.outputs = [nbformat.v4.new_output("display_data", data=Table(frame)._repr_mimebundle_())]
    (tmp_path / "table.html").write_text(to_html(nbformat.v4.new_notebook(cells=[cell])))
    opened = new_page()
    opened.open(tmp_path / "table.html", drawn=False)
    table = opened.page.locator("table.ck-table").first

    def column(number: int) -> list[str]:
        return table.locator(f"tbody td:nth-child({number})").all_inner_texts()

    assert column(2) == ["999 kB", "1.00 MB", "2 B", "", "30.0 kB"]
    assert table.locator("data").first.get_attribute("title") == "999,499 bytes"
    head = table.locator("th").nth(1)
    head.locator("button").click()
    assert column(2) == ["1.00 MB", "999 kB", "30.0 kB", "2 B", ""] and head.get_attribute("aria-sort") == "descending"
    head.locator("button").click()
    assert column(2) == ["2 B", "30.0 kB", "999 kB", "1.00 MB", ""] and head.get_attribute("aria-sort") == "ascending"
    table.locator("th button").nth(2).press("Enter")
    assert column(3) == ["100 %", "50.0 %", "10.0 %", "2.0 %", ""] and not head.get_attribute("aria-sort")
    table.locator("th button").first.click()
    assert column(1) == ["<c>", "a", "b", "d", "e"]
    copied: str = opened.page.evaluate(
        """() => new Promise(done => {
            getSelection().selectAllChildren(document.querySelector('table.ck-table'));
            addEventListener('copy', event => done(event.clipboardData.getData('text/plain')));
            document.execCommand('copy');
        })"""
    )
    assert copied.split("\n")[:3] == ["what\tsize bytes\tshare", "<c>\t2\t", "a\t1000000\t2.0 %"]
    assert violations(opened.page) == [] and opened.complaints == []


def hostile_page(path: Path) -> Path:
    traces = [
        go.Bar(x=[HOSTILE], y=[1], text=[HOSTILE], name=HOSTILE),
        go.Scatter(x=[1], y=[1], text=[f"<a href='javascript:alert(3)'>{HOSTILE}</a>"], mode="text"),
        go.Heatmap(z=[[1]], x=[HOSTILE], text=[[HOSTILE]], texttemplate="%{text}"),
        go.Treemap(labels=[HOSTILE], parents=[""], values=[1]),
    ]
    assert {trace.type for trace in traces} == TRACES
    cells = [nbformat.v4.new_markdown_cell(f"# {HOSTILE}")]
    for trace in traces:
        chart = Chart(go.Figure(trace), HOSTILE, HOSTILE, pl.DataFrame({HOSTILE: [HOSTILE]}))
        data, about = chart._repr_mimebundle_()
        cell = nbformat.v4.new_code_cell(HOSTILE)
        cell.outputs = [nbformat.v4.new_output("display_data", data=data, metadata=about)]
        cells.append(cell)
    cells.append(
        nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("display_data", data={"text/html": HOSTILE})])
    )
    path.write_text(to_html(nbformat.v4.new_notebook(cells=cells)))
    return path


def test_every_trace_type_is_drawn_and_hostile_names_do_nothing(new_page: Callable[..., Any], tmp_path: Path) -> None:
    opened = new_page()
    opened.open(hostile_page(tmp_path / "hostile.html"))
    assert {types[0] for types in opened.types()} == TRACES
    assert opened.page.locator(".ck-plot img, .ck-plot script").count() == 0
    # The last cell holds raw HTML that tries to run and to load: the page's policy stops both, and says so.
    assert not [complaint for complaint in opened.complaints if complaint.startswith("dialog")]
    assert all("Content Security Policy" in complaint for complaint in opened.complaints)
    assert opened.refused == opened.requests[1:]


def test_a_chart_that_cannot_be_drawn_says_so_and_stays_a_picture(new_page: Callable[..., Any], tmp_path: Path) -> None:
    page = hostile_page(tmp_path / "broken.html")
    text = page.read_text()
    start = text.index('id="plotly">') + len('id="plotly">')
    page.write_text(text[:start] + "AAAA" + text[start + 4 :])
    opened = new_page()
    opened.page.goto(page.as_uri())
    opened.page.locator(".ck-failed").first.wait_for()
    assert opened.page.locator(".ck-failed").count() == len(TRACES)
    assert opened.page.locator(".ck-picture svg").first.is_visible()

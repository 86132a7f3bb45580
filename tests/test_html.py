"""The page of a report: small, whole, and deaf to whatever the catalog's names try."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import nbformat
import plotly.graph_objects as go
import polars as pl
import pytest

from catalogkit.display import TRACES, Cards, Chart, record
from catalogkit.html import PLOTLY, to_html

HOSTILE = "</script><img src=x onerror=alert(1)><script>alert(2)</script> & {nonce} {body}"
MADE = {"catalog": "f" * 32, "as of": "2026-01-01 00:00:00 UTC", "ran in": "3.0 s", "versions": "x 1"}


def page_of(*shown: Any, metadata: dict[str, Any] | None = None, text: str = "# Title\n\nWords.") -> str:
    cells = [nbformat.v4.new_markdown_cell(text)]
    for one in shown:
        bundle = one._repr_mimebundle_()
        data, about = bundle if isinstance(bundle, tuple) else (bundle, {})
        cell = nbformat.v4.new_code_cell("display.Thing()")
        cell.outputs = [nbformat.v4.new_output("display_data", data=data, metadata=about)]
        cells.append(cell)
    return to_html(nbformat.v4.new_notebook(cells=cells, metadata={"catalogkit": metadata or {}}))


def chart(text: str = "Bytes") -> Chart:
    figure = go.Figure(data=[go.Bar(x=[text], y=[3])], layout={"height": 300, "margin": {"t": 20}})
    return Chart(figure, text, text, pl.DataFrame({"name": [text], "bytes": [3]}))


class Tags(HTMLParser):
    """Collects elements with their attributes and, of scripts, the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts.append(data)


def test_the_bundle_is_the_one_that_the_readme_describes() -> None:
    folder = resources.files("catalogkit").joinpath("static")
    packed, readme = folder.joinpath(PLOTLY).read_bytes(), folder.joinpath("README.md").read_text()
    script = gzip.decompress(packed)
    assert hashlib.sha256(packed).hexdigest() in readme
    assert hashlib.sha256(script).hexdigest() in readme
    assert packed[4:8] == bytes(4)  # no time in the gzip header
    assert all(trace in readme for trace in TRACES)
    entry = folder.joinpath("plotly-entry.js").read_text()
    assert {"scatter", *re.findall(r"plotly\.js/lib/(\w+)", entry)} - {"core"} == TRACES
    assert not re.search(rb"\beval\(|new Function\b", script)


def test_the_bundle_is_the_plotly_that_draws_in_python() -> None:
    from plotly.offline import get_plotlyjs_version

    assert f"plotly-{get_plotlyjs_version()}.min.js.gz" == PLOTLY


def test_a_page_with_a_chart_is_small_and_carries_the_script_once() -> None:
    page = page_of(chart(), chart(), chart())
    assert len(page.encode()) < 700_000
    assert page.count('id="plotly"') == 1
    packed = page.split('id="plotly">')[1].split("<")[0]
    assert gzip.decompress(base64.b64decode(packed)).startswith(b'"use strict";var Plotly=')


def test_a_page_without_charts_does_not_carry_the_script() -> None:
    assert len(page_of(Cards([("a", "b", "c")])).encode()) < 20_000


def test_nothing_is_loaded_from_anywhere() -> None:
    tags = Tags(page_of(chart(), Cards([("a", "b", "c")]), metadata={"made": MADE})).found
    for tag, attributes in tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        for name in ("src", "srcset", "data", "poster", "action"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(a["content"] for t, a in tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'; script-src 'nonce-")


def test_hostile_text_stays_text() -> None:
    metadata = {
        "report": HOSTILE,
        "parameters": {HOSTILE: HOSTILE},
        "made": {**MADE, "catalog": HOSTILE, HOSTILE: HOSTILE},
    }
    page = page_of(chart(HOSTILE), Cards([(HOSTILE,) * 3]), metadata=metadata, text=f"# {HOSTILE}\n\n## {HOSTILE}\n")
    tags = Tags(page)
    assert not [tag for tag, _ in tags.found if tag == "img"]
    assert not [name for _, attributes in tags.found for name in attributes if name.startswith("on")]
    scripts = [attributes for tag, attributes in tags.found if tag == "script"]
    assert [s.get("type", "script") for s in scripts] == ["application/json", "application/octet-stream", "script"]
    figure = json.loads(tags.scripts[0])
    assert figure["data"][0]["x"] == [HOSTILE]


def test_a_chart_is_followed_by_its_numbers_and_loses_its_inner_title() -> None:
    page = page_of(chart())
    place = '<div class="ck-plot" id="chart-1" role="figure" aria-label="Bytes"></div>'
    assert re.search(place + '<div class="ck-picture"><svg .*</svg></div><details>', page)
    figure = json.loads(Tags(page).scripts[0])
    assert "title" not in figure["layout"]
    assert (figure["layout"]["height"], figure["layout"]["margin"]["t"]) == (300, 20)


def test_a_figure_of_another_making_keeps_its_title() -> None:
    cell = nbformat.v4.new_code_cell("fig")
    plain = json.loads(go.Figure(data=[go.Bar(y=[1])], layout={"title": "Own"}).to_json())
    cell.outputs = [nbformat.v4.new_output("display_data", data={"application/vnd.plotly.v1+json": plain})]
    figure = json.loads(Tags(to_html(nbformat.v4.new_notebook(cells=[cell]))).scripts[0])
    assert figure["layout"]["title"]["text"] == "Own"


def test_the_notebook_is_not_changed() -> None:
    cell = nbformat.v4.new_code_cell("x")
    data, about = chart()._repr_mimebundle_()
    cell.outputs = [nbformat.v4.new_output("display_data", data=data, metadata=about)]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    before = json.dumps(notebook)
    assert to_html(notebook) == to_html(notebook)
    assert json.dumps(notebook) == before


def test_code_is_there_but_hidden_and_errors_are_shown() -> None:
    good, bad = nbformat.v4.new_code_cell("secret = 1"), nbformat.v4.new_code_cell("boom()")
    good.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="said <b>\n"),
        nbformat.v4.new_output("execute_result", data={"text/plain": "plain <i>"}),
    ]
    bad.outputs = [
        nbformat.v4.new_output("error", ename="ValueError", evalue="<oops>", traceback=["\x1b[31mline 1\x1b[0m"])
    ]
    marker = nbformat.v4.new_markdown_cell("An Exception was", metadata={"tags": ["papermill-error-cell-tag"]})
    page = to_html(nbformat.v4.new_notebook(cells=[marker, good, bad]))
    assert '<pre class="code"><code>secret = 1</code></pre>' in page
    assert ".code { display: none; }" in page
    assert '<pre class="stdout">said &lt;b&gt;' in page
    assert "<pre>plain &lt;i&gt;</pre>" in page
    assert "<strong>ValueError</strong>: &lt;oops&gt;" in page
    assert "<pre>line 1</pre>" in page
    assert "An Exception was" not in page


def test_title_origin_and_sections_are_there() -> None:
    page = page_of(
        metadata={"parameters": {"top": 5}, "made": MADE}, text="# The `title` & more\n\n## One\n\n## Two\n\n## Three"
    )
    assert "<title>The title &amp; more</title>" in page
    assert "catalog <b>ffffffff</b>" in page
    assert '<th scope="row">top</th><td>5</td>' in page
    assert re.findall(r'<a href="#(section-\d)">(\w+)</a>', page) == [
        ("section-1", "One"),
        ("section-2", "Two"),
        ("section-3", "Three"),
    ]
    assert "<title>gc_plan</title>" in page_of(metadata={"report": "gc_plan"}, text="no heading")


def test_recorded_figures_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs: list[Any] = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, raw: outputs.append(nbformat.v4.new_output("display_data", data=data))
    )
    record(documents=3)
    cell = nbformat.v4.new_code_cell("")
    cell.outputs = outputs
    assert "recorded:" not in to_html(nbformat.v4.new_notebook(cells=[cell]))

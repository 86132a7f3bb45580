"""Turns a notebook that has run into one HTML page, with every chart in it and nothing loaded from elsewhere.

plotly.js travels inside the page, gzipped; a short script unpacks it in the browser. A content security policy lets no
other script run and no address be asked, whatever a title or an id in the catalog says. Without JavaScript, in the
time before it has run, and on paper, each chart is a still picture.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from copy import deepcopy
from functools import cache
from html import escape, unescape
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from catalogkit.display import FIGURES_MIME, PLOTLY_MIME, SCROLL, STYLE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["page_of", "to_html"]

PLOTLY: Final = "plotly-4.1.1.min.js.gz"
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
_TITLE: Final = re.compile(r"<h1>(.*?)</h1>", re.DOTALL)
_HEADING: Final = re.compile(r"<h2>(.*?)</h2>", re.DOTALL)
_STILL: Final = '<div class="ck-picture">'
_TAGS: Final = re.compile(r"<[^>]*>")
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'nonce-{nonce}'; \
style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="catalogkit">
<title>{title}</title>
{style}
<style>
{css}</style>
</head>
<body>
<main>
{body}
</main>
{scripts}
</body>
</html>
"""


def to_html(notebook: Mapping[str, Any]) -> str:
    """Write a notebook that has run as one page.

    Parameters
    ----------
    notebook
        The notebook as nbformat reads it. What ``metadata["catalogkit"]`` says (``report``, ``parameters``, ``made``)
        is shown as the page's origin.

    Returns
    -------
    str
        The page. Its code cells are hidden until the reader asks for them; errors are shown.
    """
    plots: list[str] = []
    content = "\n".join(text for cell in notebook["cells"] if (text := _cell(cell, plots)))
    about = notebook.get("metadata", {}).get("catalogkit", {})
    heading = _TITLE.search(content)
    title = unescape(_TAGS.sub("", heading[1])) if heading else about.get("report", "Report")
    if not heading:
        content = f"<h1>{escape(title)}</h1>\n{content}"
    content, links = _linked(content)
    lead, section, rest = content.partition("<h2 ")
    body = (
        f'<p class="eyebrow">catalogkit report</p>\n{lead}\n{_made(about)}\n{links}\n{section}{rest}\n{_origin(about)}'
    )
    scripts = "\n".join(plots) + (
        f'\n<script type="application/octet-stream" id="plotly">{_plotly()}</script>' if plots else ""
    )
    # The nonce covers the content, so nobody who wrote a part of the content can have known it.
    nonce = hashlib.sha256((body + "".join(plots)).encode()).hexdigest()[:32]
    scripts += f'\n<script nonce="{nonce}">\n{_static("report.js")}</script>'
    return _PAGE.format(
        title=escape(title), nonce=nonce, style=STYLE, css=_static("report.css"), body=body, scripts=scripts
    )


def page_of(title: str, body: str) -> str:
    """A page in the reports' style without charts: no script runs in it, and it asks no address.

    Parameters
    ----------
    title
        Text.
    body
        HTML.
    """
    return _PAGE.format(
        title=escape(title), nonce="none", style=STYLE, css=_static("report.css"), body=body, scripts=""
    )


# -- cells -------------------------------------------------------------------------------------------------------


def _cell(cell: Mapping[str, Any], plots: list[str]) -> str:
    source = "".join(cell["source"])
    if "papermill-error-cell-tag" in cell.get("metadata", {}).get("tags", ()):
        return ""  # papermill's pointers to the error; the page shows the error itself
    if cell["cell_type"] == "markdown":
        return _markdown(source)
    if cell["cell_type"] != "code":
        return ""
    code = f'<pre class="code"><code>{escape(source)}</code></pre>' if source.strip() else ""
    return code + "".join(_output(output, plots) for output in cell.get("outputs", ()))


def _output(output: Mapping[str, Any], plots: list[str]) -> str:
    kind = output["output_type"]
    if kind == "stream":
        return f'<pre class="{escape(output["name"])}">{escape(_ANSI.sub("", "".join(output["text"])))}</pre>'
    if kind == "error":
        trace = _ANSI.sub("", "\n".join(output["traceback"]))
        return (
            f'<div class="error" role="alert"><strong>{escape(output["ename"])}</strong>: {escape(output["evalue"])}'
            f"<details><summary>Where it happened</summary><pre>{escape(trace)}</pre></details></div>"
        )
    data = {mime: "".join(value) if isinstance(value, list) else value for mime, value in output["data"].items()}
    if PLOTLY_MIME in data:
        return _chart(data, output.get("metadata", {}).get("catalogkit", {}), plots)
    if FIGURES_MIME in data:
        return ""  # for the report's JSON file
    if "text/html" in data:
        return f"<div>{data['text/html'].replace(STYLE, '')}</div>"
    if "text/markdown" in data:
        return _markdown(data["text/markdown"])
    if "image/svg+xml" in data:  # inside an <img> no script in it runs
        return (
            f'<img alt="" src="data:image/svg+xml;base64,{base64.b64encode(data["image/svg+xml"].encode()).decode()}">'
        )
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{escape(data["image/png"])}">'
    return f"<pre>{escape(data['text/plain'])}</pre>" if "text/plain" in data else ""


def _chart(data: Mapping[str, Any], about: Mapping[str, Any], plots: list[str]) -> str:
    """A place for the figure, put before its still picture; the figure itself goes to the end of the page."""
    name = f"chart-{len(plots) + 1}"
    figure = {key: deepcopy(data[PLOTLY_MIME].get(key, {})) for key in ("data", "layout", "config")}
    layout = figure["layout"]
    if about:  # the page shows title and caption itself
        layout.pop("title", None)
        layout["height"] -= about["head_px"]
        layout["margin"]["t"] -= about["head_px"]
    layout.setdefault("height", 360)
    text = json.dumps(figure, separators=(",", ":"), ensure_ascii=False, sort_keys=True).replace("<", "\\u003c")
    plots.append(f'<script type="application/json" id="{name}-figure">{text}</script>')
    label = escape(about.get("title", "chart"))
    place = f'<div class="ck-plot" id="{name}" role="figure" aria-label="{label}"></div>'
    page: str = data.get("text/html", "").replace(STYLE, "")
    if about and _STILL in page:
        return page.replace(_STILL, place + _STILL, 1)
    return f'<div class="ck-chart">{place}</div>'


# -- around the cells --------------------------------------------------------------------------------------------


def _made(about: Mapping[str, Any]) -> str:
    """One line under the title: the facts a reader needs to trust the rest."""
    made = about.get("made", {})
    shown = {"catalog": made.get("catalog", "")[:8], "as of": made.get("as of"), "ran in": made.get("ran in")}
    facts = [f"<span>{name} <b>{escape(value)}</b></span>" for name, value in shown.items() if value]
    return f'<p class="made">{"".join(facts)}</p>' if facts else ""


def _origin(about: Mapping[str, Any]) -> str:
    parameters = {name: json.dumps(value, ensure_ascii=False) for name, value in about.get("parameters", {}).items()}
    parts = [_facts("Parameters", parameters), _facts("How this was made", about.get("made", {}))]
    button = '<button id="code-toggle" type="button" aria-expanded="false" hidden>Show the code</button>'
    return f"<footer>{''.join(parts)}<p>{button}</p></footer>"


def _facts(title: str, facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    # By name, as a saved notebook has them: a page that is made of one again is the same.
    rows = "".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in sorted(facts.items()))
    return f'<h3>{escape(title)}</h3>{SCROLL}<table class="ck-table"><tbody>{rows}</tbody></table></div>'


def _linked(content: str) -> tuple[str, str]:
    """Give the sections ids and return a list of links to them, if there are enough of them to need one."""
    titles: list[str] = []

    def anchor(match: re.Match[str]) -> str:
        titles.append(match[1])
        return f'<h2 id="section-{len(titles)}">{match[1]}</h2>'

    content = _HEADING.sub(anchor, content)
    items = "".join(f'<li><a href="#section-{i}">{_TAGS.sub("", title)}</a></li>' for i, title in enumerate(titles, 1))
    return content, f'<nav aria-label="Sections"><ul>{items}</ul></nav>' if len(titles) > 2 else ""


def _markdown(source: str) -> str:
    from markdown_it import MarkdownIt  # comes with rich, which the command line needs anyway

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return str(parser.render(source))


@cache
def _static(name: str) -> str:
    return resources.files("catalogkit").joinpath("static", name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    return base64.b64encode(resources.files("catalogkit").joinpath("static", PLOTLY).read_bytes()).decode()

"""Runs a notebook and keeps the executed notebook, one HTML page, and its figures as JSON.

A report is a notebook in ``notebooks/``; its name is the file's. It runs in a kernel of its own, under papermill, so
the same notebook also runs under plain ``papermill`` and opens in JupyterLab.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
import os
import platform
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit import __version__
from catalogkit.errors import InvalidInput, ReportError
from catalogkit.kernels import first_lines
from catalogkit.model import to_us
from catalogkit.params import check, declared
from catalogkit.report_index import write_index
from catalogkit.signals import operation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ReportResult", "find_report", "list_reports", "run_report"]

_VERSIONS: Final = ("polars", "plotly", "papermill", "ipykernel")
_NEEDED: Final = ("papermill", "nbformat", "ipykernel", "plotly")
_ENGINE: Final = "catalogkit-report"
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReportResult:
    """Where a run was written, and how long it took."""

    html: Path
    ipynb: Path
    json: Path
    seconds: float


def list_reports() -> list[str]:
    """The names of the reports that come with catalogkit."""
    return sorted(path.stem for path in _notebooks().glob("*.ipynb"))


def lacking() -> str:
    """The first package that making a report needs and that is not installed; empty if all are."""
    for name in _NEEDED:
        try:
            found = find_spec(name)
        except ValueError:  # blocked
            found = None
        if found is None:
            return name
    return ""


def find_report(name: str | os.PathLike[str]) -> Path:
    """The notebook of a report, by its name or by its path.

    Raises
    ------
    InvalidInput
        If there is no such report.
    """
    path = Path(name)
    if path.suffix == ".ipynb":
        if path.is_file():
            return path.resolve()
        raise InvalidInput(f"there is no notebook at {path}")
    known = list_reports()
    if str(name) in known:
        return _notebooks() / f"{name}.ipynb"
    close = difflib.get_close_matches(str(name), known, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    raise InvalidInput(f"there is no report {str(name)!r}{meant}; there are: {', '.join(known) or 'none'}")


def run_report(
    report: str | os.PathLike[str],
    parameters: Mapping[str, object] | None = None,
    out_dir: str | os.PathLike[str] = "reports",
    *,
    collection: str | None = None,
    as_of: datetime,
    progress: bool = False,
) -> ReportResult:
    """Run a report and write ``<out_dir>/<report>/<time>-<hash of the parameters>.{ipynb,html,json}``.

    Parameters
    ----------
    report
        Its name, or the path of a notebook.
    parameters
        Values by name; text is read as the declared type.
    out_dir
        The folder for all reports. Nothing in it is ever overwritten.
    collection
        The collection to look at, handed on as the parameter of that name; None leaves it to the notebook.
    as_of
        The moment of the report, handed on as the parameter of that name unless `parameters` has it.
    progress
        Whether papermill shows its progress bar.

    Raises
    ------
    InvalidInput
        If there is no such report, or a parameter is not as the notebook declares it. Nothing is written.
    ReportError
        If a cell of the notebook fails. The notebook as far as it got is kept.
    """
    to_us(as_of)
    source = find_report(report)
    known = {parameter.name: parameter for parameter in declared(source)}
    given = dict(parameters or {})
    if collection is not None:
        given["collection"] = _absolute(collection)
    defaults = {name: parameter.default for name, parameter in known.items()}
    passed = check(source, given)
    # The clock's reading is no choice of the reader's: equal choices get equal hashes.
    target = _reserve(Path(out_dir).absolute() / source.stem, as_of, defaults | passed)
    if "as_of" in known:
        # In full: cut to the second, it would be earlier than checks made just before.
        passed.setdefault("as_of", as_of.astimezone(UTC).isoformat())
    values = defaults | passed
    page, data = target.with_suffix(".html"), target.with_suffix(".json")
    try:
        with operation("report", report=source.stem):
            began = time.perf_counter()
            notebook = _execute(source, target, passed, first_lines(_given(passed)), progress=progress)
            seconds = time.perf_counter() - began
            _write(notebook, target, page, data, facts_of(notebook, source.stem, values, as_of, seconds))
    finally:
        # A run that failed is listed, too.
        write_index(target.parent.parent)
    return ReportResult(page, target, data, seconds)


def _given(parameters: Mapping[str, object]) -> str | None:
    """The collection that a report is about, if one was named."""
    return str(parameters.get("collection") or "") or None


def _execute(
    source: Path, target: Path, parameters: Mapping[str, object], first: Sequence[str], *, progress: bool
) -> Any:
    # jsonschema's optional IRI checker, which nbformat pulls in, takes seconds to import and is never used here.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    try:
        import papermill
        from papermill.engines import papermill_engines
        from papermill.exceptions import PapermillExecutionError

        from catalogkit.papermill_engine import SparingEngine
        from catalogkit.quiet_kernels import quiet_kernel
    except ImportError as error:
        raise ReportError(f"reports need {error.name}: pip install 'catalogkit[report]'") from None
    papermill_engines.register(_ENGINE, SparingEngine)
    with quiet_kernel() as config:
        try:
            return papermill.execute_notebook(
                source,
                target,
                engine_name=_ENGINE,
                parameters=dict(parameters),
                progress_bar=progress,
                config=config,
                extra_arguments=list(first),
            )
        except PapermillExecutionError as error:
            line = next((text for text in error.source.splitlines() if text.strip()), "")
            raise ReportError(
                f"cell {error.exec_count} of {source.stem} ({line[:80]}) failed: {error.ename}: {error.evalue}; "
                f"the notebook as far as it got is {target}"
            ) from None


def facts_of(notebook: Any, name: str, values: Mapping[str, object], as_of: datetime, seconds: float) -> dict[str, Any]:
    """What a run found, for a script."""
    from catalogkit.display import figures_of

    figures = figures_of(output for cell in notebook.cells for output in cell.get("outputs", ()))
    return {
        "report": name,
        "catalog": figures.pop("catalog", None),
        "as_of": as_of.astimezone(UTC).isoformat(),
        "parameters": dict(values),
        "figures": figures,
        "seconds": round(seconds, 3),
        "versions": {"catalogkit": __version__, "python": platform.python_version()}
        | {name: metadata.version(name) for name in _VERSIONS},
    }


def _write(notebook: Any, target: Path, page: Path, data: Path, facts: Mapping[str, Any]) -> None:
    import nbformat

    from catalogkit.html import to_html

    notebook.metadata["catalogkit"] = origin(facts, target.name)
    nbformat.write(notebook, target)  # type: ignore[no-untyped-call]
    page.write_text(to_html(notebook), encoding="utf-8")
    # Last, because whoever waits for the facts may then open the page.
    data.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def origin(facts: Mapping[str, Any], notebook: str) -> dict[str, Any]:
    """What a page says of where it is from, as its notebook's metadata."""
    made = {
        "catalog": str(facts["catalog"] or "unknown"),
        "as of": f"{datetime.fromisoformat(facts['as_of']):%Y-%m-%d %H:%M:%S} UTC",
        "ran in": f"{facts['seconds']:.1f} s",
        "versions": ", ".join(f"{name} {version}" for name, version in facts["versions"].items()),
        "notebook": notebook,
    }
    return {"report": facts["report"], "parameters": facts["parameters"], "made": made}


def _reserve(folder: Path, as_of: datetime, values: Mapping[str, object]) -> Path:
    """Take a name that no run has, and return the notebook's path."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:8]
    stem = f"{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, 1000):
        path = folder / f"{stem if attempt == 1 else f'{stem}-{attempt}'}.ipynb"
        try:
            path.open("x").close()
        except FileExistsError:
            continue
        return path
    raise ReportError(f"{folder} holds a thousand runs called {stem}; move some away")


def _absolute(collection: str) -> str:
    """A kernel may run in another folder, so a path is made absolute; a URL stays."""
    return collection if "://" in collection else str(Path(collection).absolute())


def _notebooks() -> Path:
    """The notebooks inside an installed package, else those beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "_notebooks"
    return inside if inside.is_dir() else package.parent / "notebooks"

"""Running a report: checked before it starts, kept whole, never overwritten, quiet."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from jupyter_client.provisioning import LocalProvisioner
from nbclient.exceptions import DeadKernelError

from catalogkit import reports
from catalogkit.errors import InvalidInput, ReportError
from catalogkit.papermill_engine import SAVED_EVERY, _Seldom
from catalogkit.quiet_kernels import quiet_kernel
from catalogkit.reports import find_report, list_reports, run_report

AS_OF = datetime(2026, 3, 1, 12, 30, 5, 250, tzinfo=UTC)
ROOT = Path(reports.__file__).parent.parent


@pytest.fixture(autouse=True)
def kernel_finds_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write(
        tmp_path / "small.ipynb",
        'collection: str = ""\ntop: int = 3\nas_of: str = ""\nfail: bool = False\n',
        "from catalogkit import display\nfrom catalogkit.params import params\np = params()\n",
        "if p.fail:\n    raise ValueError('no <b>luck</b>')\n",
        "display.record(catalog='abc', top=p.top, collection=p.collection, as_of=p.as_of)\n",
    )


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that kernels are sent."""
    sent: list[int] = []
    send = LocalProvisioner.send_signal

    async def note(self: LocalProvisioner, signum: int) -> None:
        sent.append(signum)
        await send(self, signum)

    monkeypatch.setattr(LocalProvisioner, "send_signal", note)
    return sent


def write(path: Path, parameters: str, *cells: str) -> Path:
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    rest = [nbformat.v4.new_code_cell(cell) for cell in cells]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# Small"), first, *rest], metadata={"kernelspec": kernel}
    )
    nbformat.write(notebook, path)
    return path


def files(folder: Path) -> list[str]:
    """The files of runs below `folder`; the page in front of them is none."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if str(path) != "index.html")


def test_a_run_is_a_notebook_a_page_and_its_facts(
    notebook: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], signals: list[int]
) -> None:
    out = tmp_path / "out"
    result = run_report(notebook, {"top": "5"}, out, collection="some/where", as_of=AS_OF)
    stem = result.ipynb.stem
    assert stem.startswith("20260301T123005Z-")
    assert files(out) == [f"small/{stem}.{kind}" for kind in ("html", "ipynb", "json")]

    facts = json.loads(result.json.read_text())
    assert facts["report"] == "small"
    assert facts["catalog"] == "abc"
    assert facts["as_of"] == "2026-03-01T12:30:05.000250+00:00"
    assert facts["parameters"]["top"] == facts["figures"]["top"] == 5
    assert facts["figures"]["collection"] == str(Path("some/where").absolute())
    assert facts["figures"]["as_of"] == "2026-03-01T12:30:05.000250+00:00"
    assert set(facts["versions"]) >= {"catalogkit", "python", "plotly", "papermill"}
    assert 0 < facts["seconds"] == round(result.seconds, 3)

    page = result.html.read_text()
    assert f'href="small/{result.html.name}"' in (out / "index.html").read_text()
    assert "<title>Small</title>" in page
    assert "2026-03-01 12:30:05 UTC" in page
    notebook_out = nbformat.read(result.ipynb, 4)
    assert notebook_out.metadata.catalogkit.parameters.top == 5
    assert "".join(capfd.readouterr()) == ""
    # Just after its last answer, on a busy machine, a kernel would log an error about it.
    assert signal.SIGINT not in signals

    # The same again: nothing is overwritten, and equal choices have equal hashes.
    again = run_report(notebook, {"top": 5}, out, collection="some/where", as_of=AS_OF)
    assert again.ipynb.stem == f"{stem}-2"
    assert len(files(out)) == 6


def test_a_failing_cell_is_named_and_the_partial_notebook_kept(
    notebook: Path, tmp_path: Path, signals: list[int]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(
        ReportError, match=r"cell 4 of small \(if p.fail:\) failed: ValueError: no <b>luck</b>"
    ) as caught:
        run_report(notebook, {"fail": "true"}, out, as_of=AS_OF)
    [kept] = files(out)
    assert str(out / kept) in str(caught.value)
    outputs = [output for cell in nbformat.read(out / kept, 4).cells for output in cell.get("outputs", ())]
    assert [output.ename for output in outputs if output.output_type == "error"] == ["ValueError"]
    assert signal.SIGINT not in signals


@pytest.mark.parametrize(
    "given,message",
    [
        ({"tpo": "5"}, "no parameter 'tpo'; did you mean 'top'"),
        ({"top": "five"}, "'top' takes int"),
        ({"top": True}, "'top' takes int, not bool"),
    ],
)
def test_a_wrong_parameter_stops_before_anything_is_written(
    notebook: Path, tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        run_report(notebook, given, tmp_path / "out", as_of=AS_OF)
    assert not (tmp_path / "out").exists()


def test_a_collection_is_refused_by_a_notebook_that_takes_none(tmp_path: Path) -> None:
    path = write(tmp_path / "other.ipynb", "top: int = 3")
    with pytest.raises(InvalidInput, match="no parameter 'collection'"):
        run_report(path, {}, tmp_path / "out", collection="x", as_of=AS_OF)


def test_a_time_without_a_zone_is_refused(notebook: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no time zone"):
        run_report(notebook, {}, tmp_path, as_of=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_kernel_loads_no_more_than_its_notebook_asks_for(tmp_path: Path) -> None:
    """Neither a debugger nor DuckDB's progress bar; widgets are there for who asks, and modules beside the notebook."""
    (tmp_path / "duckdb.py").write_text("raise AssertionError('the notebook has no say')")
    (tmp_path / "beside.py").touch()
    ask = "import sys, gc, duckdb\nfrom catalogkit import display\nduckdb.connect()\n"
    ask += "seen = sorted({'debugpy', 'ipywidgets'} & {name for name, module in sys.modules.items() if module})\n"
    light = write(
        tmp_path / "light.ipynb", "top: int = 3", ask, "import ipywidgets, beside", "display.record(seen=seen)"
    )
    with contextlib.chdir(tmp_path):
        result = run_report(light, {}, tmp_path / "out", as_of=AS_OF)
    assert json.loads(result.json.read_text())["figures"] == {"seen": []}


def test_a_kernel_of_another_kind_is_started_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with quiet_kernel() as config:
        manager = config.NotebookClient.kernel_manager_class(config=config)
        assert "ipykernel_launcher" in manager.kernel_spec.argv
        assert manager.format_kernel_cmd(["--more"])[-3:] == ["-f", os.path.realpath(manager.connection_file), "--more"]
        assert "ipykernel_launcher" not in manager.format_kernel_cmd()
        usual = ["-m", "ipykernel_launcher", "-f", "x"]
        monkeypatch.setattr(manager.kernel_spec, "argv", ["python3", "-Xfrozen_modules=off", *usual])
        assert manager.format_kernel_cmd()[1:3] == ["-Xfrozen_modules=off", "-c"]
        for other in (
            ["R", "--slave", "-e", "x"],
            ["conda", "run", "python", *usual],
            ["python3.99", "-m", "xeus", "x"],
        ):
            monkeypatch.setattr(manager.kernel_spec, "argv", other)
            assert manager.format_kernel_cmd() == other


def test_a_kernel_that_dies_leaves_what_it_said(tmp_path: Path) -> None:
    """The notebook is saved seldom, but always at its end."""
    dies = write(tmp_path / "dies.ipynb", "top: int = 3", "print('alive')", "import os\nos._exit(3)")
    with pytest.raises(DeadKernelError):
        run_report(dies, {}, tmp_path / "out", as_of=AS_OF)
    [kept] = files(tmp_path / "out")
    said = [
        output.text for cell in nbformat.read(tmp_path / "out" / kept, 4).cells for output in cell.get("outputs", ())
    ]
    assert said == ["alive\n"]


def test_a_notebook_is_saved_seldom_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a long report sees how far it came; a short one is written at its end alone."""
    saved: list[int] = []
    monkeypatch.setattr("papermill.engines.write_ipynb", lambda nb, _: saved.append(len(nb.cells)))
    manager = _Seldom(nbformat.v4.new_notebook(), output_path="x", progress_bar=False)
    manager.save()
    assert saved == []
    manager.last_save_time -= timedelta(seconds=SAVED_EVERY)
    manager.save()
    manager.save()
    assert saved == [0]
    manager.end_time = AS_OF
    manager.save()
    assert saved == [0, 0]


def test_a_url_stays_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reports._absolute("postgresql://host/db") == "postgresql://host/db"
    assert reports._absolute("here") == str(Path("here").absolute())


def test_reports_are_found_by_name_or_path(notebook: Path) -> None:
    assert "dedup_analytics" in list_reports()
    assert find_report("dedup_analytics").name == "dedup_analytics.ipynb"
    assert find_report(str(notebook)) == notebook.resolve()
    with pytest.raises(InvalidInput, match="did you mean 'dedup_analytics'"):
        find_report("dedup_analytic")
    with pytest.raises(InvalidInput, match="there is no notebook at"):
        find_report(notebook.with_name("none.ipynb"))


def test_the_notebooks_of_an_installed_package_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "catalogkit"
    (package / "_notebooks").mkdir(parents=True)
    (package / "_notebooks" / "inside.ipynb").touch()
    monkeypatch.setattr(reports, "__file__", str(package / "reports.py"))
    assert list_reports() == ["inside"]


def test_a_long_name_of_the_scratch_folder_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets have names of at most 107 bytes (unix(7)), however long ``TMPDIR`` is."""
    far = tmp_path / ("long" * 20)
    far.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(far))
    with quiet_kernel() as config:
        file = Path(config.KernelManager.connection_file)
        assert file.parent.is_dir()
        assert len(f"{file}-ipc-5".encode()) <= 107


def test_a_kernel_at_work_is_interrupted(tmp_path: Path, signals: list[int]) -> None:
    """So whoever gives up a report does not wait for its cell."""

    def give_up(**_: Any) -> None:
        raise KeyboardInterrupt

    long = write(tmp_path / "long.ipynb", "import time\ntime.sleep(60)\n")
    with quiet_kernel() as config, pytest.raises(KeyboardInterrupt):
        config.NotebookClient.on_cell_complete = give_up  # called when the cell was sent
        papermill.execute_notebook(long, None, progress_bar=False, config=config)
    assert signal.SIGINT in signals

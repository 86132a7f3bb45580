"""docs/schedules.md does what it says: cron and systemd for real, every snippet compiled, every setting read."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import nbformat
import pytest
from traitlets.config import Config

from catalogkit.config import CONFIG_NAME, parse_config
from catalogkit.html import to_html
from catalogkit.policies.maintain import STEPS, MaintainConfig
from tests.test_cli import answer, run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8")
UNITS = ROOT / "docs" / "systemd"
PROGRAM = Path(sys.executable).with_name("catalogkit")
# What cron has, or less: and where the tests' own checkout is, in place of an installed package.
BARE = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A collection of two documents, for which one report is made."""
    pile, home = tmp_path / "pile", tmp_path / "papers of mine"
    pile.mkdir()
    for name in ("a", "b"):
        (pile / f"{name}.txt").write_text(name)
    run("init", home)
    run("-C", home, "ingest", pile, "--resolver", "r")
    with (home / CONFIG_NAME).open("a") as settings:
        settings.write("[maintain]\nreports = ['storage_overview']\n")
    return home


def here(text: str, home: Path) -> str:
    """A line of the page with the paths of this machine."""
    assert "/opt/catalogkit/bin/catalogkit" in text and "/srv/papers" in text
    return text.replace("/opt/catalogkit/bin/catalogkit", shlex.quote(str(PROGRAM))).replace(
        "/srv/papers", shlex.quote(str(home))
    )


def bare(command: list[str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=BARE, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)


def make_wait(home: Path) -> None:
    """Leave garbage behind, of which the next round makes a plan."""
    plan = answer("-C", home, "forget", 1, code=2)["path"]
    run("-C", home, "approve", plan, "--where", "")
    run("-C", home, "apply", plan)
    run("-C", home, "snapshot", "drop", answer("-C", home, "snapshot", "list")["snapshots"][0]["label"])


def test_the_line_for_cron_runs_as_written(home: Path, tmp_path: Path) -> None:
    """Under `sh -c`, without HOME and with a bare PATH: silent and 0; loud and 2 when a plan waits; loud and 1."""
    [line] = blocks("cron")
    command = line.strip().split(maxsplit=5)[5]
    assert "%" not in command, "cron takes a percent sign for the end of the line"
    shell = ["/bin/sh", "-c", here(command, home)]
    done = bare(shell, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list((home / "reports" / "storage_overview").glob("*.html"))
    make_wait(home)
    (home / CONFIG_NAME).write_text((home / CONFIG_NAME).read_text().replace("['storage_overview']", "[]"))
    waiting = bare(shell, tmp_path)
    assert waiting.returncode == 2 and "plans/gc-" in waiting.stdout
    (home / CONFIG_NAME).write_text("nonsense = 1\n")
    broken = bare(shell, tmp_path)
    assert broken.returncode == 1 and "nonsense" in broken.stdout


def unit(home: Path) -> str:
    text = (UNITS / "catalogkit.service").read_text()
    # systemd reads quotes as a shell does.
    return here(text, home)


def test_the_unit_runs_as_written(home: Path, tmp_path: Path) -> None:
    """Its ExecStart, as systemd would split it, does the round in a bare environment."""
    (home / CONFIG_NAME).write_text((home / CONFIG_NAME).read_text().replace("['storage_overview']", "[]"))
    [start] = re.findall(r"^ExecStart=(.*)$", unit(home), re.MULTILINE)
    done = bare(shlex.split(start), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "snapshot   done" in done.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_accepts_the_units(home: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about service and timer."""
    (tmp_path / "catalogkit.service").write_text(unit(home))
    shutil.copy(UNITS / "catalogkit.timer", tmp_path)
    command = ["systemd-analyze", "verify", "--man=no", "catalogkit.service", "catalogkit.timer"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def parameters_of_the_page(home: Path) -> dict[str, str]:
    """The table for jupyter-scheduler: what to type into its form, with the paths of this machine."""
    (table,) = re.findall(r"\| parameter \| value \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    rows = re.findall(r"\| `(\w+)` \| `(.*?)` \|", table)
    return {name: text.replace("/srv/papers", str(home)) for name, text in rows}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the scheduler's own
@pytest.mark.parametrize(
    "wrong", [False, pytest.param(True, marks=pytest.mark.stress)], ids=["as on the page", "misspelt"]
)
def test_a_job_of_jupyter_scheduler_runs_a_notebook_as_it_is(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    """A real job, with what the page says to type: its notebook is a report's; a slip fails it, and says why."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    given = parameters_of_the_page(home)
    job = scheduled(tmp_path, given | ({"dry_rnu": "True"} if wrong else {}))
    if wrong:
        assert job.status == "FAILED" and "did you mean 'dry_run'" in job.status_message
        return
    assert job.status == "COMPLETED", job.status_message
    (done,) = tmp_path.glob("staging/*/*-*.ipynb")
    page = to_html(nbformat.read(done, 4))
    assert 'id="chart-1"' in page and "What is stored" in page
    (still,) = tmp_path.glob("staging/*/*-*.html")
    assert still.read_text().count('<div class="ck-picture">') == page.count('<div class="ck-picture">') > 0


def scheduled(folder: Path, parameters: dict[str, str]) -> Any:
    """What becomes of a job that runs ``storage_overview``, under the scheduler's own classes, without its server."""
    models, orm = import_module("jupyter_scheduler.models"), import_module("jupyter_scheduler.orm")
    environments = import_module("jupyter_scheduler.environments").CondaEnvironmentManager()
    url = f"sqlite:///{folder / 'scheduler.sqlite'}"
    orm.create_tables(url)
    scheduler = import_module("jupyter_scheduler.scheduler").Scheduler(
        root_dir=str(ROOT / "notebooks"), environments_manager=environments, db_url=url,
        config=Config({"Scheduler": {"task_runner_class": None, "staging_path": str(folder / "staging")}}),
    )  # fmt: skip
    asked = models.CreateJob(
        input_uri="storage_overview.ipynb", runtime_environment_name="here", runtime_environment_parameters={},
        name="nightly", output_formats=["ipynb", "html"], parameters=parameters,
    )  # fmt: skip
    number, until = scheduler.create_job(asked), time.monotonic() + 120
    while (job := scheduler.get_job(number)).status not in ("COMPLETED", "FAILED") and time.monotonic() < until:
        time.sleep(0.2)
    return job


@pytest.mark.parametrize("snippet", blocks("python"), ids=lambda text: text.split("import ")[1].split("\n")[0][:20])
def test_every_snippet_compiles_and_names_what_is_there(snippet: str) -> None:
    """It is Python, and what it takes from catalogkit exists."""
    compile(snippet, "docs/schedules.md", "exec")
    for node in ast.walk(ast.parse(snippet)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("catalogkit"):
            for alias in node.names:
                assert hasattr(import_module(node.module or ""), alias.name)
    import catalogkit as ck

    for name in re.findall(r"\bck\.(\w+)", snippet):
        assert name in ck.__all__


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    """A scheduler is too large to install for a test: its decorators are stood in for, our side is real."""
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


def test_the_snippet_for_prefect_does_the_round(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow returns what waits, and raises where a step failed."""
    stand_in(monkeypatch, "prefect", task=lambda made: made, flow=lambda made: made)
    (home / CONFIG_NAME).write_text((home / CONFIG_NAME).read_text().replace("['storage_overview']", "[]"))
    [snippet] = [one for one in blocks("python") if "prefect" in one]
    names: dict[str, Any] = {}
    exec(snippet.replace("/srv/papers", str(home)), names)
    assert names["papers"]() == []
    (home / CONFIG_NAME).write_text((home / CONFIG_NAME).read_text().replace("[]", "['nonesuch']"))
    with pytest.raises(RuntimeError, match="failed: reports"):
        names["papers"]()


def test_the_snippet_for_dagster_runs_a_report(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The asset's metadata names the page."""
    value = SimpleNamespace(path=lambda path: path)
    stand_in(monkeypatch, "dagster", asset=lambda made: made, MaterializeResult=SimpleNamespace, MetadataValue=value)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    [snippet] = [one for one in blocks("python") if "dagster" in one]
    names: dict[str, Any] = {}
    exec(snippet.replace("/srv/papers", str(home)), names)
    assert Path(names["storage_overview"]().metadata["page"]).read_text().startswith("<!DOCTYPE html>")


def test_the_settings_on_the_page_are_read(tmp_path: Path) -> None:
    """They are accepted, and those that are said to be defaults are."""
    [text] = blocks("toml")
    given, default = parse_config(tomllib.loads(text)).maintain, MaintainConfig()
    assert (given.skip, given.verify.max_bytes) == (("dedup",), "500GB")
    assert (given.reports, default.reports) == (("storage_overview", "verification_coverage"), None)
    for name in ("apply", "audit", "snapshot", "backup", "tidy"):
        assert getattr(given, name) == getattr(default, name), name
    assert (given.verify.budget, given.verify.max_age) == (default.verify.budget, default.verify.max_age)
    for step in STEPS:
        assert re.search(rf"^\|[^|]*\b{step}\b", PAGE, re.MULTILINE), step

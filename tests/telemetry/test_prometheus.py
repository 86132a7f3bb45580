"""A real Prometheus scrapes a real process, and answers for every metric the dashboard shows."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "docs" / "grafana.json"
ASKED_FOR = (
    "catalog.verification_p99_ms", "catalog.dedup_ratio", "catalog.gc_duration_seconds",
    "catalog.consistency_check_anomalies", "catalog.query_latency_p95_ms",
)  # fmt: skip
WORK = """
import sys
from pathlib import Path
import catalogkit as ck
from catalogkit.backups.drilling import drill
from catalogkit.config import TelemetryConfig
from tests.plans.scene import collect, forget, put

home, port = Path(sys.argv[1]), int(sys.argv[2])
with ck.init(home) as c:
    settings = TelemetryConfig(exporter="prometheus", port=port)
    with ck.start_telemetry(c, settings=settings):
        records = [put(c, name, b"same") for name in ("a", "b", "c")]
        other = put(c, "d", b"other")
        ck.ingest(c, sys.argv[3])
        ck.verify(c)
        ck.audit(c, 1.0)
        forget(c, other)
        collect(c)
        c.find()
        ck.backup_catalog(home.parent / "backups", collection=c)
        assert drill(home.parent / "backups", collection=c).ok
        print("ready", flush=True)
        sys.stdin.read()
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that scraped a process that worked."""
    program = shutil.which("prometheus")
    assert program, "Prometheus is not there; `make programs` installs it"
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "pile").mkdir()
    (folder / "pile" / "one").write_text("one")
    ours, theirs = free_port(), free_port()
    work = [sys.executable, "-c", WORK, str(folder / "c"), str(ours), str(folder / "pile")]
    settings = {"scrape_configs": [
        {"job_name": "catalogkit", "scrape_interval": "200ms", "scrape_timeout": "200ms",
         "static_configs": [{"targets": [f"localhost:{ours}"]}]},
    ]}  # fmt: skip
    (folder / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    command = [
        program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=localhost:{theirs}", "--log.level=error",
    ]  # fmt: skip
    address = f"http://localhost:{theirs}"
    with (
        subprocess.Popen(work, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker,
        subprocess.Popen(command, cwd=folder) as server,
    ):
        try:
            assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
            until = time.monotonic() + 60
            while not _answers(address, "catalog_gc_duration_seconds") and time.monotonic() < until:
                assert server.poll() is None
                time.sleep(0.1)
            yield address
        finally:
            server.terminate()
            worker.communicate()
    assert worker.returncode == 0


def _answers(address: str, query: str) -> list[dict[str, Any]]:
    """What Prometheus says; nothing while it is not up."""
    try:
        with urllib.request.urlopen(f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}") as said:
            found: list[dict[str, Any]] = json.load(said)["data"]["result"]
            return found
    except OSError:
        return []


@pytest.mark.parametrize("name", ASKED_FOR)
def test_every_metric_asked_for_is_there(prometheus: str, name: str) -> None:
    """Under exactly its name, with a value that can be."""
    found = _answers(prometheus, name.replace(".", "_"))
    values = [float(one["value"][1]) for one in found]
    assert values
    assert all(value >= 0 for value in values)
    if name == "catalog.dedup_ratio":
        assert values == [pytest.approx(8 / 15)]  # three times "same" of 4 bytes in one object, and "one"
    if name == "catalog.gc_duration_seconds":
        assert {one["metric"]["kind"] for one in found} == {"gc", "purge"}


def test_every_metric_of_the_table_is_there(prometheus: str) -> None:
    """Each series by its name in Prometheus, and no series of ours besides."""
    for one in METRICS:
        for series in one.series:
            assert _answers(prometheus, series), series
    there = {one["metric"]["__name__"] for one in _answers(prometheus, '{__name__=~"catalog.*"}')}
    assert there == {series for one in METRICS for series in one.series}


def expressions() -> list[str]:
    """Every expression of the dashboard."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    """Every name in an expression is a series of the table; every metric asked for is shown; grouping is by labels."""
    known = {series: set(one.labels) for one in METRICS for series in one.series}
    asked = [set(re.findall(r"catalog_\w+", expression)) for expression in expressions()]
    assert all(asked)
    assert set().union(*asked) <= set(known)
    assert {name.replace(".", "_") for name in ASKED_FOR} <= set().union(*asked)
    for expression, names in zip(expressions(), asked, strict=True):
        for labels in re.findall(r"by \(([\w, ]+)\)", expression):
            assert {one.strip() for one in labels.split(",")} <= {"le"}.union(*(known[name] for name in names))


@pytest.mark.parametrize("expression", expressions())
def test_prometheus_understands_the_dashboard(prometheus: str, expression: str) -> None:
    """A real Prometheus takes every expression as a query."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query?{query}") as said:
        assert json.load(said)["status"] == "success"

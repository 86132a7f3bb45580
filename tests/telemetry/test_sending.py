"""What is sent where: settings, environment, collectors that are away, secrets that stay secret."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import catalogkit as ck
from catalogkit import kernels
from catalogkit.config import TelemetryConfig, parse_config
from catalogkit.errors import InvalidInput
from catalogkit.metrics import METRICS, page
from catalogkit.telemetry import chosen, start, wanted
from tests.test_cli import answer, run
from tests.test_imports import loaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalogkit.collection import Collection

ROOT = Path(__file__).parents[2]
AWAY = "telemetry could not be sent; nothing else is affected\n"


class Collector(ThreadingHTTPServer):
    """An OTLP collector: keeps what it gets, or never answers."""

    daemon_threads = True

    def __init__(self, *, hangs: bool = False) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.hangs, self.over = hangs, threading.Event()
        super().__init__(("localhost", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_port}"

    def spans(self) -> list[Any]:
        told = [ExportTraceServiceRequest.FromString(body) for path, _, body in self.got if path.endswith("/v1/traces")]
        return [span for one in told for r in one.resource_spans for scope in r.scope_spans for span in scope.spans]

    def metrics(self) -> set[str]:
        told = [
            ExportMetricsServiceRequest.FromString(body) for path, _, body in self.got if path.endswith("/v1/metrics")
        ]
        scopes = [scope for one in told for r in one.resource_metrics for scope in r.scope_metrics]
        return {metric.name for scope in scopes for metric in scope.metrics}


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.hangs:
            self.server.over.wait()
        self.server.got.append((self.path, dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


@contextlib.contextmanager
def collecting(*, hangs: bool = False) -> Iterator[Collector]:
    with Collector(hangs=hangs) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def home(tmp_path: Path, source: Path) -> Path:
    """A collection's folder, made beside files to take in."""
    (source / "a.txt").write_text("a")
    with ck.init(tmp_path / "c") as c:
        return c.path


def settings(home: Path, **values: object) -> None:
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    with (home / "catalogkit.toml").open("a") as file:
        file.write(f"\n[telemetry]\n{lines}")


def test_a_command_sends_spans_and_metrics(home: Path, source: Path) -> None:
    """Over OTLP, to the paths below the endpoint, with the headers of the environment; its answer is what it was."""
    with collecting() as server:
        settings(home, exporter="otlp", endpoint=f"{server.url}/base/", flush_seconds=30)
        env = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret", "OTEL_SERVICE_NAME": "papers"}
        assert answer("-C", home, "ingest", source, **env)["ingested"] == 1
        assert run("-C", home, "verify", **env).stderr == ""
    assert {path for path, _, _ in server.got} == {"/base/v1/traces", "/base/v1/metrics"}
    assert {headers["authorization"] for _, headers, _ in server.got} == {"Bearer s3cret"}
    assert sorted(span.name for span in server.spans()) == ["catalog.ingest", "catalog.verify"]
    assert server.metrics() <= {one.name for one in METRICS}
    assert {"catalog.verification_ms", "catalog.verification_p99_ms", "catalog.dedup_ratio"} <= server.metrics()
    assert b"papers" in server.got[0][2]


def test_a_command_that_fails_is_sent(home: Path, tmp_path: Path) -> None:
    """Also one that does not open the collection, because its catalog may be lost; only the error's kind is told."""
    with collecting() as server:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url}
        settings(home, flush_seconds=30)
        run("-C", home, "recover", tmp_path / "acme-nowhere", code=1, **env)
    (span,) = server.spans()
    about = {one.key: one.value.string_value for one in span.attributes}
    assert span.name == "catalog.recover"
    assert about == {"catalog.outcome": "failed", "catalog.error": "InvalidInput"}
    assert b"acme-nowhere" not in b"".join(body for *_, body in server.got)


def test_what_happens_in_a_report_is_sent(home: Path, source: Path) -> None:
    """Its kernel is a process of its own, which sends and writes as the settings say: one trace, one file."""
    run("-C", home, "ingest", source)
    with collecting() as server:
        settings(home, exporter="otlp", endpoint=server.url, textfile="out.prom", flush_seconds=30)
        page = answer("-C", home, "report", "storage_overview", PYTHONPATH=str(ROOT))["html"]
    spans = {span.name: span for span in server.spans()}
    assert {"catalog.report", "catalog.mirror_refresh"} <= set(spans)
    assert spans["catalog.mirror_refresh"].trace_id == spans["catalog.report"].trace_id
    assert spans["catalog.mirror_refresh"].parent_span_id == spans["catalog.report"].span_id
    lines = (home / "out.prom").read_text()
    assert 'operation="report"' in lines and 'operation="mirror_refresh"' in lines
    assert "catalog.kernels" not in Path(page).read_text()


def test_a_kernel_sends_only_where_somebody_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to begin with, and so nothing to load; nor where only stderr, or whoever scrapes, is to be told."""
    assert kernels.first_lines(str(home)) == kernels.first_lines(None) == kernels.first_lines("nowhere") == []
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "console, prometheus")
    assert kernels.first_lines(str(home)) == []
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console,otlp")
    (line,) = kernels.first_lines(str(home))
    assert repr(str(home)) in line
    left = {"OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "otlp"}
    assert kernels.exporters(os.environ) == left
    monkeypatch.undo()
    settings(home, exporter="prometheus")
    assert kernels.first_lines(str(home)) == []


@pytest.mark.parametrize("hangs", [True, False], ids=["hangs", "refuses"])
def test_a_collector_that_is_away_fails_nothing(home: Path, source: Path, hangs: bool) -> None:
    """The result is the same; one line says so, without address, path or header, all of which may be secret."""
    with collecting(hangs=hangs) as server:
        url = server.url if hangs else "http://localhost:1"
        settings(home, exporter="otlp", endpoint=f"{url}/t0ken", flush_seconds=0.2)
        # Its own time-out would end it much later.
        env = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=s3cret", "OTEL_EXPORTER_OTLP_TIMEOUT": "3600"}
        done = run("-C", home, "ingest", source, "--json", **env)
    assert json.loads(done.stdout)["ingested"] == 1
    assert done.stderr == AWAY


def test_a_log_of_everything_has_no_secret(
    make_collection: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a program logs all warnings there are, senders still do not get to say where they send to."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret")
    told = TelemetryConfig(exporter="otlp", endpoint="http://localhost:1/t0ken", flush_seconds=1)
    collection: Collection = make_collection("cas")
    with caplog.at_level("INFO"), start(collection, settings=told) as running:
        collection.find()
        assert running.running
    assert AWAY.strip() in caplog.text
    assert "t0ken" not in caplog.text and "s3cret" not in caplog.text


def test_no_sender_goes_on_once_it_was_stopped(make_collection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot send waits between its attempts; that ends with the stop, and leaves no thread behind."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")  # all of its attempts together take half a minute
    told = TelemetryConfig(exporter="otlp", endpoint="http://localhost:1", flush_seconds=0.2)
    collection: Collection = make_collection("cas")
    with start(collection, settings=told):
        collection.find()
        sending = [thread for thread in threading.enumerate() if thread.name.startswith("Otel")]
        assert len(sending) == 2
    for thread in sending:
        thread.join(10)  # a busy machine
    assert not any(thread.is_alive() for thread in sending)


def test_secrets_of_the_environment_stay_there(home: Path, source: Path) -> None:
    """An endpoint with user, password and token in a standard variable, out of order besides, is never repeated."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://us3r:passw0rd@localhost:1/t0ken?key=k3y"}
    settings(home, flush_seconds=0.2)
    done = run("-C", home, "ingest", source, **env)
    assert done.stderr == AWAY
    broken = run("-C", home, "status", **env, OTEL_METRIC_EXPORT_INTERVAL="-1")
    assert broken.stderr == "nothing is measured (ValueError): look at [telemetry] and at OTEL_*\n"


def test_the_console_does_not_disturb_the_answer(home: Path, source: Path) -> None:
    """Spans and metrics go to stderr; stdout has its one JSON object."""
    settings(home, exporter="console")
    done = run("-C", home, "ingest", source, "--json")
    assert json.loads(done.stdout)["ingested"] == 1
    assert '"name": "catalog.ingest"' in done.stderr and '"catalog.ingest_documents"' in done.stderr


def test_commands_write_one_textfile(home: Path, source: Path) -> None:
    """One after another adds to it; a relative path begins in the collection's folder."""
    settings(home, textfile="out/catalogkit.prom")
    run("-C", home, "ingest", source)
    for _ in range(2):
        assert run("-C", home, "verify").stderr == ""
    lines = (home / "out" / "catalogkit.prom").read_text().splitlines()
    assert 'catalog_verify_copies_total{outcome="ok"} 2.0' in lines
    assert 'catalog_ingest_documents_total{outcome="ingested"} 1.0' in lines


def test_a_textfile_that_cannot_be_written_fails_nothing(home: Path) -> None:
    """It is said, and the command is done."""
    (home / "file").write_text("")
    settings(home, textfile="file/catalogkit.prom")
    said = run("-C", home, "status").stderr
    assert said.startswith("the file of metrics could not be written: ") and said.count("\n") == 1


@pytest.mark.parametrize("asked", [True, False], ids=["by the settings", "by the environment"])
def test_without_the_extra_nothing_changes(home: Path, asked: bool) -> None:
    """Where settings ask, one line says what to install; variables may be meant for other programs."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        f"sys.argv = ['catalogkit', '-C', {str(home)!r}, 'status', '--json']\n"
        "from catalogkit.cli import main; main()"
    )
    env = {}
    if asked:
        settings(home, exporter="otlp")
    else:
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://localhost:1"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["documents"] == 0
    line = "nothing is measured: opentelemetry.sdk is missing: pip install 'catalogkit[telemetry]'\n"
    assert done.stderr == (line if asked else "")


def test_nothing_is_loaded_where_nobody_asked(home: Path) -> None:
    """A command of a collection without these settings loads none of OpenTelemetry."""
    command = f"""
import sys
sys.argv = ["catalogkit", "-C", {str(home)!r}, "status", "--json"]
from catalogkit.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
"""
    names = {name.partition(".")[0] for name in loaded(command)}
    assert "catalogkit" in names
    assert not names & {"opentelemetry", "prometheus_client", "requests", "google"}


def test_a_port_that_is_taken_fails_nothing(make_collection: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody can scrape then, and that is said; everything else goes on."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        told = TelemetryConfig(exporter="prometheus", port=taken.getsockname()[1])
        collection: Collection = make_collection("cas")
        with start(collection, settings=told) as running:
            assert running.running
            collection.find()
    assert "nobody can scrape this process" in caplog.text


@pytest.mark.parametrize(
    "exporter, environ, traces, metrics",
    [
        ("", {}, "", ""),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, "otlp", "otlp"),
        ("", {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, "", "otlp"),
        ("", {"OTEL_METRICS_EXPORTER": "prometheus,console"}, "", "prometheus console"),
        ("", {"OTEL_TRACES_EXPORTER": "console"}, "console", ""),
        ("otlp", {}, "otlp", "otlp"),
        ("prometheus", {"OTEL_TRACES_EXPORTER": "otlp"}, "", "prometheus"),
        ("console", {}, "console", "console"),
        ("none", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, "", ""),
        ("otlp", {"OTEL_SDK_DISABLED": "true"}, "", ""),
    ],
)
def test_settings_go_before_the_environment(exporter: Any, environ: dict[str, str], traces: str, metrics: str) -> None:
    """What the settings leave open the standard variables say; disabled is disabled."""
    told = TelemetryConfig(exporter=exporter)
    assert chosen(told, environ) == (frozenset(traces.split()), frozenset(metrics.split()))
    assert wanted(told, environ) == bool(traces or metrics)
    assert wanted(TelemetryConfig(exporter=exporter, textfile="x"), environ) == ("OTEL_SDK_DISABLED" not in environ)


@pytest.mark.parametrize(
    "endpoint, words",
    [
        ("https://s3cret@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("https://user:s3cret@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("https://collector/?key=s3cret", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("https://collector/#s3cret", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("s3cret", "http or https"),
        ("https:///s3cret", "http or https"),
        ("http://[s3cret", "telemetry"),
    ],
)
def test_a_secret_in_the_settings_is_refused(endpoint: str, words: str) -> None:
    """With a word on where it belongs, and without the secret."""
    with pytest.raises(InvalidInput, match=words) as caught:
        parse_config({"telemetry": {"endpoint": endpoint}})
    assert "s3cret" not in str(caught.value)


def test_the_settings_of_the_page_are_settings() -> None:
    """What docs/telemetry.md shows is accepted, and every setting but those of a host is shown."""
    (block,) = re.findall(r"```toml\n(.*?)```", page(), re.DOTALL)
    shown = tomllib.loads(block)
    parse_config(shown)
    assert set(TelemetryConfig.__struct_fields__) - {"host", "port"} == set(shown["telemetry"])


def test_the_path_of_an_endpoint_is_not_shown() -> None:
    """Some services have a token there; the host is told, which is what one looks for."""
    shown = repr(parse_config({"telemetry": {"endpoint": "https://collector:4318/s3cret"}}))
    assert "s3cret" not in shown and "https://collector:4318" in shown


@pytest.mark.parametrize(
    "values", [{"exporter": "jaeger"}, {"port": 0}, {"interval_seconds": 0}, {"flush_seconds": -1}, {"headers": {}}]
)
def test_wrong_settings_are_refused(values: dict[str, Any]) -> None:
    """As any other setting."""
    with pytest.raises(InvalidInput, match=r"telemetry|headers"):
        parse_config({"telemetry": values})

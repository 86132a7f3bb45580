"""OpenTelemetry: a span for each operation, and the metrics of `catalogkit.metrics`; sent to where the settings say.

It is loaded, and loads OpenTelemetry, only where somebody asked for it. Nothing here may break or hold up what is
measured: a collector that is away costs a bounded wait at the end and one line in the log.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from catalogkit import metrics
from catalogkit.metrics import METRICS, Kind
from catalogkit.signals import DONE, FAILED, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.trace import TracerProvider

    from catalogkit.collection import Collection
    from catalogkit.config import TelemetryConfig
    from catalogkit.signals import Told

SCOPE: Final = "catalogkit"
MOMENT: Final = 0.5  # seconds, for a sender to notice that it was cut
# As in the specification of OpenTelemetry.
HOST, PORT = "localhost", 9464
_log = logging.getLogger("catalogkit.telemetry")
_ENDPOINTS: Final = ("", "_TRACES", "_METRICS")


def chosen(settings: TelemetryConfig, environ: Mapping[str, str]) -> tuple[frozenset[str], frozenset[str]]:
    """Which exporters traces go to, and metrics; what the settings leave open, the standard variables say."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or settings.exporter == "none":
        return frozenset(), frozenset()
    if settings.exporter:
        one = frozenset({settings.exporter})
        return one - {"prometheus"}, one
    somewhere = any(environ.get(f"OTEL_EXPORTER_OTLP{part}_ENDPOINT") for part in _ENDPOINTS)

    def said(signal: str) -> frozenset[str]:
        names = environ.get(f"OTEL_{signal}_EXPORTER") or ("otlp" if somewhere else "none")
        return frozenset(name.strip().lower() for name in names.split(",")) - {"none"}

    return said("TRACES") - {"prometheus"}, said("METRICS")


def wanted(settings: TelemetryConfig, environ: Mapping[str, str]) -> bool:
    """Whether anything is to be sent or written at all."""
    disabled = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return any(chosen(settings, environ)) or bool(settings.textfile and not disabled)


def start(
    collection: Collection | None = None,
    *,
    settings: TelemetryConfig | None = None,
    folder: Path | None = None,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
) -> Telemetry:
    """Begin to measure every operation of this process, and to send what was measured.

    Parameters
    ----------
    collection
        Whose settings say where to.
    settings
        Other settings than the collection's.
    folder
        Where a relative path in them begins; the collection's folder without it.
    meter_provider, tracer_provider
        Those of a program that has its own; nothing else is set up then.

    Returns
    -------
    Telemetry
        `Telemetry.stop` ends it; so does leaving its ``with``. Without OpenTelemetry it does nothing.

    Examples
    --------
    >>> with start(c):  # doctest: +SKIP
    ...     ck.verify(c)
    """
    from catalogkit.config import TelemetryConfig

    told = settings or (collection.config.telemetry if collection else TelemetryConfig())
    folder = collection.path if folder is None and collection else folder
    running = Telemetry(told.flush_seconds)
    if meter_provider is None and tracer_provider is None and not wanted(told, os.environ):
        return running
    try:
        if meter_provider is None and tracer_provider is None:
            meter_provider, tracer_provider = _providers(told, folder, running)
        running.listen(meter_provider, tracer_provider)
    except ImportError as missing:
        # Variables may be set for other programs of the machine; settings are for us.
        level = logging.WARNING if told.exporter or told.textfile else logging.DEBUG
        _log.log(level, "nothing is measured: %s is missing: pip install 'catalogkit[telemetry]'", missing.name)
    except Exception as problem:  # noqa: BLE001 - a variable of another program may be wrong, and our work goes on
        _log.warning("nothing is measured (%s): look at [telemetry] and at OTEL_*", type(problem).__name__)
    return running


class Telemetry:
    """Measuring that goes on; made by `start`."""

    def __init__(self, flush_seconds: float) -> None:
        self.flush_seconds = flush_seconds
        self._unlisten: Callable[[], None] = lambda: None
        self._endings: list[Callable[[], object]] = []
        self._cuts: list[Callable[[], object]] = []

    @property
    def running(self) -> bool:
        """Whether anything is measured."""
        return bool(self._endings)

    def listen(self, meter_provider: MeterProvider | None, tracer_provider: TracerProvider | None) -> None:
        """Hear every operation from now on."""
        self._unlisten = listen(Recorder(meter_provider, tracer_provider))
        self._endings.append(self._unlisten)

    def at_end(self, *endings: Callable[[], object]) -> None:
        """What is to be done when it ends: side by side, each for no longer than `flush_seconds`."""
        self._endings += endings

    def cut_by(self, *cuts: Callable[[], object]) -> None:
        """What ends senders that do not come to an end in time."""
        self._cuts += cuts

    def stop(self) -> None:
        """End measuring, and send what is left; waits for `flush_seconds` and a moment at most, and never fails."""
        self._unlisten()
        threads = [threading.Thread(target=_quietly, args=(one,), daemon=True) for one in self._endings]
        self._endings = []
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + self.flush_seconds
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            _complaints.say()
            # Senders would try again for long, in threads of their own, when nobody expects them any more.
            for cut in self._cuts:
                _quietly(cut)
            for thread in threads:
                thread.join(MOMENT)

    def __enter__(self) -> Telemetry:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class Recorder:
    """Makes spans and metrics of what operations tell; a listener of `catalogkit.signals`."""

    def __init__(self, meter_provider: MeterProvider | None, tracer_provider: TracerProvider | None) -> None:
        from opentelemetry.metrics import NoOpMeterProvider
        from opentelemetry.trace import NoOpTracerProvider

        from catalogkit import __version__

        self._tracer = (tracer_provider or NoOpTracerProvider()).get_tracer(SCOPE, __version__)
        meter = (meter_provider or NoOpMeterProvider()).get_meter(SCOPE, __version__)
        self._lock = threading.Lock()
        # What gauges show: by metric, then by its attributes.
        self._shown: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        self._windows = {name: deque[float](maxlen=metrics.WINDOW) for name in (metrics.VERIFICATION, metrics.QUERY)}
        self._counters = {one.name: meter.create_counter(one.name, description=one.about) for one in _of(Kind.COUNTER)}
        self._histograms = {
            one.name: meter.create_histogram(
                one.name, description=one.about, explicit_bucket_boundaries_advisory=one.buckets
            )
            for one in _of(Kind.HISTOGRAM)
        }
        for one in _of(Kind.GAUGE):
            self._gauge(meter, one)

    @contextlib.contextmanager
    def __call__(self, told: Told) -> Iterator[None]:
        from opentelemetry.trace import Status, StatusCode

        told.hearers.append(self._sample)
        about = {f"catalog.{name}": value for name, value in told.attributes.items()}
        with self._tracer.start_as_current_span(f"catalog.{told.name}", attributes=about) as span:
            yield
            span.set_attribute("catalog.outcome", told.outcome)
            for name, count in told.counts.items():
                span.set_attribute(f"catalog.count.{name}", count)
            if told.error:
                span.set_attribute("catalog.error", told.error)
            if told.outcome == FAILED:
                span.set_status(Status(StatusCode.ERROR, told.error))
        self._record(told)

    def _record(self, told: Told) -> None:
        everything = {"operation": told.name, **told.attributes, "outcome": told.outcome}
        self._histograms[metrics.OPERATION].record(told.seconds, _some(everything, metrics.OPERATION))
        if told.name == "query" and told.outcome == DONE:
            self._histograms[metrics.QUERY].record(told.seconds * 1000, _some(everything, metrics.QUERY))
            with self._lock:
                self._windows[metrics.QUERY].append(told.seconds * 1000)
        for one in _of(Kind.COUNTER):
            if told.name in one.operations:
                for name, attributes in one.counts.items():
                    if name in told.counts:
                        self._counters[one.name].add(told.counts[name], _some(everything, one.name) | attributes)
        with self._lock:
            for name, value in told.figures.items():
                self._shown.setdefault(f"catalog.{name}", {})[()] = value
            collects = told.name in ("plan", "apply") and told.attributes.get("kind") in metrics.GARBAGE
            if collects and told.outcome == DONE:
                labels = tuple(_some(everything, metrics.GC).items())
                self._shown.setdefault(metrics.GC, {})[labels] = told.seconds

    def _sample(self, name: str, values: Iterable[float]) -> None:
        histogram, window = self._histograms[f"catalog.{name}"], self._windows[f"catalog.{name}"]
        for value in values:
            histogram.record(value)
        with self._lock:
            window.extend(values)

    def _gauge(self, meter: Meter, one: metrics.Metric) -> None:
        from opentelemetry.metrics import Observation

        def observe(options: CallbackOptions) -> list[Observation]:
            with self._lock:
                if one.percentile:
                    name = metrics.QUERY if "query" in one.operations else metrics.VERIFICATION
                    values = list(self._windows[name])
                    return [Observation(percentile(values, one.percentile))] if values else []
                return [Observation(value, dict(at)) for at, value in self._shown.get(one.name, {}).items()]

        meter.create_observable_gauge(one.name, [observe], description=one.about)


def percentile(values: list[float], which: int) -> float:
    """The smallest of the values that at least `which` percent of them do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * which / 100) - 1)]


def _of(kind: Kind) -> list[metrics.Metric]:
    return [one for one in METRICS if one.kind is kind]


def _some(attributes: Mapping[str, str], name: str) -> dict[str, str]:
    """Those attributes that a metric has."""
    (metric,) = (one for one in METRICS if one.name == name)
    own = {label for labels in metric.counts.values() for label in labels}
    return {label: attributes[label] for label in metric.labels if label in attributes and label not in own}


# -- where it goes -----------------------------------------------------------------------------------------------------


def _providers(
    settings: TelemetryConfig, folder: Path | None, running: Telemetry
) -> tuple[MeterProvider, TracerProvider]:
    """Set up what settings and environment say, and what is to be done at the end."""
    from opentelemetry.sdk.metrics import MeterProvider as Meters
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider as Tracers
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    _muffle()
    traces, measured = chosen(settings, os.environ)
    resource = _resource()
    millis = None if settings.interval_seconds is None else settings.interval_seconds * 1000
    readers: list[MetricReader] = []
    spans = Tracers(resource=resource, shutdown_on_exit=False)
    if "otlp" in traces | measured:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        base = settings.endpoint.rstrip("/")
        if "otlp" in measured:
            sender = OTLPMetricExporter(endpoint=f"{base}/v1/metrics" if base else None)
            running.cut_by(sender.shutdown)
            readers.append(PeriodicExportingMetricReader(sender, export_interval_millis=millis))
        if "otlp" in traces:
            tracer = OTLPSpanExporter(endpoint=f"{base}/v1/traces" if base else None)
            running.cut_by(tracer.shutdown)
            spans.add_span_processor(BatchSpanProcessor(tracer))
    # On stdout a machine expects one JSON object.
    if "console" in measured:
        readers.append(PeriodicExportingMetricReader(ConsoleMetricExporter(out=sys.stderr), millis))
    if "console" in traces:
        spans.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr)))
    endings: list[Callable[[], object]] = []
    if "prometheus" in measured or settings.textfile:
        readers.append(_prometheus(settings, "prometheus" in measured, folder, endings))
    meters = Meters(readers, resource=resource, shutdown_on_exit=False)
    flush = settings.flush_seconds * 1000

    def end_metrics() -> None:
        for ending in endings:  # they collect, so before the reader goes
            _quietly(ending)
        meters.shutdown(timeout_millis=flush)

    running.at_end(end_metrics, spans.shutdown)
    return meters, spans


def _prometheus(
    settings: TelemetryConfig, serve: bool, folder: Path | None, endings: list[Callable[[], object]]
) -> Any:
    from pathlib import Path

    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import CollectorRegistry, start_http_server

    from catalogkit.textfile import add_to

    registry = CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    if settings.textfile:
        path = (folder or Path()) / settings.textfile
        endings.append(lambda: add_to(path, registry))
    if serve:
        host = settings.host or os.environ.get("OTEL_EXPORTER_PROMETHEUS_HOST") or HOST
        port = settings.port or int(os.environ.get("OTEL_EXPORTER_PROMETHEUS_PORT") or PORT)
        try:
            server, _ = start_http_server(port, host, registry)
        except OSError as problem:
            _log.warning("nobody can scrape this process: port %d: %s", port, problem.strerror)
        else:
            endings += [server.shutdown, server.server_close]
    return reader


def _resource() -> Any:
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource

    from catalogkit import __version__

    found = Resource.create({SERVICE_VERSION: __version__})
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):  # the environment does not say
        found = found.merge(Resource({SERVICE_NAME: SCOPE}))
    return found


class _Complaints(logging.Handler):
    """Says once that senders complained, and nothing of what they said: that names addresses, and what is in them."""

    said = False

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.say()

    def say(self) -> None:
        if not self.said:
            self.said = True
            _log.warning("telemetry could not be sent; nothing else is affected")


_complaints: Final = _Complaints()


def _muffle() -> None:
    """Stays for good: a sender that is given up may complain much later."""
    logger = logging.getLogger("opentelemetry")
    logger.propagate, _complaints.said = False, False
    if _complaints not in logger.handlers:
        logger.addHandler(_complaints)


def _quietly(ending: Callable[[], object]) -> None:
    try:
        ending()
    except OSError as problem:
        _log.warning("the file of metrics could not be written: %s; nothing else is affected", problem.strerror)
    except Exception:  # noqa: BLE001 - what is measured has its result already
        _complaints.say()

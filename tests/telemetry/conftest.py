"""What a test that listens needs: the SDK of OpenTelemetry with everything kept in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import catalogkit as ck

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan


class Heard:
    """Every span and every number that was told."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        """Spans that ended, by name."""
        return [one for one in self.exporter.get_finished_spans() if name in (None, one.name)]

    def span(self, name: str) -> dict[str, Any]:
        """The attributes of the one span of that name."""
        (one,) = self.spans(name)
        return dict(one.attributes or {})

    def points(self) -> dict[str, list[Any]]:
        """Every metric's data points."""
        data = self.reader.get_metrics_data()
        scopes = [scope for one in (data.resource_metrics if data else ()) for scope in one.scope_metrics]
        return {one.name: list(one.data.data_points) for scope in scopes for one in scope.metrics}

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """A counter's or a gauge's values, by the values of its attributes."""
        return {tuple(map(str, one.attributes.values())): one.value for one in self.points().get(name, ())}

    def attributes(self) -> list[tuple[str, Any]]:
        """Every attribute of every span and number, as name and value."""
        spans = [pair for span in self.spans() for pair in (span.attributes or {}).items()]
        return spans + [pair for points in self.points().values() for one in points for pair in one.attributes.items()]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Listens while the test runs."""
    found = Heard()
    with ck.start_telemetry(meter_provider=found.meters, tracer_provider=found.tracers):
        yield found
    found.meters.shutdown()
    found.tracers.shutdown()

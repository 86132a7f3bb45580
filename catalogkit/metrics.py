"""The table of all metrics: name, meaning, source, attributes.

Names say their unit, as in ``_ms``; so backends that add units to names have none to add.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

from catalogkit.signals import ALLOWED, OTHER

WINDOW: Final = 1024
"""A percentile is that of so many last values."""


class Kind(enum.StrEnum):
    """What kind of number a metric is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name, kind, about
        What it is called, what kind of number it is, and what it means.
    operations
        What tells it.
    labels
        Its attributes.
    counts
        Of a counter: the counts of `signals.Told` that go into it, each with its attributes.
    buckets
        Of a histogram: the upper bounds.
    percentile
        Of a gauge that is one of a histogram's values: which.
    """

    name: str
    kind: Kind
    about: str
    operations: frozenset[str]
    labels: tuple[str, ...] = ()
    counts: dict[str, dict[str, str]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    percentile: int = 0

    @property
    def prometheus(self) -> str:
        """What Prometheus calls it."""
        return self.name.replace(".", "_") + ("_total" if self.kind is Kind.COUNTER else "")

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its series in Prometheus."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.prometheus}_{part}" for part in ("bucket", "sum", "count"))
        return (self.prometheus,)


def _counter(name: str, about: str, operation: str, label: str = "", *values: str, count: str = "") -> Metric:
    counts = {value: {label: value} for value in values} if label else {count: {}}
    kinds = ("kind",) if operation == "apply" else ()
    labels = (*kinds, label) if label else kinds
    operations = frozenset({operation})
    return Metric(
        name=name, kind=Kind.COUNTER, about=about, operations=operations, labels=labels, counts=counts
    )  # fmt: skip


_MS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000)
_SECONDS: Final = (0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)
VERIFICATION: Final = "catalog.verification_ms"
QUERY: Final = "catalog.query_latency_ms"
OPERATION: Final = "catalog.operation_seconds"
GC: Final = "catalog.gc_duration_seconds"
GARBAGE: Final = frozenset({"gc", "purge"})

METRICS: Final = (
    Metric(
        name="catalog.verification_p99_ms", kind=Kind.GAUGE, percentile=99, operations=frozenset({"verify"}),
        about=f"Time to read, hash and compare a copy: 99th percentile of the last {WINDOW:,} copies",
    ),
    Metric(
        name="catalog.dedup_ratio", kind=Kind.GAUGE, operations=frozenset({"ingest", "apply"}),
        about="Share of the logical bytes that sharing saves, 0 to 1, as docs/figures.md defines it",
    ),
    Metric(
        name="catalog.backup_proof_timestamp_seconds", kind=Kind.GAUGE, operations=frozenset({"drill"}),
        about="When a drill last proved that a backup can be restored, in seconds since 1970",
    ),
    Metric(
        name=GC, kind=Kind.GAUGE, operations=frozenset({"plan", "apply"}), labels=("operation", "kind"),
        about="How long the last planning, or applying, of garbage collection (gc, purge) took",
    ),
    Metric(
        name="catalog.consistency_check_anomalies", kind=Kind.GAUGE, operations=frozenset({"audit"}),
        about="Errors and warnings of the last full audit",
    ),
    Metric(
        name="catalog.query_latency_p95_ms", kind=Kind.GAUGE, percentile=95, operations=frozenset({"query"}),
        about=f"Time of find, frame, near, search and sql: 95th percentile of the last {WINDOW:,}",
    ),
    Metric(
        name=VERIFICATION, kind=Kind.HISTOGRAM, buckets=_MS, operations=frozenset({"verify"}),
        about="Time to read, hash and compare a copy",
    ),
    Metric(
        name=QUERY, kind=Kind.HISTOGRAM, buckets=_MS, operations=frozenset({"query"}), labels=("query",),
        about="Time of find, frame, near, search and sql",
    ),
    Metric(
        name=OPERATION, kind=Kind.HISTOGRAM, buckets=_SECONDS, operations=ALLOWED["operation"],
        labels=("operation", "outcome", "kind", "report", "store"),
        about="How long operations took; its count is the number of operations",
    ),
    _counter(
        "catalog.ingest_documents", "Files seen by ingest", "ingest", "outcome", "ingested", "skipped", "failed"
    ),
    _counter("catalog.ingest_bytes", "Bytes of documents taken in", "ingest", count="bytes"),
    _counter("catalog.ingest_new_blobs", "Contents that were new", "ingest", count="new_blobs"),
    _counter(
        "catalog.verify_copies", "Copies verified", "verify", "outcome", "ok", "corrupt", "missing", "unknown"
    ),
    _counter("catalog.verify_bytes", "Bytes read to verify copies", "verify", count="bytes"),
    _counter("catalog.apply_steps", "Steps of plans", "apply", "outcome", "done", "skipped", "failed", "waiting"),
    _counter("catalog.steps_done", "Steps of plans that were carried out, by action", "apply", "step",
             *sorted(ALLOWED["step"])),
    _counter("catalog.freed_bytes", "Bytes that plans freed in stores", "apply", count="bytes_freed"),
    _counter("catalog.audit_findings", "Findings of audits", "audit", "severity", "error", "warning", "info"),
)  # fmt: skip

PAGE: Final = """\
# Telemetry

catalogkit reports to [OpenTelemetry](https://opentelemetry.io): a span for each operation, nested, and the metrics
below. Install `pip install 'catalogkit[telemetry]'` and name an exporter; without both, nothing is loaded and nothing
is sent.

## Settings

In `catalogkit.toml`:

```toml
[telemetry]
exporter = "otlp"                       # or "console" (on stderr), "prometheus", "none"
endpoint = "http://localhost:4318"      # of an OTLP collector, over HTTP
interval_seconds = 60                   # how often metrics are sent
flush_seconds = 2                       # the longest a command waits at its end to send the rest
textfile = "/var/lib/node_exporter/catalogkit.prom"
```

What is not set here comes from the standard environment variables: `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`,
`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
`OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_SDK_DISABLED` and the others of the SDK.

Put secrets into `OTEL_EXPORTER_OTLP_HEADERS`. An endpoint with a user, a password or a query is refused, and errors of
an exporter are not logged word by word, because they contain the address.

A collector that cannot be reached costs a command `flush_seconds` and one line on stderr, never its result.

## Prometheus

**Commands** end before anybody could scrape them, so they write a **textfile** for node_exporter's textfile collector
when they end. It is replaced atomically and continued: counters and histograms go on from command to command, a gauge
keeps its last value.

**Processes that stay**, such as a notebook or a scheduler, can be scraped. With `exporter = "prometheus"` they answer
at `http://localhost:9464/metrics` (`host` and `port`):

```python
import catalogkit as ck

c = ck.open("papers")
telemetry = ck.start_telemetry(c)  # stop() ends it, and sends what is left
```

`ck.start_telemetry(c, meter_provider=..., tracer_provider=...)` uses the providers that a program already has.

Import [grafana.json](grafana.json) into Grafana for a dashboard; it asks for a Prometheus data source.

With OTLP every command is a process of its own (`service.instance.id`): sum over it, or send deltas with
`OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta`.

## Metrics

| metric | in Prometheus | kind | attributes | what it is |
|---|---|---|---|---|
{metrics}

Compute other percentiles from the histograms, such as
`histogram_quantile(0.99, sum by (le) (rate(catalog_verification_ms_bucket[1d])))`. A gauge that was never measured is
absent, not 0. The first query of a command includes its imports.

Telemetry costs about 10 µs of CPU for each copy that is verified, and about a second for a million contents to compute
the dedup ratio after an ingest or a plan that changed something. When it is off it costs nothing.

## Attributes

Metrics have these attributes and values only; any other value is reported as `{other}`. So no id, path, digest or URL
becomes an attribute, and the number of series is bounded.

| attribute | values |
|---|---|
{allowed}

`store` is the kind of the collection's own store.

Spans are called `catalog.<operation>`. Their attributes are these with the prefix `catalog.`, and counts of the
operation as `catalog.count.<name>`.

A report runs in a kernel, a process of its own, with the telemetry settings of the report's collection. Its spans are
children of `catalog.report`, and it reports to a collector or a textfile as well; `console` and `prometheus` cover only
the command itself.
"""


def page() -> str:
    """The page docs/telemetry.md."""
    rows = [
        f"| `{one.name}` | `{one.prometheus}` | {one.kind} | {', '.join(one.labels) or '-'} | {one.about} |"
        for one in METRICS
    ]
    allowed = [f"| {name} | {', '.join(sorted(values))} |" for name, values in ALLOWED.items()]
    return PAGE.format(metrics="\n".join(rows), allowed="\n".join(allowed), other=OTHER)

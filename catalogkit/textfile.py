"""Writes metrics to a file for node_exporter's textfile collector.

A command that ended cannot be scraped, and the next one begins counting at 0. So what it measured is added to what
the file has: counters and histograms are summed up, a gauge keeps its last value.
"""

from __future__ import annotations

import fcntl
import logging
import os
from typing import TYPE_CHECKING

from catalogkit.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric as Family


def add_to(path: Path, registry: CollectorRegistry) -> None:
    """Add what was measured to a file, in one step; one command at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        unfinished = path.with_name(f"{path.name}.part")  # the collector reads *.prom only
        unfinished.write_text(merged(before, registry), encoding="utf-8")
        os.replace(unfinished, path)


def merged(before: str, registry: CollectorRegistry) -> str:
    """What a file had, and what was measured since, as one text."""
    from prometheus_client import CollectorRegistry, generate_latest

    now = {family.name: family for family in registry.collect()}
    for family in _families(before):
        now[family.name] = _sum(family, now[family.name]) if family.name in now else family

    class Whole:
        def collect(self) -> Iterator[Family]:
            yield from now.values()

    both = CollectorRegistry(auto_describe=False)
    both.register(Whole())
    return generate_latest(both).decode()


def _families(text: str) -> Iterable[Family]:
    """The metrics of ours in a text; none of a text that is damaged."""
    from prometheus_client.parser import text_string_to_metric_families

    ours = {metric.name.replace(".", "_") for metric in METRICS}
    try:
        return [family for family in text_string_to_metric_families(text) if family.name in ours]
    except ValueError:
        logging.getLogger("catalogkit").warning("the file of metrics was damaged; counting begins anew")
        return []


def _sum(old: Family, new: Family) -> Family:
    adds = old.type in ("counter", "histogram")
    bounds = [{sample.labels["le"] for sample in one.samples if "le" in sample.labels} for one in (old, new)]
    if old.type != new.type or bounds[0] != bounds[1]:
        return new  # another version's
    samples = {(one.name, tuple(sorted(one.labels.items()))): one for one in old.samples}
    for one in new.samples:
        key = (one.name, tuple(sorted(one.labels.items())))
        before = samples[key].value if adds and key in samples else 0.0
        samples[key] = one._replace(value=one.value + before)
    new.samples = list(samples.values())
    return new

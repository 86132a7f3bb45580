"""The file for node_exporter: whole or not at all, added to by one command after another."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from catalogkit.signals import Told
from catalogkit.telemetry import Recorder
from catalogkit.textfile import add_to, merged

if TYPE_CHECKING:
    from collections.abc import Callable


def measured(*ok: int, ratio: float | None = None) -> CollectorRegistry:
    """What a command measured that verified so many copies, a millisecond each."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(True, scope_info_enabled=False, registry=registry)
    record = Recorder(MeterProvider([reader], shutdown_on_exit=False), None)
    for count in ok:
        told = Told("verify", {})
        with record(told):
            told.count(ok=count)
            told.sample("verification_ms", [1.0] * count)
            if ratio is not None:
                told.figure("dedup_ratio", ratio)
    return registry


def read(text: str) -> dict[str, float]:
    """Every sample by its name and attributes."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {f"{one.name}{sorted(one.labels.items()) or ''}": one.value for one in samples}


def test_commands_add_up(tmp_path: Path) -> None:
    """Counters and histograms are summed, a gauge keeps its last value; nothing else is left in the folder."""
    path = tmp_path / "new" / "catalogkit.prom"
    add_to(path, measured(3, ratio=0.25))
    add_to(path, measured(4, 5))
    found = read(path.read_text())
    assert found["catalog_verify_copies_total[('outcome', 'ok')]"] == 12
    assert found["catalog_verification_ms_count"] == 12
    assert found["catalog_verification_ms_sum"] == 12
    assert found["catalog_verification_ms_bucket[('le', '+Inf')]"] == 12
    assert found["catalog_verification_ms_bucket[('le', '0.5')]"] == 0
    assert found["catalog_dedup_ratio"] == 0.25
    assert found["catalog_verification_p99_ms"] == 1
    add_to(path, measured(1, ratio=0.5))
    assert read(path.read_text())["catalog_dedup_ratio"] == 0.5
    assert sorted(one.name for one in path.parent.iterdir()) == ["catalogkit.prom", "catalogkit.prom.lock"]


@pytest.mark.parametrize("damage", [lambda text: text[:-7], lambda text: "what{is=this", lambda text: "\x00\xff"])
def test_a_damaged_file_begins_anew(
    damage: Callable[[str], str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be read is left behind, and that is said."""
    before = damage(merged("", measured(3)))
    assert read(merged(before, measured(4)))["catalog_verify_copies_total[('outcome', 'ok')]"] in (4, 7)
    assert "damaged" in caplog.text


def test_what_is_not_ours_is_left_out() -> None:
    """A metric that this version does not have, or has with other bounds, is not carried on."""
    before = "# TYPE old counter\nold_total 3\n# TYPE catalog_verification_ms histogram\n"
    before += 'catalog_verification_ms_bucket{le="7"} 3\ncatalog_verification_ms_bucket{le="+Inf"} 3\n'
    found = read(merged(before, measured(4)))
    assert found["catalog_verification_ms_bucket[('le', '+Inf')]"] == 4
    assert not [name for name in found if name.startswith("old") or "'7'" in name]


def test_readers_always_see_a_whole_file(tmp_path: Path) -> None:
    """While processes write one after another, every look gives a file that can be read, and no count is lost."""
    path = tmp_path / "catalogkit.prom"
    code = (
        "import sys; from pathlib import Path; from catalogkit.textfile import add_to;"
        "from tests.telemetry.test_textfile import measured\n"
        "registry = measured(1)\n"
        "for _ in range(100): add_to(Path(sys.argv[1]), registry)"
    )
    root = Path(__file__).parents[2]
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=root) for _ in range(2)]
    looks, done = 0, threading.Event()
    while not done.is_set():
        if all(one.poll() is not None for one in writers):
            done.set()
        if path.exists():
            assert "catalog_verification_ms_count" in read(path.read_text())
            looks += 1
    assert [one.returncode for one in writers] == [0, 0]
    assert looks > 3
    assert read(path.read_text())["catalog_verify_copies_total[('outcome', 'ok')]"] == 200

"""Any order of events, by two clients, with crashes: shortly here, deeper among the stress tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.plans.machine import Machine

QUICK = settings(
    max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


class TestMachine(Machine.TestCase):  # type: ignore[misc,name-defined]
    """Nothing is lost, whatever happens in whatever order."""

    settings = QUICK

"""The policy of dedup: checked when it is written down, strict in the settings, money exact."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from catalogkit.config import CONFIG_NAME, read_config
from catalogkit.errors import InvalidInput
from catalogkit.policies.dedup import Costs, DedupPolicy


def test_the_fields_are_those_of_the_sketch() -> None:
    """Names, order and defaults of the first four are as sketched."""
    policy = DedupPolicy(1_000_000, 90, 0.10, None)
    assert policy == DedupPolicy()
    assert (policy.min_file_size, policy.max_age_days, policy.cost_threshold) == (1_000_000, 90, 0.10)
    assert policy.resolver_allowlist is None


def test_money_is_what_somebody_typed() -> None:
    """A float is taken by its digits, so that 0.1 is a tenth; money leaves as text."""
    costs = Costs(per_gb_month=0.1, per_hour="0.25", per_gb_read=3)  # type: ignore[arg-type]
    assert (costs.per_gb_month, costs.per_hour, costs.per_gb_read) == (Decimal("0.1"), Decimal("0.25"), Decimal(3))
    assert DedupPolicy(costs=costs).plain()["costs"]["per_gb_month"] == "0.1"


@pytest.mark.parametrize(
    "values",
    [
        {"min_file_size": -1},
        {"min_file_size": "1MB"},
        {"min_file_size": True},
        {"max_age_days": -1},
        {"max_age_days": 1.5},
        {"max_age_days": 10**9},
        {"cost_threshold": -0.1},
        {"cost_threshold": float("nan")},
        {"cost_threshold": float("inf")},
        {"resolver_allowlist": "core"},
        {"resolver_allowlist": [1]},
        {"preserve_owner": "yes"},
        {"costs": None},
    ],
)
def test_a_value_that_is_none_is_refused(values: dict[str, Any]) -> None:
    """One clear error that names the field."""
    with pytest.raises(InvalidInput, match=next(iter(values))):
        DedupPolicy(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"per_gb_month": -1},
        {"per_gb_month": "cheap"},
        {"per_hour": float("nan")},
        {"per_gb_read": True},
        {"per_1000_requests": "1e12"},
        {"months": -1},
        {"seconds_per_request": "fast"},
        {"read_mb_per_second": 0},
        {"currency": " "},
    ],
)
def test_a_price_that_is_none_is_refused(values: dict[str, Any]) -> None:
    """Prices are finite and not negative, times and speeds numbers."""
    with pytest.raises(InvalidInput, match=next(iter(values))):
        Costs(**values)


def settings(folder: Path, text: str) -> DedupPolicy:
    (folder / CONFIG_NAME).write_text(text)
    return read_config(folder).dedup


def test_settings_are_read(tmp_path: Path) -> None:
    """`[dedup]` and `[dedup.costs]` give a policy; what they leave out has its default."""
    text = """
        [dedup]
        min_file_size = 5
        resolver_allowlist = ["pmc", "core"]
        [dedup.costs]
        currency = "EUR"
        per_gb_month = 0.02
    """
    costs = Costs(currency="EUR", per_gb_month=Decimal("0.02"))
    assert settings(tmp_path, text) == DedupPolicy(5, resolver_allowlist=["core", "pmc"], costs=costs)
    assert settings(tmp_path, "") == DedupPolicy()


@pytest.mark.parametrize(
    "text, named",
    [
        ("[dedup]\nmin_size = 5", "min_size"),
        ("[dedup]\nmin_file_size = -5", "min_file_size"),
        ("[dedup]\nmax_age_days = 'old'", "max_age_days"),
        ("[dedup.costs]\nper_gb = 5", "per_gb"),
        ("[dedup.costs]\nper_hour = -5", "per_hour"),
        ("[dedup]\nresolver_allowlist = [5]", "resolver_allowlist"),
    ],
)
def test_a_misspelt_setting_is_an_error(tmp_path: Path, text: str, named: str) -> None:
    """Unknown names and wrong values are errors that name the setting, never defaults."""
    with pytest.raises(InvalidInput, match=named):
        settings(tmp_path, text)

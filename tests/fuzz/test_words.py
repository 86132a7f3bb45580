"""Whatever somebody types where a word of ours is expected: it is understood, or refused as bad input."""

from __future__ import annotations

import contextlib
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit.approval import condition
from catalogkit.config import parse_config
from catalogkit.errors import InvalidInput
from catalogkit.filters import parse_filters
from catalogkit.layouts import Template, segment
from catalogkit.model import Digest
from catalogkit.params import Parameter
from catalogkit.policies.retention import RetentionPolicy
from catalogkit.stores.s3.settings import S3Settings
from catalogkit.units import parse_bytes, parse_duration, parse_money, parse_when
from catalogkit.words import parse_query
from tests.fuzz.mangling import mangled_text

if TYPE_CHECKING:
    from collections.abc import Callable

FRAME = pl.DataFrame({"bytes": [1, 2], "reason": ["orphan", "x"]})
SETTINGS = """
catalog = "sqlite:///catalog.sqlite"
[store]
url = "file:store"
layout = "policy"
template = "{resolver}/{artifact_id}"
[retention]
age_days = 90
resolver_rules = { arxiv = 365, web = { shorten = 30 } }
size_tier_rules = { ">=50MB" = 400 }
[dedup]
max_age_days = 30
costs = { per_gb_month = "0.08" }
[maintain]
skip = ["reports"]
[maintain.verify]
budget = "30m"
[telemetry]
exporter = "otlp"
endpoint = "http://localhost:4318"
[prices.main]
read_gb = 0.09
"""
RULES = 'age_days = 90\ncontent_type_rules = { "text/html" = 10, "image/*" = 5 }\n[tenants.a]\nage_days = 3\n'


class Door(NamedTuple):
    """A reader of text, and texts that it accepts."""

    read: Callable[[str], Any]
    good: tuple[str, ...]


DOORS = {
    "duration": Door(parse_duration, ("30d", "1.5h", "10m")),
    "bytes": Door(parse_bytes, ("50GB", "1.5 MiB", "17")),
    "time": Door(parse_when, ("2026-05-01", "2026-05-01T12:00:00+02:00", "2026-05-01T00:00Z")),
    "money": Door(parse_money, ("2USD", "0.5 EUR")),
    "search": Door(parse_query, ('"exact words" title:plan -not pre*', "a OR b")),
    "filters": Door(parse_filters, ("page_count>=10", "language=de", "metadata.note=x", "bytes<5kB")),
    "digest": Door(Digest.parse, ("ab" * 32,)),
    "bucket": Door(
        S3Settings.parse,
        (
            "s3://papers/main?region=eu-central-1&sse=aws:kms&bandwidth=20MB",
            "az://papers/a?account=acme",
        ),
    ),
    "template": Door(Template, ("{resolver}/{artifact_id}/{basename}",)),
    "settings": Door(lambda text: parse_config(_toml(text)), (SETTINGS,)),
    "retention": Door(lambda text: RetentionPolicy.parse(_toml(text)), (RULES,)),
    "condition": Door(lambda text: condition(FRAME, text), ("bytes > 1 AND reason = 'orphan'", "reason LIKE 'o%'")),
    "whole number": Door(Parameter("n", int, 0).read, ("17", "-3")),
    "list": Door(Parameter("n", list, []).read, ("[1, 'two']",)),
    "table": Door(Parameter("n", dict, {}).read, ("{'a': 1}",)),
}


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as problem:  # its own complaint; who reads the file hands it on
        raise InvalidInput(str(problem)) from None


@pytest.mark.parametrize("name", DOORS)
def test_what_is_good_is_understood(name: str) -> None:
    """The texts that are changed below are accepted as they are."""
    for text in DOORS[name].good:
        DOORS[name].read(text)


@pytest.mark.parametrize("name", DOORS)
def test_any_text_is_understood_or_refused(name: str) -> None:
    """No text makes a reader fail with anything but `InvalidInput`, which says something."""
    door = DOORS[name]

    @settings(deadline=None)
    @given(text=mangled_text(*door.good))
    def any_text(text: str) -> None:
        try:
            door.read(text)
        except InvalidInput as refused:
            assert str(refused)

    any_text()


@settings(deadline=None)
@given(text=st.text(max_size=300))
def test_any_id_makes_a_name_for_a_file(text: str) -> None:
    """Whatever an id is, its part of a path is one plain name of at most 255 bytes."""
    with contextlib.suppress(InvalidInput):
        made = segment(text)
        assert made not in ("", ".", "..")
        assert "/" not in made
        assert "\x00" not in made
        assert len(made.encode()) <= 255

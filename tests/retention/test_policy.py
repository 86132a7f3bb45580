"""The policy: what it takes, what it refuses, and which rule wins."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import catalogkit as ck
from catalogkit import sniff
from catalogkit.errors import InvalidInput
from catalogkit.policies.retention import Circumstances, RetentionPolicy, Rule, decisive
from catalogkit.policies.wording import Shorten, media_types
from tests.retention.frames import DAY, NOW, record


def test_the_policy_as_sketched() -> None:
    """Fields by place and by name, with their defaults; a record alone is enough to decide."""
    policy = ck.RetentionPolicy()
    assert (policy.age_days, policy.min_replicas) == (180, 2)
    assert (policy.content_type_rules, policy.resolver_rules, policy.size_tier_rules) == ({}, {}, {})
    policy = ck.RetentionPolicy(180, {"application/pdf": 365}, {"unpaywall": 90}, 2, {"large": 365, "small": 90})
    assert policy.resolver_rules["unpaywall"] == 90
    decision = policy.evaluate(record(seen_at=datetime.fromisoformat("2001-01-01T00:00Z")))
    assert isinstance(decision, ck.RetentionDecision)
    assert not decision.keep and decision.score > 1
    assert decision.words.startswith("forget: due by age_days. Last seen 2001-01-01")


@pytest.mark.parametrize(
    "values,said",
    [
        ({"age_dayz": 3}, "'age_dayz' is not known; did you mean 'age_days'"),
        ({"content_type_rules": {"aplication/pdf": 3}}, "did you mean 'application/pdf'"),
        ({"content_type_rules": {"imgae/*": 3}}, r"did you mean 'image/\*'"),
        ({"content_type_rules": {"pdf": 3}}, "no media type; write it like application/pdf"),
        ({"content_type_rules": {"text/html": 3, "TEXT/HTML; q=1": 4}}, "there twice"),
        ({"size_tier_rules": {"larg": 3}}, "did you mean 'large'.*bounds such as"),
        ({"size_tier_rules": {"<10 parsecs": 3}}, "not a size"),
        ({"size_tier_rules": {"2MB..1MB": 3}}, "no size is within"),
        ({"age_days": 0}, "age_days must be whole days"),
        ({"age_days": True}, "age_days must be whole days"),
        ({"age_days": 1.5}, "age_days must be whole days"),
        ({"age_days": 36_501}, "age_days must be whole days"),
        ({"age_days": {"shorten": 3}}, "age_days cannot shorten"),
        ({"resolver_rules": {"core": "3"}}, "resolver_rules 'core' must be whole days"),
        ({"resolver_rules": {"core": {"shorten": 3, "days": 4}}}, "resolver_rules 'core' must be whole days"),
        ({"resolver_rules": ["core"]}, "must be a table"),
        ({"min_replicas": -1}, "min_replicas must be"),
        ({"min_replicas": "2"}, "min_replicas must be"),
        ({"count_access": "yes"}, "count_access must be true or false"),
        ({"expected": "core"}, "expected must be a list"),
        ({"tenants": {"acme": {"age_dais": 3}}}, "did you mean 'age_days'"),
        ({"tenants": {"acme": {"tenants": {"x": {}}}}}, "without tenants of its own"),
        ({"tenants": {"acme": 5}}, "tenants.acme: its policy must be a table"),
    ],
)
def test_a_slip_is_an_error_that_names_it(values: dict[str, Any], said: str) -> None:
    """What is misspelt or of the wrong kind is refused, with the likely spelling (hazard 15)."""
    with pytest.raises(InvalidInput, match=said):
        RetentionPolicy.parse(values)


def test_names_are_held_against_the_catalog() -> None:
    """A resolver or tenant nobody knows is an error, unless it is expected; a document may have no resolver."""
    policy = RetentionPolicy(resolver_rules={"unpaywal": 90, "": 3})
    with pytest.raises(InvalidInput, match=r"'unpaywal' is not known; did you mean 'unpaywall'.*expected"):
        policy.check_names(resolvers=["unpaywall"], tenants=["default"])
    RetentionPolicy(resolver_rules={"unpaywal": 90}, expected=("unpaywal",)).check_names(resolvers=[], tenants=[])
    tenants = RetentionPolicy(tenants={"acme": policy})
    with pytest.raises(InvalidInput, match="tenants: 'acme'"):
        tenants.check_names(resolvers=["unpaywal"], tenants=["default"])
    with pytest.raises(InvalidInput, match="'unpaywal'"):
        tenants.check_names(resolvers=["core"], tenants=["acme"])


def test_a_type_that_is_still_to_come_is_named_on_purpose() -> None:
    """A media type no list has can be expected."""
    rules = {"application/x-our-own": 30}
    with pytest.raises(InvalidInput, match="x-our-own"):
        RetentionPolicy(content_type_rules=rules)
    assert RetentionPolicy(content_type_rules=rules, expected=("Application/X-our-own",)).content_type_rules == rules


def test_every_type_that_is_told_from_bytes_may_have_a_rule() -> None:
    """Whatever `sniff` can say is known to the policy."""
    source = Path(sniff.__file__).read_text(encoding="utf-8")
    told = set(re.findall(r'"((?:application|audio|image|text|video)/[a-z0-9.+-]+)"', source))
    assert len(told) > 25
    assert told <= media_types()


def test_plain_data_and_back() -> None:
    """A policy is plain data, with which a plan is made again."""
    policy = RetentionPolicy(
        90, {"text/html": Shorten(3)}, {"core": 5}, 1, {">=5MB": 400}, count_access=True, expected=("x",),
        tenants={"acme": RetentionPolicy(7)},
    )  # fmt: skip
    plain = policy.plain()
    assert plain["content_type_rules"] == {"text/html": {"shorten": 3}}
    assert RetentionPolicy.parse(plain) == policy


def test_a_rule_that_never_decides_is_remarked_on() -> None:
    """A rule below age_days that does not shorten is no error, but is spoken of."""
    policy = RetentionPolicy(180, resolver_rules={"unpaywall": 90, "core": Shorten(3), "pmc": 200})
    (remark,) = policy.remarks()
    assert "'unpaywall' gives 90 days and never decides" in remark
    (remark,) = RetentionPolicy(tenants={"acme": policy}).remarks()
    assert remark.startswith("tenants.acme: ")


days = st.integers(1, 400)
rules = st.lists(st.builds(Rule, st.sampled_from(["content-type", "resolver"]), st.text(max_size=3), days))
shortening = st.lists(st.builds(Rule, st.just("size-tier"), st.text(max_size=3), days.map(Shorten)), max_size=3)


@given(rules, shortening, days, days)
def test_a_rule_more_never_shortens_unless_it_says_so(
    longer: list[Rule], caps: list[Rule], default: int, more: int
) -> None:
    """Whatever the rules are, one more lengthens or changes nothing; one that shortens never lengthens (hazard 14)."""
    given_ = [*longer, *caps, Rule("age", "", default)]
    before = decisive(given_).days
    assert decisive([*given_, Rule("resolver", "one more", more)]).days >= before
    assert decisive([*given_, Rule("resolver", "one more", Shorten(more))]).days == min(before, more)


def test_every_rule_that_applies_is_told() -> None:
    """The decision lists all rules, the winner, and says both in words."""
    policy = RetentionPolicy(10, {"text/*": 20}, {"core": 30}, size_tier_rules={"small": Shorten(25), "tiny": 1})
    decision = policy.evaluate(record(resolver="core", bytes=20_000, seen_at=NOW - 26 * DAY), as_of=NOW)
    assert [str(rule) for rule in decision.rules] == [
        "content-type text/*: 20 d",
        "resolver core: 30 d",
        "size-tier small: 25 d, shortens",
        "age: 10 d",
    ]
    assert str(decision.winner) == "size-tier small: 25 d, shortens"
    assert (decision.reason, decision.score, decision.due_at) == ("due-size-tier", 26 / 25, NOW - DAY)
    assert "Other rules that apply: content-type text/*: 20 d; resolver core: 30 d; age: 10 d." in decision.words


def test_the_last_sighting_counts() -> None:
    """Age counts from the last sighting, not from the first; an access is one where the policy says so (hazard 16)."""
    old = record(created_at=NOW - 900 * DAY, changed_at=NOW - 900 * DAY, seen_at=NOW - DAY)
    assert RetentionPolicy(180).evaluate(old, as_of=NOW).keep
    read = Circumstances(accessed_at=NOW - DAY)
    assert not RetentionPolicy(180).evaluate(record(), as_of=NOW, circumstances=read).keep
    assert RetentionPolicy(180, count_access=True).evaluate(record(), as_of=NOW, circumstances=read).keep


@pytest.mark.parametrize("seen", ["2026-01-01", "2026-01-01T00:00+00:00"])
@pytest.mark.parametrize("as_of", ["2026-11-01", "2026-11-01T00:00+00:00"])
def test_a_time_without_a_zone_is_refused(seen: str, as_of: str) -> None:
    """Naive times are an error, never a crash or a guess (hazard 62)."""
    given_ = [datetime.fromisoformat(text) for text in (seen, as_of)]
    about = record(seen_at=given_[0])
    if all(when.tzinfo for when in given_):
        assert not RetentionPolicy().evaluate(about, as_of=given_[1]).keep
    else:
        with pytest.raises(InvalidInput, match="no time zone"):
            RetentionPolicy().evaluate(about, as_of=given_[1])

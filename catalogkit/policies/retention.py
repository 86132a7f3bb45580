"""The retention policy: its rules, how they are checked, and the decision about one document.

A rule gives a number of days, counted from the last time a document was seen. Of all rules that apply the longest
wins, so that adding a rule never shortens; a rule that is meant to shorten says so (`Shorten`), and then caps the rest.
`catalogkit.policies.deciding` decides about whole catalogs by the same rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalogkit.errors import InvalidInput
from catalogkit.model import to_us
from catalogkit.policies.wording import (
    Shorten,
    check_each,
    check_name,
    effective_type,
    inside,
    read_days,
    read_rules,
    read_table,
    read_tiers,
    read_types,
)

if TYPE_CHECKING:
    from catalogkit.model import DocumentRecord

KEEP: Final = {
    "not-asked": "the plan is for the documents of another tenant only",
    "held": "a hold is on the document or on its bytes",
    "age-unknown": "when it was last seen is not known",
    "seen-in-future": "it was last seen in the future: some clock was wrong",
    "young": "the rule that decides has not run out",
    "copies-unknown": "it is due, but how many healthy copies of its bytes there are is not known",
    "too-few-copies": "it is due, but documents that stay need its bytes, which have too few healthy copies",
}
FORGET: Final = {
    "due-age": "due by age_days",
    "due-content-type": "due by a content type rule",
    "due-resolver": "due by a resolver rule",
    "due-size-tier": "due by a size tier rule",
}
REASONS: Final = KEEP | FORGET


class Rule(NamedTuple):
    """A rule that applies to a document: which one, and its days."""

    kind: str
    name: str
    days: int

    def __str__(self) -> str:
        caps = ", shortens" if isinstance(self.days, Shorten) else ""
        return f"{self.kind}{f' {self.name}' if self.name else ''}: {int(self.days):,} d{caps}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a record does not say of itself, and its catalog knows.

    Attributes
    ----------
    held
        Whether a hold is on it or on its bytes.
    accessed_at
        Its newest entry in the access log.
    needed
        Whether another document, one that is kept, has the same bytes.
    healthy
        How many healthy physical copies its bytes have; None where that is not known.
    """

    held: bool = False
    accessed_at: datetime | None = None
    needed: bool = False
    healthy: int | None = 0


ALONE: Final = Circumstances()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionDecision:
    """What is decided about a document, and everything it rests on.

    Attributes
    ----------
    keep : bool
        Whether it stays.
    reason : str
        A code of `REASONS`.
    score : float
        Days since it was last seen, divided by the days it is kept: from 1 on it is due, at 2 it is twice as old as it
        had to be. 0 where the age is not known or lies in the future.
    days : int
        The days that the deciding rule gives.
    winner : Rule
        The rule that decides.
    rules : tuple of Rule
        Every rule that applies.
    last_seen, due_at : datetime or None
        When it was last seen, and from when on it is due.
    """

    keep: bool
    reason: str
    score: float
    days: int
    winner: Rule
    rules: tuple[Rule, ...]
    last_seen: datetime | None
    due_at: datetime | None

    @property
    def words(self) -> str:
        """The decision in a sentence or two."""
        said = f"{'keep' if self.keep else 'forget'}: {REASONS[self.reason]}."
        if self.last_seen is not None and self.due_at is not None:
            said += (
                f" Last seen {self.last_seen:%Y-%m-%d %H:%M} UTC, kept {self.days:,} days by {self.winner},"
                f" due from {self.due_at:%Y-%m-%d %H:%M} UTC on."
            )
        others = [str(rule) for rule in self.rules if rule != self.winner]
        return f"{said} Other rules that apply: {'; '.join(others)}." if others else said


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long documents are kept after they were last seen.

    Attributes
    ----------
    age_days : int
        For every document.
    content_type_rules : mapping
        Media type (or a whole family, ``image/*``) to days. The type told from the bytes counts; the declared one
        where the bytes say no more than plain text or nothing. Parameters and case do not matter.
    resolver_rules : mapping
        Resolver to days.
    min_replicas : int
        Protects what is kept: as long as another document that stays needs the same bytes, and they have fewer healthy
        physical copies than this, a due document stays as well, because its source is one more way to get them back.
        Forgetting never takes a copy from a document that is kept, whatever this says.
    size_tier_rules : mapping
        Size to days: ``tiny`` (below 10 kB), ``small`` (below 1 MB), ``medium`` (below 10 MB), ``large`` (below
        100 MB), ``huge``, or bounds: ``<10kB``, ``>=50MB``, ``10kB..1MB`` (from the first, below the second).
    count_access : bool
        Whether an entry in the access log counts as a sighting.
    expected : tuple of str
        Resolvers, media types and tenants that are not known yet, so that a rule about them is no slip.
    tenants : mapping
        Tenant to the whole policy for its documents; nothing is inherited.

    Days are whole numbers from 1 to 36,500. ``{"shorten": 30}`` in their place caps what longer rules give.

    Raises
    ------
    InvalidInput
        If a value is not acceptable, or a type or tier is not known; it names the likely spelling.

    Examples
    --------
    >>> policy = ck.RetentionPolicy.parse({"age_days": 90, "resolver_rules": {"arxiv": 365}})
    >>> ck.plan_retention(c, policy).units
    0
    """

    age_days: int = 180
    content_type_rules: Mapping[str, int] = field(default_factory=dict)
    resolver_rules: Mapping[str, int] = field(default_factory=dict)
    min_replicas: int = 2
    size_tier_rules: Mapping[str, int] = field(default_factory=dict)
    count_access: bool = field(default=False, kw_only=True)
    expected: tuple[str, ...] = field(default=(), kw_only=True)
    tenants: Mapping[str, RetentionPolicy] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        put("age_days", read_days("age_days", self.age_days))
        if isinstance(self.age_days, Shorten):
            raise InvalidInput("age_days cannot shorten: it is the rule for every document")
        if type(self.min_replicas) is not int or self.min_replicas < 0:
            raise InvalidInput(f"min_replicas must be a whole number from 0 on, not {self.min_replicas!r}")
        if type(self.count_access) is not bool:
            raise InvalidInput(f"count_access must be true or false, not {self.count_access!r}")
        names: object = self.expected
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise InvalidInput("expected must be a list of names")
        put("expected", tuple(self.expected))
        put("content_type_rules", read_types(self.content_type_rules, self.expected))
        put("size_tier_rules", read_tiers(self.size_tier_rules))
        put("resolver_rules", dict(read_rules("resolver_rules", self.resolver_rules)))
        put("tenants", dict(self.tenants))
        for name, policy in self.tenants.items():
            if not isinstance(policy, RetentionPolicy) or policy.tenants:
                raise InvalidInput(f"tenants.{name} must be a retention policy without tenants of its own")

    # -- deciding ----------------------------------------------------------------------------------------------

    def of_tenant(self, tenant: str) -> RetentionPolicy:
        """The policy for a tenant's documents."""
        return self.tenants.get(tenant, self)

    def rules(self, kind: str, resolver: str | None, size: int) -> tuple[Rule, ...]:
        """Every rule that applies to a document of this (normalised) media type, resolver and size in bytes."""
        family = f"{kind.partition('/')[0]}/*"
        types, tiers = self.content_type_rules.items(), self.size_tier_rules.items()
        found = [Rule("content-type", name, days) for name, days in types if name in (kind, family)]
        if resolver is not None and resolver in self.resolver_rules:
            found.append(Rule("resolver", resolver, self.resolver_rules[resolver]))
        found += [Rule("size-tier", name, days) for name, days in tiers if inside(name, size)]
        return (*found, Rule("age", "", self.age_days))

    def evaluate(
        self, record: DocumentRecord, *, as_of: datetime, circumstances: Circumstances = ALONE
    ) -> RetentionDecision:
        """Decide about one document, by the rules that decide about all.

        Parameters
        ----------
        record
            The document.
        as_of
            The time the decision is made for.
        circumstances
            What the record does not say; without it: no hold, never accessed, nobody else needs the bytes.

        Raises
        ------
        InvalidInput
            If a time has no time zone.
        """
        to_us(as_of)
        policy = self.of_tenant(record.tenant)
        rules = policy.rules(effective_type(record.media_type, record.content_type), record.resolver, record.bytes)
        winner = decisive(rules)
        seen = [record.seen_at, circumstances.accessed_at if policy.count_access else None]
        last_seen = max((when for when in seen if when is not None and to_us(when) is not None), default=None)
        known = last_seen is not None and last_seen <= as_of
        due_at = last_seen + timedelta(days=int(winner.days)) if last_seen is not None and known else None
        if circumstances.held:
            reason = "held"
        elif last_seen is None or due_at is None:
            reason = "age-unknown" if last_seen is None else "seen-in-future"
        elif due_at > as_of:
            reason = "young"
        elif circumstances.healthy is None:
            reason = "copies-unknown"
        elif circumstances.needed and circumstances.healthy < policy.min_replicas:
            reason = "too-few-copies"
        else:
            reason = f"due-{winner.kind}"
        return RetentionDecision(
            keep=reason in KEEP,
            reason=reason,
            score=(as_of - last_seen) / timedelta(days=int(winner.days)) if last_seen is not None and known else 0.0,
            days=int(winner.days),
            winner=winner,
            rules=rules,
            last_seen=last_seen,
            due_at=due_at,
        )

    # -- checking, and telling ---------------------------------------------------------------------------------

    def check_names(self, *, resolvers: Iterable[str], tenants: Iterable[str]) -> None:
        """Hold the rules against the resolvers and tenants that a catalog knows.

        Raises
        ------
        InvalidInput
            If a rule is about a name that is neither known nor `expected`; it names the likely spelling.
        """
        there = set(resolvers)
        check_each("tenants", self.tenants, {*tenants, *self.expected})
        for policy in (self, *self.tenants.values()):
            check_each("resolver_rules", policy.resolver_rules, {*there, *policy.expected, ""})

    def remarks(self) -> list[str]:
        """Rules that can never decide, in words: they are no error, but hardly what was meant."""
        said = []
        for where, policy in (("", self), *((f"tenants.{name}: ", one) for name, one in self.tenants.items())):
            for kind in ("content_type_rules", "resolver_rules", "size_tier_rules"):
                said += [
                    f"{where}{kind} {name!r} gives {days} days and never decides beside age_days = {policy.age_days};"
                    f" write {{ shorten = {days} }} if it is meant to shorten"
                    for name, days in getattr(policy, kind).items()
                    if not isinstance(days, Shorten) and days < policy.age_days
                ]
        return said

    def plain(self) -> dict[str, Any]:
        """As plain data, which `parse` reads."""
        said: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(RetentionPolicy)}
        for name in ("content_type_rules", "resolver_rules", "size_tier_rules"):
            said[name] = {
                key: {"shorten": int(days)} if isinstance(days, Shorten) else int(days)
                for key, days in said[name].items()
            }
        return said | {
            "expected": list(self.expected),
            "tenants": {name: policy.plain() for name, policy in self.tenants.items()},
        }

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> RetentionPolicy:
        """Read a policy from plain data, such as a table of ``catalogkit.toml``.

        Raises
        ------
        InvalidInput
            If a field is not known, or a value is not acceptable.
        """
        given = dict(values)
        names = {one.name for one in fields(RetentionPolicy)}
        for name in given:
            check_name("retention", name, names)
        tenants = read_table("tenants", given.pop("tenants", {}))
        parsed = {}
        for name, one in tenants.items():
            try:
                parsed[name] = RetentionPolicy.parse(read_table("its policy", one))
            except InvalidInput as problem:
                raise InvalidInput(f"tenants.{name}: {problem}") from None
        try:
            return cls(**given, tenants=parsed)
        except TypeError as problem:
            raise InvalidInput(f"this is no retention policy: {problem}") from None


def decisive(rules: Iterable[Rule]) -> Rule:
    """The rule that decides: the longest; then the shortest of those that shorten, if it is shorter still."""
    given = tuple(rules)
    longest = max((rule for rule in given if not isinstance(rule.days, Shorten)), key=lambda rule: rule.days)
    cap = min((rule for rule in given if isinstance(rule.days, Shorten)), key=lambda rule: rule.days, default=longest)
    return cap if cap.days < longest.days else longest

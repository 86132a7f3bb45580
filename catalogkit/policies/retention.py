"""How long documents are kept: the rules, what is checked about them, and the decision about one document.

A rule gives a number of days, counted from the last time a document was seen. Of all rules that apply the longest
wins, so that adding a rule never shortens; a rule that is meant to shorten says so (`Shorten`), and then caps the rest.
`catalogkit.policies.deciding` decides about whole catalogs by the same rules.
"""

from __future__ import annotations

import difflib
import mimetypes
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalogkit.errors import InvalidInput
from catalogkit.model import to_us
from catalogkit.units import parse_bytes

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

# Decimal, as sizes are shown; from so many bytes on, up to the next.
TIERS: Final = {"tiny": 0, "small": 10_000, "medium": 1_000_000, "large": 10_000_000, "huge": 100_000_000}
# A hundred years. What must stay longer than that is a hold.
MOST_DAYS: Final = 36_500
# What the bytes say where they say nothing; then the type that was declared counts.
VAGUE: Final = ("application/octet-stream", "text/plain")
# Types that `catalogkit.sniff` tells and the standard library does not list.
_SNIFFED: Final = (
    "application/x-empty application/gzip application/x-bzip2 application/x-xz application/zstd"
    " application/x-7z-compressed application/vnd.rar application/vnd.apache.parquet application/vnd.sqlite3"
    " application/x-ole-storage image/vnd.djvu application/x-elf audio/ogg image/webp application/x-ndjson"
    " application/xhtml+xml application/xml application/rtf application/epub+zip"
    " application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    " application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    " application/vnd.openxmlformats-officedocument.presentationml.presentation"
)
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/(\*|[a-z0-9][a-z0-9!#$&^_.+-]*)", re.ASCII)


class Shorten(int):
    """Days of a rule that caps what longer rules give; ``{"shorten": 30}`` in plain data."""

    def __repr__(self) -> str:
        return f"Shorten({int(self)})"


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

        put("age_days", _days("age_days", self.age_days))
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
        put("content_type_rules", self._types())
        put("size_tier_rules", {_tier(name): days for name, days in _rules("size_tier_rules", self.size_tier_rules)})
        put("resolver_rules", dict(_rules("resolver_rules", self.resolver_rules)))
        put("tenants", dict(self.tenants))
        for name, policy in self.tenants.items():
            if not isinstance(policy, RetentionPolicy) or policy.tenants:
                raise InvalidInput(f"tenants.{name} must be a retention policy without tenants of its own")

    def _types(self) -> dict[str, int]:
        found: dict[str, int] = {}
        known = media_types() | {media_type(name) for name in self.expected}
        for name, days in _rules("content_type_rules", self.content_type_rules):
            plain = media_type(name)
            if not _TYPE.fullmatch(plain):
                raise InvalidInput(f"content_type_rules: {name!r} is no media type; write it like application/pdf")
            if plain.endswith("/*"):
                _known("content_type_rules", plain, {f"{one.partition('/')[0]}/*" for one in known})
            else:
                _known("content_type_rules", plain, known)
            if plain in found:
                raise InvalidInput(f"content_type_rules: {plain} is there twice")
            found[plain] = days
        return found

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
        found += [Rule("size-tier", name, days) for name, days in tiers if _inside(name, size)]
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
        _each_known("tenants", self.tenants, {*tenants, *self.expected})
        for policy in (self, *self.tenants.values()):
            _each_known("resolver_rules", policy.resolver_rules, {*there, *policy.expected, ""})

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
            _known("retention", name, names)
        tenants = _table("tenants", given.pop("tenants", {}))
        parsed = {}
        for name, one in tenants.items():
            try:
                parsed[name] = RetentionPolicy.parse(_table("its policy", one))
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


def media_type(text: str) -> str:
    """A media type without parameters, in lower case.

    Examples
    --------
    >>> media_type("Application/PDF; charset=binary")
    'application/pdf'
    """
    return text.partition(";")[0].strip().lower()


def effective_type(told: str, declared: str) -> str:
    """The type that rules look at: told from the bytes; the declared one where these say nothing special."""
    plain = media_type(told)
    return (media_type(declared) or plain) if plain in VAGUE or not plain else plain


@cache
def media_types() -> frozenset[str]:
    """The media types that a rule may be about without further ado."""
    listed = mimetypes.MimeTypes()  # what Python itself lists, not what this machine does
    return frozenset(_SNIFFED.split()) | {one for table in listed.types_map for one in table.values()}


@cache
def bounds(tier: str) -> tuple[int, int | None]:
    """The sizes of a tier: from so many bytes, below so many (None: no end)."""
    if tier in TIERS:
        names = [*TIERS]
        following = names[names.index(tier) + 1 :]
        return TIERS[tier], TIERS[following[0]] if following else None
    low, dots, high = tier.partition("..")
    if dots:
        return parse_bytes(low), parse_bytes(high)
    return (0, parse_bytes(tier[1:])) if tier.startswith("<") else (parse_bytes(tier.removeprefix(">=")), None)


def _inside(tier: str, size: int) -> bool:
    low, high = bounds(tier)
    return low <= size and (high is None or size < high)


def _tier(name: str) -> str:
    plain = name.strip()
    if plain in TIERS:
        return plain
    if not plain.startswith(("<", ">=")) and ".." not in plain:
        _known("size_tier_rules", plain, TIERS, " or bounds such as '<10kB', '>=50MB', '10kB..1MB'")
    low, high = bounds(plain)
    if high is not None and low >= high:
        raise InvalidInput(f"size_tier_rules: no size is within {name!r}")
    return plain


def _rules(field_name: str, given: object) -> list[tuple[str, int]]:
    found = []
    for name, days in _table(field_name, given).items():
        if not isinstance(name, str):
            raise InvalidInput(f"{field_name}: a name is text, not {name!r}")
        found.append((name, _days(f"{field_name} {name!r}", days)))
    return found


def _table(where: str, given: object) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{where} must be a table of names and values, not {given!r}")
    return given


def _days(where: str, given: object) -> int:
    shorten = isinstance(given, Shorten)
    if isinstance(given, Mapping) and set(given) == {"shorten"}:
        shorten, given = True, given["shorten"]
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MOST_DAYS:
        raise InvalidInput(
            f"{where} must be whole days from 1 to {MOST_DAYS:,}, or {{ shorten = days }}, not {given!r}"
        )
    return Shorten(given) if shorten else int(given)


def _each_known(where: str, names: Iterable[str], known: set[str]) -> None:
    for name in names:
        _known(where, name, known, "; or list it in `expected` if it is still to come")


def _known(where: str, name: str, known: Iterable[str], otherwise: str = "") -> None:
    if name in (there := sorted(known)):
        return
    close = difflib.get_close_matches(name, there, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    some = f" There are: {', '.join(one or repr(one) for one in there[:12])}" if len(there) <= 12 else ""
    raise InvalidInput(f"{where}: {name!r} is not known{meant}{some}{otherwise}")

"""Evaluates retention rules once for each combination of properties that they can tell apart.

They look at tenant, media type, resolver and size tier, and at nothing else.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from catalogkit.lookup import places
from catalogkit.policies.retention import REASONS, RetentionPolicy, decisive
from catalogkit.policies.wording import VAGUE, Shorten, bounds

REASON: Final = pl.Enum(list(REASONS))
_CASES: Final = pl.Schema(
    {
        "case": pl.Int64(),
        "days": pl.Int64(),
        "other_days": pl.Int64(),
        "cap_days": pl.Int64(),
        "rule": pl.String(),
        "rules": pl.String(),
        "due": REASON,
        "min_replicas": pl.Int64(),
        "count_access": pl.Boolean(),
    }
)


def judged(documents: pl.DataFrame, policy: RetentionPolicy) -> pl.LazyFrame:
    """Documents with what the rules say of them: days, rule, rules, min_replicas, count_access and the like."""
    everybody = (policy, *policy.tenants.values())
    edges = sorted({edge for one in everybody for tier in one.size_tier_rules for edge in bounds(tier) if edge})
    tenants = list(policy.tenants)
    types = sorted({name for one in everybody for name in one.content_type_rules})
    resolvers = sorted({name for one in everybody for name in one.resolver_rules})
    told, declared = (_plain_type(name) for name in ("media_type", "content_type"))
    kind = pl.when(told.is_in(["", *VAGUE]) & (declared != "")).then(declared).otherwise(told)
    family = pl.format("{}/*", kind.str.splitn("/", 2).struct[0])
    of_type = _place(kind, types)
    if any(name.endswith("/*") for name in types):
        of_type = pl.when(of_type > 0).then(of_type).otherwise(_place(family, types))
    of_size = pl.sum_horizontal([pl.lit(0), *(pl.col("bytes") >= edge for edge in edges)]).cast(pl.Int64)
    # What no rule names is all the same, at place 0; the places together are one number, and few numbers occur.
    case = _place(pl.col("tenant"), tenants) * (len(types) + 1) + of_type
    case = case * (len(resolvers) + 1) + _place(pl.col("resolver"), resolvers)
    numbered = documents.with_columns(case=_told(documents, case) * (len(edges) + 1) + of_size)
    rows = []
    for number in numbered["case"].unique():
        rest, size = divmod(number, len(edges) + 1)
        rest, resolver = divmod(rest, len(resolvers) + 1)
        tenant, type_ = divmod(rest, len(types) + 1)
        chosen = policy.tenants[tenants[tenant - 1]] if tenant else policy
        rules = chosen.rules(
            types[type_ - 1] if type_ else "",
            resolvers[resolver - 1] if resolver else None,
            edges[size - 1] if size else 0,
        )
        winner = decisive(rules)
        # What they come to without age_days, and what caps it, so that other values of age_days can be tried.
        longer = [int(rule.days) for rule in rules if not isinstance(rule.days, Shorten) and rule.kind != "age"]
        caps = [int(rule.days) for rule in rules if isinstance(rule.days, Shorten)]
        given = (int(winner.days), max(longer, default=0), min(caps, default=None))
        said = (str(winner), "; ".join(map(str, rules)), f"due-{winner.kind}")
        rows.append((number, *given, *said, chosen.min_replicas, chosen.count_access))
    cases = pl.DataFrame(rows, schema=_CASES, orient="row").sort("case")
    # Taken by their places: a join would move every other column, too.
    place = cases["case"].search_sorted(numbered["case"])
    columns = (pl.lit(cases[name]).gather(pl.lit(place)).alias(name) for name in _CASES.names() if name != "case")
    # Days are a column of their own even where all are the same: what is divided by one number is multiplied by its
    # reciprocal, in all rows but the last few, and what is equal would differ in its last bit.
    return numbered.lazy().with_columns(columns).with_columns(days=pl.lit(cases["days"].gather(place)))


def _told(documents: pl.DataFrame, case: pl.Expr) -> pl.Expr:
    """What texts tell: of each document, or once of each ``kind``, where documents are numbered by what they have."""
    if "kind" not in documents.columns:
        return case
    kinds = documents[documents["kind"].arg_unique()].with_columns(pl.col(pl.Categorical).cast(pl.String))
    found = kinds.with_columns(case=case)
    return pl.lit(found["case"].gather(places(documents["kind"], found["kind"])))


def _place(column: pl.Expr, names: list[str]) -> pl.Expr:
    """The place of a text among some names, from 1 on; 0 where it is none of them."""
    if not names:
        return pl.lit(0, pl.Int64())
    return column.replace_strict(names, range(1, len(names) + 1), default=0, return_dtype=pl.Int64()).fill_null(0)


def _plain_type(column: str) -> pl.Expr:
    return pl.col(column).str.splitn(";", 2).struct[0].str.strip_chars().str.to_lowercase()

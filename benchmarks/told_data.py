"""How JSON is told, beside other programs: the standard library counts, genson infers, jsonschema judges.

A schema is right if every value of the document fits it, and if it says of each place what genson's says: the types
that were seen there, and which names are always there. It is not vacuous if it refuses what genson's schema refuses:
the document with the type of one value changed, or without a name that is always there.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final

from catalogkit.content import ContentMetadata
from catalogkit.extract.schema import DEPTH, KEYS

CHANGES: Final = 12
OTHERS: Final = (None, True, 0.5, "changed", {"changed": 1}, [["changed"]])
Said = Iterator[tuple[str, Any, Any]]


def said(data: bytes, told: ContentMetadata) -> Said:
    """Field, what the other programs say, what is told here; nothing of what the standard library cannot read."""
    import genson
    import jsonschema

    try:
        value, top = json.loads(data), ""
    except ValueError:
        try:
            value = [json.loads(line) for line in data.decode("utf-8-sig").split("\n") if line.strip()]
            top = "lines"
        except ValueError:
            return
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    yield "json top level", top or names.get(type(value), "null"), told.more.get("top_level")
    yield "json records", len(value) if isinstance(value, list) else 1, told.more.get("record_count")
    records = value if top else [value]
    if told.schema is None or _too_much(value):
        return
    ours = jsonschema.Draft202012Validator(dict(told.schema))
    yield "json values fit", len(records), sum(ours.is_valid(one) for one in records)
    builder = genson.SchemaBuilder()
    for one in records:
        builder.add_object(one)
    theirs = jsonschema.Draft7Validator(builder.to_schema())
    wanted, found = places(builder.to_schema()), places(dict(told.schema))
    for place in sorted(wanted | found):
        yield "json schema places", place in wanted and place, place in found and place
    chance = Random(len(data))
    for _ in range(CHANGES):
        changed = _changed(chance.choice(records), chance)
        if changed is not None and not theirs.is_valid(changed):
            yield "json change refused", "refused", "taken" if ours.is_valid(changed) else "refused"


def places(schema: dict[str, Any], here: str = "") -> set[str]:
    """Every statement of a schema about types and names, each with its place: ``/a/* integer``, ``/a always``."""
    found = set()
    types = schema.get("type", [])
    for name in [types] if isinstance(types, str) else types:
        found.add(f"{here} {name}")
    for one in schema.get("anyOf", ()):
        found |= places(one, here)
    for name, below in schema.get("properties", {}).items():
        found |= places(below, f"{here}/{name}")
    found |= {f"{here}/{name} always" for name in schema.get("required", ())}
    items = schema.get("items")
    return found | (places(items, f"{here}/*") if items else set())


def _too_much(value: Any) -> bool:
    """Whether it is beyond what catalogkit tells one by one, or too much for its peers to judge in a minute."""
    count, ahead = 0, [(value, 0)]
    while ahead:
        one, depth = ahead.pop()
        count += 1
        if depth >= DEPTH or count > 40_000 or (isinstance(one, dict) and len(one) > KEYS):
            return True
        below = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        ahead.extend((each, depth + 1) for each in below)
    return False


def _changed(value: Any, chance: Random) -> Any:
    """The value with one thing in it changed, or taken away; None where there is nothing in it."""
    changed = copy.deepcopy(value)
    holders = [one for one in _within(changed) if isinstance(one, dict | list) and one]
    if not holders:
        return None
    holder = chance.choice(holders)
    key = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
    if isinstance(holder, dict) and chance.random() < 0.3:
        del holder[key]
    else:
        holder[key] = chance.choice(OTHERS)
    return changed


def _within(value: Any) -> Iterator[Any]:
    ahead = [value]
    while ahead:
        yield (one := ahead.pop())
        ahead.extend(one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())

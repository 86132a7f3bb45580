"""JSON: its shape as a schema that every value fits, and everything that is nearly JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit.content import Reason
from catalogkit.extract.schema import DEPTH, DIALECT, KEYS, SHAPES, Shape

if TYPE_CHECKING:
    pass

Told = "Callable[[bytes], ContentMetadata]"
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def inferred(*several: Any) -> dict[str, Any]:
    """The schema of these values, without its dialect and the examples."""
    shape = Shape()
    for value in several:
        shape.add(value)
    return bare(shape.schema())


def bare(schema: Any, name: str = "") -> Any:
    if isinstance(schema, dict):
        keep = name in ("properties",)
        return {k: bare(v, k) for k, v in schema.items() if keep or k not in ("$schema", "examples")}
    return [bare(one) for one in schema] if isinstance(schema, list) else schema


@given(st.lists(values, min_size=1, max_size=4))
@settings(deadline=None, max_examples=60)
def test_every_value_fits_the_schema_inferred_from_it(several: list[Any]) -> None:
    """Whatever the values are, each of them is valid under their schema, and the schema is one."""
    shape = Shape()
    for value in several:
        shape.add(value)
    schema = shape.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for value in several:
        jsonschema.Draft202012Validator(schema).validate(value)


def test_what_a_schema_tells() -> None:
    """Optional and nullable properties, unions, numbers with and without fractions, nested things."""
    found = inferred(
        {"id": 1, "name": "a", "size": 1, "tags": ["x", 1], "at": {"x": None}, "any": [1]},
        {"id": 2, "name": None, "size": 1.5, "tags": [], "any": {"k": True}},
    )
    assert found == {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "name": {"type": ["null", "string"]},
            "size": {"type": "number"},
            "tags": {"type": "array", "items": {"type": ["integer", "string"]}},
            "at": {"type": "object", "properties": {"x": {"type": "null"}}, "required": ["x"]},
            "any": {
                "anyOf": [
                    {"type": "object", "properties": {"k": {"type": "boolean"}}, "required": ["k"]},
                    {"type": "array", "items": {"type": "integer"}},
                ]
            },
        },
        "required": ["id", "name", "size", "tags", "any"],
    }
    assert inferred([]) == {"type": "array"} and inferred({}) == {"type": "object"}


def test_examples(told: Told) -> None:
    """A few different values stand beside each type, never a null, and long ones are cut."""
    one = told(json.dumps([{"a": "x" * 500}, {"a": "y"}, {"a": "y"}, {"a": None}, {"a": 7}, {"a": 8}]).encode())
    assert one.schema is not None and one.schema["$schema"] == DIALECT
    a = one.schema["items"]["properties"]["a"]
    assert a == {"type": ["null", "integer", "string"], "examples": ["x" * 80, "y", 7]}


def test_keys_that_are_data_are_not_properties_without_end() -> None:
    """Thousands of different keys end as additional properties of one shape."""
    found = inferred({f"2020-{n}": {"n": n} for n in range(5 * KEYS)})
    assert len(found["properties"]) == KEYS
    assert found["additionalProperties"] == {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
    }


def test_a_schema_has_so_many_places_and_no_more() -> None:
    """Objects of many keys within objects of many keys end as additional properties, too."""
    found = inferred({f"{n}": {f"{m}": 1 for m in range(200)} for n in range(SHAPES // 100)})
    places = sum(1 + len(one.get("properties", ())) for one in found["properties"].values())
    assert SHAPES * 0.9 < places <= SHAPES
    assert found["additionalProperties"]["type"] == "object"


def test_a_schema_goes_so_deep_and_no_deeper() -> None:
    """What lies deeper is an array, or an object, of anything."""
    for wrap, below in ((lambda one: [one], "items"), (lambda one: {"a": one}, "a")):
        value: Any = 1
        for _ in range(DEPTH + 20):
            value = wrap(value)
        found, depth = inferred(value), 0
        while (inner := found.get(below) or found.get("properties", {}).get(below)) is not None:
            found, depth = inner, depth + 1
        assert (depth, found) == (DEPTH, {"type": "array" if below == "items" else "object"})


@pytest.mark.parametrize(
    "document, top_level, records",
    [
        (b'{"title": "T", "description": "D", "n": [1, 2]}', "object", 1),
        (b"[1, 2, 3]", "array", 3),
        (b"[]", "array", 0),
        (b'"words"', "string", 1),
        (b"42", "number", 1),
        (b"null", "null", 1),
        (b" true ", "boolean", 1),
        (b'{"a": 1}\n{"a": 2}\n\n{"a": 3}', "lines", 3),
        (b'[1]\r\n[2]\r\n', "lines", 2),
    ],
)  # fmt: skip
def test_top_level_shapes(told: Told, document: bytes, top_level: str, records: int) -> None:
    """Objects, arrays, lone values and lines are told apart, and their records counted."""
    one = told(document)
    assert one.reason is None
    assert (one.more["top_level"], one.more["record_count"]) == (top_level, records)


def test_title_and_words(told: Told) -> None:
    """A document that has a title states it; its text is its strings, and no names."""
    one = told(b'{"title": "T", "description": "D", "parts": [{"name": "Ada"}, {"name": "Bo"}]}')
    assert (one.title, one.description, one.text) == ("T", "D", "T\nD\nAda\nBo")


@pytest.mark.parametrize(
    "document, warning",
    [
        (b'\xef\xbb\xbf{"a": 1}', "byte_order_mark"),
        ('{"a": "ö"}'.encode("utf-16"), "not_utf8"),
        (b'{"a": NaN}', "not_strict"),
        (b'{"a": "\\ud800"}', "not_strict"),
        (b'// generated\n{"a": /* one */ 1, "b": "//no"}', "comments"),
        (b"[NaN, -Infinity]", "not_strict"),
        (b'{"a": 1}\n{"a": NaN}\n{"a": "\\ud800"}\n{"a": 1e999}', "not_strict"),
        (b'{"a": 1}\n' * 50 + b"{oops\n" + b'{"a": 1}\n' * 50, "bad_lines"),
    ],
)
def test_what_is_nearly_json(told: Told, document: bytes, warning: str) -> None:
    """Marks, other encodings, NaN, comments, one bad line among many: read, with a warning."""
    one = told(document)
    assert (one.reason, one.warnings) == (None, (warning,))
    assert one.schema is not None
    one.preview.encode()


@pytest.mark.parametrize("document", [b'{"a": 1,}', b'{"a": 1', b'["a\nb"]', b"[1][2]", b'{"a": 1}\nno\nno\n{"a": 2}'])
def test_what_is_no_json(told: Told, document: bytes) -> None:
    """What no reader takes is refused, with the place where it goes wrong."""
    one = told(document)
    assert (one.reason, one.extractor) == (Reason.DAMAGED, "data")
    assert one.detail


def test_big_numbers(told: Told) -> None:
    """Numbers beyond 64 bits are read, and whatever stores them stores their digits."""
    one = told(b'[1e999, 123456789012345678901234567890]')  # fmt: skip
    assert one.reason is None and one.schema is not None
    json.dumps(one.schema, allow_nan=False)

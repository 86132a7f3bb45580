"""Reads JSON and JSON lines: infers the shape of the values as a JSON Schema."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from catalogkit.content import Reason
from catalogkit.extract.encodings import decode
from catalogkit.extract.facts import Facts, RefusedError
from catalogkit.extract.schema import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalogkit.policies.extract import Limits

# A list of records with fewer bad lines than this share is still one; more, and it is something else.
BAD_SHARE: Final = 0.1
# Possessive, so that a string that never closes is given up at once.
_NOISE: Final = re.compile(r'"(?:[^"\\\n]++|\\.)*+"|(//[^\n]*+|/\*.*?\*/)', re.DOTALL)
_decode: Final = msgspec.json.Decoder().decode


def extract(data: bytes, limits: Limits, media_type: str) -> Facts:
    """The schema, the top-level shape and the number of records; the words in it."""
    facts = Facts()
    text, encoding, _ = decode(data)
    if encoding != "utf-8" or data.startswith(b"\xef\xbb\xbf"):
        facts.warnings.append("byte_order_mark" if data.startswith(b"\xef\xbb\xbf") else "not_utf8")
    if not text.strip():
        raise RefusedError(Reason.DAMAGED, "there is nothing but white space")
    try:
        value = _value(text, facts)
    except RecursionError:
        raise RefusedError(Reason.DAMAGED, "it is nested too deeply") from None
    except ValueError as problem:
        _lines(text, facts, str(problem), limits)
    else:
        _document(value, facts, limits)
    facts.preview = text[:4_000]
    return facts


def _value(text: str, facts: Facts) -> Any:
    """One JSON value; what is nearly one is taken, too, with a warning."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as problem:
        first = problem
    try:
        value = json.loads(text)  # takes NaN, numbers of any size, and halves of surrogate pairs
        facts.warnings.append("not_strict")
        return value
    except ValueError:
        if "//" not in text and "/*" not in text:
            raise ValueError(str(first)) from None
        bare = _NOISE.sub(lambda match: " " if match[1] else match[0], text)
        if bare == text:
            raise ValueError(str(first)) from None
        value = json.loads(bare)
        facts.warnings.append("comments")
        return value


def _document(value: Any, facts: Facts, limits: Limits) -> None:
    shape = Shape()
    shape.add(value)
    facts.schema = shape.schema()
    facts.more["top_level"] = kind(value)
    facts.more["record_count"] = len(value) if isinstance(value, list) else 1
    if isinstance(value, dict):
        facts.more["key_count"] = len(value)
        facts.title = value.get("title") if isinstance(value.get("title"), str) else None
        facts.description = value.get("description") if isinstance(value.get("description"), str) else None
    _words(value, facts, limits)


def _lines(text: str, facts: Facts, why: str, limits: Limits) -> None:
    """JSON lines: a value a line, empty lines apart."""
    shape, count, bad = Shape(), 0, 0
    records: list[Any] = []
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            value = _value(line, facts)
        except ValueError:
            bad += 1
            continue
        count += 1
        shape.add(value)
        if len(records) < 10_000:
            records.append(value)
    if count < 2 or bad > BAD_SHARE * (count + bad) or not all(isinstance(one, dict | list) for one in records):
        raise RefusedError(Reason.DAMAGED, why)
    if bad:
        facts.warnings.append("bad_lines")
    facts.schema = shape.schema()
    facts.more |= {"top_level": "lines", "record_count": count, "bad_lines": bad}
    _words(records, facts, limits)


def kind(value: Any) -> str:
    """What a value is, in the words of JSON."""
    if isinstance(value, bool):
        return "boolean"
    return {dict: "object", list: "array", str: "string", int: "number", float: "number"}.get(type(value), "null")


def _words(value: Any, facts: Facts, limits: Limits) -> None:
    """The text: every string among the values, a line each, until there is enough."""
    kept, chars = [], 0
    for text in strings(value):
        kept.append(text)
        chars += len(text) + 1
        if chars > limits.text_chars:
            break
    facts.text = "\n".join(kept)


def strings(value: Any) -> Iterator[str]:
    """Every string among the values, in the sequence of the document; names are none."""
    ahead = [iter((value,))]
    while ahead:
        for one in ahead[-1]:
            if isinstance(one, str):
                yield one
            elif isinstance(one, dict):
                ahead.append(iter(one.values()))
                break
            elif isinstance(one, list):
                ahead.append(iter(one))
                break
        else:
            ahead.pop()

"""Infers a JSON Schema from values: what is always there, what may be null, what has several types.

Libraries that infer schemas tell no examples and make a property of every key, also where keys are data (dates,
languages, identifiers) and there are thousands of them; this one stops at a bound and says so.
"""

from __future__ import annotations

from typing import Any, Final

# An object with more different keys than this is a table whose keys are data.
KEYS: Final = 1_000
EXAMPLES: Final = 3
EXAMPLE_CHARS: Final = 80
DEPTH: Final = 40
SHAPES: Final = 10_000
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SCALARS: Final = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_ORDER: Final = ("null", "boolean", "integer", "number", "string")


class Shape:
    """What was seen at one place of a document: of which types, how often, with which properties and items."""

    __slots__ = ("_all", "_depth", "examples", "items", "objects", "properties", "scalars", "seen", "values")

    def __init__(self, depth: int = 0, every: list[int] | None = None) -> None:
        self.scalars: set[type] = set()
        self.examples: list[Any] = []
        self.objects = 0
        self.values: Shape | None = None
        self.properties: dict[str, Shape] = {}
        self.seen: dict[str, int] = {}
        self.items: Shape | None = None
        self._depth = depth
        self._all = [0] if every is None else every

    def add(self, value: Any) -> None:
        """Take one more value into account."""
        if isinstance(value, dict):
            self._add_object(value)
        elif isinstance(value, list):
            if self.items is None:
                self.items = self._below()
            if self._depth < DEPTH:
                for one in value:
                    self.items.add(one)
        else:
            self.scalars.add(type(value))
            if len(self.examples) < EXAMPLES and value is not None and value not in self.examples:
                self.examples.append(value[:EXAMPLE_CHARS] if isinstance(value, str) else value)

    def _below(self) -> Shape:
        self._all[0] += 1
        return Shape(self._depth + 1, self._all)

    def _add_object(self, value: dict[str, Any]) -> None:
        self.objects += 1
        if self._depth >= DEPTH:
            return
        for key, one in value.items():
            shape = self.properties.get(key)
            if shape is None and self.values is None:
                if len(self.properties) < KEYS and self._all[0] < SHAPES:
                    shape = self.properties[key] = self._below()
                    self.seen[key] = 0
                else:
                    self.values = self._below()
            if shape is None:
                assert self.values is not None
                self.values.add(one)
            else:
                self.seen[key] += 1
                shape.add(one)

    def schema(self) -> dict[str, Any]:
        """The schema of all that was added."""
        return {"$schema": DIALECT} | self._schema()

    def _schema(self) -> dict[str, Any]:
        found = self._variants()
        bare = [one for one in found if one.keys() <= {"type", "examples"}]
        if len(bare) > 1:
            types = [name for one in bare for name in ([one["type"]] if isinstance(one["type"], str) else one["type"])]
            found = [bare[0] | {"type": types}] + [one for one in found if one not in bare]
        if len(found) <= 1:
            return found[0] if found else {}
        return {"anyOf": found}

    def _variants(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        types = {_SCALARS.get(one, "string") for one in self.scalars}
        if "number" in types:
            types.discard("integer")  # JSON has no other numbers: 1 is one of those that may have a fraction
        names = [name for name in _ORDER if name in types]
        if names:
            found.append({"type": names[0] if len(names) == 1 else names})
            if self.examples:
                found[0]["examples"] = self.examples
        if self.objects:
            found.append(self._object())
        if self.items is not None:
            below = self.items._schema()
            found.append({"type": "array", "items": below} if below else {"type": "array"})
        return found

    def _object(self) -> dict[str, Any]:
        made: dict[str, Any] = {"type": "object"}
        if self.properties:
            made["properties"] = {key: one._schema() for key, one in self.properties.items()}
            if required := [key for key, count in self.seen.items() if count == self.objects]:
                made["required"] = required
        if self.values is not None:
            made["additionalProperties"] = self.values._schema()
        return made

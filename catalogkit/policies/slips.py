"""Error messages for settings: which table, what was probably meant, what is allowed."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*?)`(?: - at `\$(?P<path>.*)`)?")
_CHOICE: Final = re.compile(r"Invalid enum value '?(?P<name>.*?)'?(?: - at `\$(?P<path>.*)`)?")
_TWICE: Final = re.compile(r"Cannot declare \((?P<keys>.*?),?\) twice \(at line (?P<line>\d+), .*\)")


def in_words(problem: str, shape: type) -> str:
    """What a check against `shape` found wrong, with the likely spelling and what may stand there."""
    if found := _UNKNOWN.fullmatch(problem):
        path = found["path"] or ""
        return f"{_table(path)}{found['name']!r} is not known{_meant(found['name'], _known(shape, path))}"
    if found := _CHOICE.fullmatch(problem):
        path = found["path"] or ""
        return (
            f"{path.lstrip('.')}: {found['name']!r} is none of its values{_meant(found['name'], _known(shape, path))}"
        )
    return problem


def twice(problem: str) -> str:
    """What is wrong with a text that is no TOML; a table that is there twice is the usual way to it."""
    if found := _TWICE.fullmatch(problem):
        name = ".".join(re.findall(r"'(.*?)'", found["keys"]))
        return f"[{name}] is there a second time in line {found['line']}; put what is below it under the first"
    return problem


def _table(path: str) -> str:
    return f"[{path.lstrip('.')}]: " if path else ""


def _meant(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    likely = f"; did you mean {close[0]!r}?" if close else ""
    return f"{likely} There are: {', '.join(known)}" if close else f"; there are: {', '.join(known)}" if known else ""


def _known(shape: type, path: str) -> list[str]:
    """The names, or the values, that may stand at a path such as ``.maintain.skip[0]``."""
    node: Any = msgspec.inspect.type_info(shape)
    for part in re.findall(r"\.(\w+)|(\[[^\]]*\])", path):
        node = _below(node, *part)
    node = _plain(node)
    if isinstance(node, msgspec.inspect.StructType):
        return [field.encode_name for field in node.fields]
    return [str(value) for value in getattr(node, "values", ())]


def _below(node: Any, name: str, item: str) -> Any:
    node = _plain(node)
    if item:
        return getattr(node, "item_type", None) or getattr(node, "value_type", None)
    return next((one.type for one in getattr(node, "fields", ()) if one.encode_name == name), None)


def _plain(node: Any) -> Any:
    """A type without what is around it: notes, or the choice of leaving it out."""
    while isinstance(node, msgspec.inspect.Metadata | msgspec.inspect.UnionType):
        node = node.type if isinstance(node, msgspec.inspect.Metadata) else node.types[0]
    return node

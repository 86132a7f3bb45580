"""The page of settings, ``docs/configuration.md``: made from the models that read them and from their docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import inspect as models

from catalogkit.config import Config
from catalogkit.policies.retention import RetentionPolicy

OPENING = """# The settings of a collection

Written by `python tests/test_docs.py` from the models that read them.

`catalogkit init` writes a `catalogkit.toml` into the new collection; everything in it can be changed by hand, and all
of it has a default. It is read strictly: a name that is not known, or a value of the wrong kind, is an error that says
which one, and nothing is done. No secret belongs into it: keys of buckets, passwords and tokens come from the
environment, or from the profiles and password files of the libraries that need them.

```toml
catalog = "sqlite:///catalog.sqlite"

[store]
url = "s3://papers/main?region=eu-central-1"

[retention]
age_days = 365
resolver_rules = { arxiv = 3650 }

[backup]
destination = "/mnt/elsewhere/papers"
```
"""


def meanings(model: type) -> dict[str, str]:
    """What the section "Attributes" of a docstring says of each name."""
    lines = (inspect.getdoc(model) or "").splitlines()
    if "Attributes" not in lines:
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines[lines.index("Attributes") + 2 :]:
        if line.startswith("    "):
            found |= {name: f"{found.get(name, '')} {line.strip()}".strip() for name in names}
        elif line.strip():
            if not re.fullmatch(r"[a-z0-9_, ]+( : .*)?", line):
                break
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
    return found


def kind(shape: models.Type) -> str:
    """A type in words."""
    match shape:
        case models.BoolType():
            return "true or false"
        case models.IntType() | models.FloatType():
            word = "whole number" if isinstance(shape, models.IntType) else "number"
            least, most = (shape.ge if shape.ge is not None else shape.gt), shape.le
            bounds = [f"{'from' if shape.gt is None else 'above'} {least:,}"] if least is not None else []
            return " ".join([word, *bounds, *([f"to {most:,}"] if most is not None else [])])
        case models.DecimalType():
            return "amount"
        case models.LiteralType():
            return "one of " + ", ".join(f"`{_toml(value)}`" for value in shape.values)
        case models.UnionType():
            return kind(next(one for one in shape.types if not isinstance(one, models.NoneType)))
        case models.ListType() | models.VarTupleType():
            return f"list, each {kind(shape.item_type)}"
        case models.StrType():
            return "text"
        case _:
            raise TypeError(f"{shape} has no words yet")


def _toml(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case Decimal():
            return str(value)
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return "{}"
        case _:
            return str(value)


def _table(title: str, model: type, rows: list[tuple[str, str, Any]]) -> list[str]:
    known = meanings(model)
    opening = (inspect.getdoc(model) or "").partition("\n\nAttributes")[0]
    lines = [
        f"## {title}",
        "",
        re.sub(r"``?([^`]+)``?", r"`\1`", opening),
        "",
        "| setting | what it is | default | meaning |",
    ]
    lines.append("|---|---|---|---|")
    for name, what, default in rows:
        said = re.sub(r"``?([^`]+)``?", r"`\1`", known[name])  # a setting without a word about it has no place here
        shown = _toml(default)
        lines.append(f"| `{name}` | {what} | {f'`{shown}`' if shown else 'none'} | {said} |")
    return [*lines, ""]


def _section(title: str, model: type[msgspec.Struct]) -> list[str]:
    rows, below = [], []
    for field in models.type_info(model).fields:  # type: ignore[attr-defined]
        path = f"{title[1:-1]}.{field.name}" if title.startswith("[") else field.name
        if isinstance(field.type, models.StructType):
            below += _section(f"[{path}]", field.type.cls)
        elif isinstance(field.type, models.DictType) and field.name == "retention":
            below += _retention()
        elif isinstance(field.type, models.DictType) and isinstance(field.type.value_type, models.StructType):
            below += _section(f"[{path}.NAME]", field.type.value_type.cls)
        elif isinstance(field.type, models.DictType):
            rows.append((field.name, "table of texts", {}))
        else:
            default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
            rows.append((field.name, kind(field.type), default))
    return [*(_table(title, model, rows) if rows else []), *below]


def _retention() -> list[str]:
    words = {"int": "whole number", "bool": "true or false", "tuple[str, ...]": "list of texts"}
    rows = []
    for field in dataclasses.fields(RetentionPolicy):
        default = field.default if field.default is not dataclasses.MISSING else {}
        rows.append((field.name, words.get(str(field.type), "table"), default))
    return _table("[retention]", RetentionPolicy, rows)


def page() -> str:
    """The whole page."""
    return "\n".join([OPENING, *_section("At the top", Config)])

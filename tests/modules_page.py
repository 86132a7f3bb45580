"""The page of modules, ``docs/modules.md``: by room, what each file of the package is for, from its docstring."""

from __future__ import annotations

import ast
import re
from typing import Final

from tests.test_layers import MODULES, PACKAGE, ROOMS, room, tree

OPENING: Final = """# Every module, by room

Written by `python tests/test_docs.py` from the first sentence of each module's docstring. From the top down: a module
imports from its own room and from the rooms below it. [architecture](architecture.md) says why.
"""
ABOUT: Final = {
    "door": "The command line.",
    "face": "What people see: notebooks, reports, charts, reviews, metrics.",
    "acts": "What changes the world, and what gathers the facts that plans are made of.",
    "held": "A catalog and its stores, opened together.",
    "world": "Databases, folders, buckets, worker processes.",
    "pure": "What decides: arguments in, data out; no clock, no files, no database.",
}


def page() -> str:
    """The page: a table for each room, the top one first."""
    parts = [OPENING]
    for name in reversed(ROOMS):
        parts += [f"## {name}", "", ABOUT[name], "", "| module | what it is for |", "|---|---|"]
        parts += [_row(module) for module in MODULES if room(module) == name]
        parts.append("")
    return "\n".join(parts)


def _row(module: str) -> str:
    path = MODULES[module].relative_to(PACKAGE.parent).as_posix()
    return f"| [`{module}`](../{path}) | {first_sentence(module).replace('|', chr(92) + '|').replace('``', '`')} |"


def first_sentence(module: str) -> str:
    """The docstring up to its first full stop."""
    paragraph = " ".join((ast.get_docstring(tree(module)) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=[.?!]) ", paragraph, maxsplit=1)[0]

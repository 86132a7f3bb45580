"""The tree of errors: what callers may catch, and that the picture of it in the docstring is true."""

from __future__ import annotations

import inspect
import re

import pytest

from catalogkit import errors
from catalogkit.errors import CatalogKitError

CLASSES = [one for _, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_is_ours(error: type[Exception]) -> None:
    """One `except CatalogKitError` catches whatever catalogkit raises on purpose, and each says what it means."""
    assert issubclass(error, CatalogKitError)
    assert error.__doc__


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    """Every class stands in the docstring's tree, below its parent."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for indent, name in re.findall(r"^    ([ │├└─]*)(\w+)", errors.__doc__ or "", re.MULTILINE):
        path[len(indent) // 4 :] = [name]
        drawn[name] = path[-2] if len(path) > 1 else "Exception"
    assert drawn == {one.__name__: one.__bases__[0].__name__ for one in CLASSES}


def test_bad_input_is_a_value_error() -> None:
    """Who knows nothing of catalogkit catches bad input as what Python calls it."""
    assert issubclass(errors.InvalidInput, ValueError)

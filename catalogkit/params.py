"""Parameters of a notebook: declared once in its ``parameters`` cell, and checked under any runner.

A declaration is one line of the cell tagged ``parameters``::

    top: int = 20  # how many groups to show

Its type is one of ``str``, ``int``, ``float``, ``bool``, ``list``, ``dict``. papermill only warns of a parameter that a
notebook does not have, jupyter-scheduler says nothing, and neither looks at types; a slip such as ``dry_rnu=True``
then runs with the default. Here it is an error: `check` finds it before a kernel starts, `params` inside the kernel.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import sys
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Parameter", "check", "declared", "moment", "params"]

_TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (str, int, float, bool, list, dict)}
_TAG: Final = "parameters"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter of a notebook."""

    name: str
    type: type
    default: Any
    help: str = ""

    def accept(self, value: object) -> Any:
        """Return `value` if it is of the declared type (an int will do for a float, a bool never for a number).

        Raises
        ------
        InvalidInput
            If it is of another type.
        """
        if type(value) is self.type:
            return value
        if self.type is float and type(value) is int:
            return float(value)
        hint = "; quote it, or use papermill's -r, to pass digits as text" if self.type is str else ""
        raise InvalidInput(
            f"parameter {self.name!r} takes {self.type.__name__}, not {type(value).__name__} {_short(value)}{hint}"
        )

    def read(self, text: str) -> Any:
        """Return the value that `text` from a command line stands for.

        Raises
        ------
        InvalidInput
            If it does not stand for a value of the declared type.
        """
        if self.type is str:
            return text
        values = {"true": True, "false": False}
        try:
            value = values[text.strip().lower()] if self.type is bool else _literal(text)
        except (KeyError, ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            wanted = "true or false" if self.type is bool else self.type.__name__
            raise InvalidInput(f"parameter {self.name!r} takes {wanted}, not {_short(text)}") from None
        return self.accept(value)


def declared(notebook: Path | str | Mapping[str, Any]) -> list[Parameter]:
    """List what the ``parameters`` cell of a notebook (a file, or as nbformat reads one) declares, in its order.

    Raises
    ------
    InvalidInput
        If the file is not a notebook, or a line of that cell is not a declaration.
    """
    try:
        read = notebook if isinstance(notebook, Mapping) else json.loads(Path(notebook).read_text(encoding="utf-8"))
        tagged = [cell for cell in read["cells"] if _TAG in cell.get("metadata", {}).get("tags", ())]
        source = "".join(tagged[0]["source"]) if tagged else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"cannot read {notebook} as a notebook: {error!r}") from None
    return _declarations(source)


def check(
    notebook: Path | str | Mapping[str, Any], given: Mapping[str, object], *, typed: bool = False
) -> dict[str, Any]:
    """Hold given parameters against a notebook's declarations, before anything runs.

    Parameters
    ----------
    notebook
        The file of the notebook, or the notebook as nbformat reads it.
    given
        Values by name. Text, as from a command line, is read as the declared type.
    typed
        Whether values have their types already: then text is text.

    Returns
    -------
    dict
        The same names with values of the declared types.

    Raises
    ------
    InvalidInput
        If a name is not declared, or a value is not of its declared type.
    """
    known = declared(notebook)
    _refuse_unknown(given, known)
    by_name = {parameter.name: parameter for parameter in known}
    return {
        name: by_name[name].read(value) if isinstance(value, str) and not typed else by_name[name].accept(value)
        for name, value in given.items()
    }


def params() -> SimpleNamespace:
    """Inside a notebook: check the parameters of this run and return them as attributes.

    To be called in the cell after the ``parameters`` cell (a runner puts the cell with its values between the two).
    Where the kernel keeps no history, as under nbval, nothing was passed in and the values are returned as they are.

    Raises
    ------
    InvalidInput
        If a name was passed in that is not declared, or a value has another type than declared.
    """
    shell = _shell()
    if shell is None:
        raise InvalidInput("params() reads the cells of a running notebook; call it there")
    values: dict[str, Any] = shell.user_ns
    history = [cell for cell in values.get("In", []) if cell.strip()]
    known, passed = _from_history(history)
    if known is None:
        if history:
            raise InvalidInput(
                "no cell so far declares parameters; write them as 'name: type = default' in one cell, run it first"
            )
        shown = {name for name in values if not name.startswith("_")} - set(shell.user_ns_hidden)
        return SimpleNamespace(**{name: values[name] for name in shown if type(values[name]) in _TYPES.values()})
    _refuse_unknown(passed, known)
    return SimpleNamespace(**{p.name: p.accept(values.get(p.name, p.default)) for p in known})


def moment(text: str) -> datetime:
    """Read an ISO time with a zone, such as ``2026-03-01T12:00Z``; an empty text means now.

    Raises
    ------
    InvalidInput
        If it is not a time, or has no zone.
    """
    if not text:
        return datetime.now(UTC)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"not an ISO time: {_short(text)}; write it like 2026-03-01T12:00Z") from None
    if when.tzinfo is None:
        raise InvalidInput(f"{text} has no time zone; write {text}Z for UTC")
    return when.astimezone(UTC)


# -- reading cells -----------------------------------------------------------------------------------------------


def _from_history(history: Sequence[str]) -> tuple[list[Parameter] | None, list[str]]:
    """Return the newest declarations among the cells run so far, and the names that the cells right after it set."""
    for index in range(len(history) - 1, -1, -1):
        statements = _parsed(history[index])
        if any(isinstance(node, ast.AnnAssign) for node in statements) and all(map(_is_setting, statements)):
            passed: list[str] = []
            for cell in history[index + 1 :]:
                following = _parsed(cell)
                if not following or not all(isinstance(node, ast.Assign) and _is_setting(node) for node in following):
                    break
                passed += [name for node in following for name in _targets(node)]
            return _declarations(history[index]), passed
    return None, []


def _declarations(source: str) -> list[Parameter]:
    helps = _comments(source)
    found = []
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise InvalidInput(f"the parameters cell is not Python: {error}") from None
    for node in statements:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or not _is_setting(node) or len(_targets(node)) != 1:
            raise InvalidInput(f"line {node.lineno} of the parameters cell is not 'name: type = default  # help'")
        name, default = _targets(node)[0], ast.literal_eval(node.value or node)
        annotation = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else type(default).__name__
        kind = _TYPES.get(annotation)
        if kind is None:
            raise InvalidInput(f"parameter {name!r} must be declared as one of {', '.join(_TYPES)}, not {annotation}")
        parameter = Parameter(name, kind, default, helps.get(node.end_lineno or node.lineno, ""))
        found.append(replace(parameter, default=parameter.accept(default)))
    return found


def _is_setting(node: ast.stmt) -> bool:
    """Tell whether a statement gives names a literal value."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None or not _targets(node):
        return False
    try:
        ast.literal_eval(node.value)
    except (ValueError, TypeError):  # the latter for a key that cannot be one
        return False
    return True


def _targets(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _parsed(cell: str) -> list[ast.stmt]:
    try:
        return ast.parse(cell).body
    except SyntaxError:  # a cell with a magic or a typing error declares nothing
        return []


def _comments(source: str) -> dict[int, str]:
    """Map line numbers to the comments that end those lines."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    try:
        return {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}
    except (tokenize.TokenError, SyntaxError):
        return {}


def _refuse_unknown(names: Mapping[str, object] | Sequence[str], known: Sequence[Parameter]) -> None:
    allowed = [parameter.name for parameter in known]
    for name in names:
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, n=1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
            raise InvalidInput(f"the notebook has no parameter {name!r}{meant} ({takes})")


def _literal(text: str) -> Any:
    """Read JSON or a Python literal; they differ in ``true``, ``null`` and the quotes."""
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text.strip())


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _shell() -> Any:
    """The running IPython shell, or None. Where IPython is not loaded there is none, and no need to load it."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None

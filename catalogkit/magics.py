"""Magics: ``%load_ext catalogkit``, then ``%catalog status``, ``%catalog find resolver=arxiv``, ``%%catalog sql``.

They are short forms of what a collection can be asked anyway, and answer with Polars frames. What goes wrong is said in
one line; under papermill the cell fails like any other.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from catalogkit.collection import Collection, home_of, open_collection
from catalogkit.display import Notes
from catalogkit.errors import CatalogKitError, InvalidInput, NotACollection

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

__all__ = ["CatalogMagics", "register"]

# Each word with what to type after it.
USAGE: Final = {
    "status": "status",
    "find": "find [resolver=NAME] [artifact_id=...] [media_type=...] [limit=20]",
    "why": "why DIGEST|PATH|ID",
    "sql": "sql QUERY",
    "use": "use FOLDER|VARIABLE|demo",
}
FILTERS: Final = (
    "artifact_id",
    "limit",
    "media_type",
    "resolver",
    "run_id",
    "sha256",
    "source_url",
    "tenant",
    "variant",
)
_NAME: Final = re.compile(r"\$([A-Za-z_]\w*)")


@magics_class
class CatalogMagics(Magics):
    """The magics of one shell, and which collection they are about."""

    home: str | Collection | None = None

    @no_var_expand  # in SQL, $name is a value, not text to paste
    @line_cell_magic
    def catalog(self, line: str, cell: str | None = None) -> Any:
        """Ask a collection: ``%catalog status``, ``%catalog find resolver=arxiv``, ``%catalog why 12``.

        It is about the collection of ``$CATALOGKIT_HOME``, else of the current folder, until ``%catalog use`` names
        another. ``%%catalog sql NAME`` also keeps the frame as the variable NAME; ``$name`` in the query is the value
        of the variable ``name``.
        """
        verb, _, rest = line.strip().partition(" ")
        try:
            if verb not in USAGE:
                raise InvalidInput(f"%catalog takes one of: {'; '.join(USAGE.values())}")
            return getattr(self, f"_{verb}")(rest.strip(), cell)
        except NotACollection as problem:
            raise self._told(
                NotACollection(f"{str(problem).partition(';')[0]}; name another with %catalog use")
            ) from None
        except (CatalogKitError, ValueError) as problem:
            told = problem if isinstance(problem, CatalogKitError) else InvalidInput(str(problem))
            raise self._told(told) from None

    @staticmethod
    def _told(problem: CatalogKitError) -> CatalogKitError:
        line = " ".join(f"{type(problem).__name__}: {problem}".split())
        # IPython shows an error as this says, if it has it; runners still see that the cell failed, and why.
        problem._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]
        return problem

    @property
    def _names(self) -> dict[str, Any]:
        """The variables of the notebook."""
        assert self.shell is not None
        names: dict[str, Any] = self.shell.user_ns
        return names

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Collection]:
        """The collection: one that the notebook holds stays open, else it is opened for one question."""
        if isinstance(self.home, Collection):
            yield self.home
        else:
            with open_collection(self.home) as collection:
                yield collection

    def _use(self, rest: str, _: str | None) -> None:
        known = self._names.get(rest)
        if rest == "demo":
            from catalogkit.demo import demo_collection

            with demo_collection() as demo:
                self.home = str(demo.path)
        elif isinstance(known, Collection):
            self.home = known
        else:
            with open_collection(rest or None):
                self.home = str(home_of(rest or None))

    def _status(self, _: str, __: str | None) -> pl.DataFrame:
        import polars as pl

        with self._opened() as collection:
            coverage = collection.catalog.coverage(as_of=collection.now(), days=30)
            return pl.DataFrame([{**collection.catalog.totals(), "verified_share_30d": coverage.share}])

    def _find(self, rest: str, _: str | None) -> pl.DataFrame:
        given = dict(_pair(word) for word in shlex.split(rest))
        limit = int(given.pop("limit", 20))
        with self._opened() as collection:
            return collection.find(limit=limit, **given)

    def _why(self, rest: str, _: str | None) -> Notes:
        from catalogkit.planning import why

        if not rest:
            raise InvalidInput(f"say of what: %catalog {USAGE['why']}")
        with self._opened() as collection:
            return Notes(why(collection, rest))

    def _sql(self, rest: str, cell: str | None) -> pl.DataFrame:
        query, keep = (rest, "") if cell is None else (cell, rest)
        if keep and not keep.isidentifier():
            raise InvalidInput(f"{keep!r} is no name for a variable; write %%catalog sql NAME, and the query below")
        names = {name for name in _NAME.findall(query) if name in self._names}
        values = {name: self._names[name] for name in names}
        with self._opened() as collection:
            frame = collection.sql(query, values or None)
        if keep:
            self._names[keep] = frame
        return frame


def register(shell: Any) -> None:
    """Give a shell the magics, and completion of their words."""
    shell.register_magics(CatalogMagics)
    for key in ("%catalog", "catalog", "%%catalog"):
        shell.set_hook("complete_command", _complete, str_key=key)


def _complete(_: Any, event: Any) -> list[str]:
    """What may follow: a verb; after ``find`` a filter."""
    words = event.line.split(" ")
    if len(words) <= 2:
        return list(USAGE)
    return [f"{name}=" for name in FILTERS] if words[1] == "find" else []


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or name not in FILTERS:
        raise InvalidInput(f"find takes {', '.join(f'{one}=...' for one in FILTERS)}, not {word!r}")
    return name, value

"""Full-text search with FTS5, without a second copy of the texts."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.sql.finding import COLUMNS, LISTS, RANKED, Finding, columns, conditions
from catalogkit.catalog.sqlite.base import Database
from catalogkit.errors import CatalogError
from catalogkit.words import indexed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.catalog.sql.base import Session
    from catalogkit.filters import Filter
    from catalogkit.words import Term

# Rows of the index that nothing refers to any more, as a share of all, before it is built anew.
STALE: Final = 0.25
_FEW: Final = 1000
_INDEX: Final = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS search_words USING"
    " fts5(title, authors, names, text, content='', tokenize='unicode61 remove_diacritics 0')"
)
_WEIGHTS: Final = "10.0, 5.0, 3.0, 1.0"
_DOCUMENTS: Final = " JOIN documents d ON d.id = r.document_id"
_BLOBS: Final = " JOIN blobs b ON b.sha256 = d.sha256"
_CONTENTS: Final = " LEFT JOIN contents c ON c.sha256 = d.sha256"


class Search(Database, Finding):
    """The catalog's part in finding."""

    def _worn(self, db: Session) -> bool:
        ((given,),) = db.execute(f"SELECT {self.sequence.format('search_rows')}").fetchall()
        if given <= _FEW:
            return False
        ((kept,),) = db.execute("SELECT count(*) FROM search_rows").fetchall()
        return bool(given - kept > STALE * given)

    def _anew(self, db: Session) -> None:
        db.execute("DROP TABLE IF EXISTS search_words")
        db.execute("DELETE FROM sqlite_sequence WHERE name = 'search_rows'")
        try:
            db.execute(_INDEX)
        except sqlite3.OperationalError as problem:
            if "fts5" not in str(problem):
                raise
            raise CatalogError("this Python's SQLite was built without FTS5, which searching needs") from problem

    def _index(self, db: Session, rows: Sequence[Any]) -> None:
        ((last,),) = db.execute(f"SELECT {self.sequence.format('search_rows')}").fetchall()
        for number, row in enumerate(rows, start=last + 1):
            document_id, names, content_id, about = row[0], row[1:6], row[6], row[7:]
            facts = (number, document_id, content_id)
            db.execute("INSERT INTO search_rows (row, document_id, content_id) VALUES (?, ?, ?)", facts)
            words = (number, *map(indexed, columns(*names, *about)))
            db.execute("INSERT INTO search_words (rowid, title, authors, names, text) VALUES (?, ?, ?, ?, ?)", words)

    def _scores(
        self, db: Session, terms: Sequence[Term], filters: Sequence[Filter], *, by_name: bool = False
    ) -> dict[int, float]:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'search_words'").fetchone():
            return {}
        where, values = conditions(filters, lambda one: _listed(one) if one.field in LISTS else _compared(one))
        match = f"{{title authors names}} : ({_match(terms)})" if by_name else _match(terms)
        return dict(
            db.execute(
                # A row of the index that is stale has no row here, so it is in no answer.
                f"SELECT r.document_id, -bm25(search_words, {_WEIGHTS}) FROM search_words"
                f" CROSS JOIN search_rows r ON r.row = search_words.rowid{_joins(where)}"
                f" WHERE search_words MATCH ?{where} ORDER BY search_words.rowid DESC LIMIT {RANKED}",
                (match, *values),
            )
        )


def _joins(where: str) -> str:
    """The tables that conditions are about; each costs a look at every document that has the words."""
    tables = ((_DOCUMENTS, ("d.", "b.")), (_BLOBS, ("b.",)), (" LEFT JOIN contents c ON c.id = r.content_id", ("c.",)))
    return "".join(join for join, columns in tables if any(column in where for column in columns))


def _match(terms: Sequence[Term]) -> str:
    """The terms in the language of FTS5. Words have letters and digits only, so nothing in them can be an operator."""
    wanted = " AND ".join(_phrase(term) for term in terms if term.wanted)
    without = " OR ".join(_phrase(term) for term in terms if not term.wanted)
    return f"({wanted}) NOT ({without})" if without else wanted


def _phrase(term: Term) -> str:
    return '"' + " ".join(term.words) + '"' + ("*" if term.prefix else "")


def _listed(one: Filter) -> tuple[str, list[Any]]:
    """Any of the authors, keywords or warnings; `!=` is none of them."""
    how = "=" if one.comparison == "!=" else one.comparison
    inner, values = _text("a.value", how, one.value)
    some = f"EXISTS (SELECT 1 FROM json_each({LISTS[one.field]}) a WHERE {inner})"
    return f"NOT {some}" if one.comparison == "!=" else some, values


def _compared(one: Filter) -> tuple[str, list[Any]]:
    column = COLUMNS[one.field]
    if one.kind == "json":
        return _json(column, one)
    if one.kind == "language" and one.comparison in ("=", "!="):
        # A language is all of its regions: en is en-GB, too.
        some = f"(lower({column}) = lower(?) OR lower({column}) GLOB lower(?) || '-*')"
        return f"coalesce({some}, 0)" if one.comparison == "=" else f"NOT coalesce({some}, 0)", [one.value] * 2
    return _text(column, one.comparison, one.value)


def _text(column: str, comparison: str, value: Any) -> tuple[str, list[Any]]:
    if comparison == "~":
        return f"coalesce(instr(ckit_folded({column}), ckit_folded(?)) > 0, 0)", [value]
    return f"{column} {'IS NOT' if comparison == '!=' else comparison} ?", [value]


def _json(column: str, one: Filter) -> tuple[str, list[Any]]:
    """A value inside JSON; a number is compared as one with what is one, everything else as text."""
    path = "$" + "".join(f'."{name}"' for name in one.path)
    kind, text = f"json_type({column}, ?)", f"CAST(json_extract({column}, ?) AS TEXT)"
    words = f"iif({kind} IN ('true', 'false'), {kind}, {text})"
    number = _number(str(one.value))
    if number is None or one.comparison == "~":
        clause, values = _text(words, one.comparison, one.value)
        return f"coalesce({clause}, 0)", [path, path, path, *values]
    how = "=" if one.comparison == "!=" else one.comparison
    some = f"coalesce({kind} IN ('integer', 'real') AND json_extract({column}, ?) {how} ?, 0)"
    given: list[Any] = [path, path, number]
    if how == "=":  # what looks like a number may stand there as text
        some, given = f"({some} OR coalesce({words} = ?, 0))", [*given, path, path, path, one.value]
    return f"NOT {some}" if one.comparison == "!=" else some, given


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

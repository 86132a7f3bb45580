"""Finding documents by their words: FTS5, without a second copy of the texts."""

from __future__ import annotations

import json
import sqlite3
import zlib
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.rows import Found
from catalogkit.catalog.sql.finding import COLUMNS, FOUND, INDEX_FORM, LISTS, RANKED, SOURCE, Finding, columns, found
from catalogkit.catalog.sqlite.base import Database
from catalogkit.errors import CatalogError, InvalidInput
from catalogkit.words import indexed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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

    def index_documents(self, limit: int = 500) -> int:
        """Index some of the documents that are not, or not as they are now; how many, 0 when nothing is left to do."""
        if limit < 1:
            raise InvalidInput("limit must be at least 1")
        if not self.behind():
            return 0
        with self.write("index") as db:
            last_id = _begin(db)
            due = db.execute("SELECT document_id FROM search_due ORDER BY document_id LIMIT ?", (limit,)).fetchall()
            marks = ", ".join("?" * len(due))
            rows = db.execute(f"{SOURCE} WHERE d.id IN ({marks}) ORDER BY d.id", [one for (one,) in due]).fetchall()
            db.execute(f"DELETE FROM search_due WHERE document_id IN ({marks})", [one for (one,) in due])
            new = db.execute(f"{SOURCE} WHERE d.id > ? ORDER BY d.id LIMIT ?", (last_id, limit - len(due))).fetchall()
            for row in (*rows, *new):
                _index(db, *row)
            if new:
                db.execute("UPDATE search_state SET last_id = ?", (new[-1][0],))
        return len(due) + len(new)

    def search(
        self, terms: Sequence[Term], filters: Sequence[Filter] = (), *, limit: int = 20, offset: int = 0
    ) -> list[Found]:
        """Indexed documents with every term that is wanted and none that is not, the best first; all filters hold."""
        if limit < 1 or offset < 0:
            raise InvalidInput("limit must be at least 1, offset at least 0")
        if not any(term.wanted for term in terms):
            raise InvalidInput("there is no word to look for")
        if not self.rows("SELECT 1 FROM sqlite_master WHERE name = 'search_words'"):
            return []
        where, values = _where(filters)
        match = _match(terms)
        with self.read():
            scores = self._scores(match, where, values)
            if len(scores) == RANKED:
                for number, score in self._scores(f"{{title authors names}} : ({match})", where, values).items():
                    scores[number] = min(score, scores.get(number, score))
            best = sorted((score, -number) for number, score in scores.items())[offset : offset + limit]
            rows = self._db.execute(
                f"SELECT {FOUND} FROM json_each(?) r JOIN documents d ON d.id = r.value{_BLOBS}{_CONTENTS}"
                " ORDER BY r.key",
                (json.dumps([-number for _, number in best]),),
            ).fetchall()
        return [found(-score, *row) for (score, _), row in zip(best, rows, strict=True)]

    def _scores(self, match: str, where: str, values: Sequence[Any]) -> dict[int, float]:
        """Documents that match, the newest first, and how well: the lower, the better (FTS5's bm25)."""
        return dict(
            self._db.execute(
                # A row of the index that is stale has no row here, so it is in no answer.
                f"SELECT r.document_id, bm25(search_words, {_WEIGHTS}) FROM search_words"
                f" CROSS JOIN search_rows r ON r.row = search_words.rowid{_joins(where)}"
                f" WHERE search_words MATCH ?{where} ORDER BY search_words.rowid DESC LIMIT {RANKED}",
                (match, *values),
            )
        )

    def texts_of(self, document_ids: Sequence[int]) -> dict[int, str]:
        """The texts of these documents, as they are kept; documents without any are left out."""
        rows = self.rows(
            "SELECT d.id, t.text FROM documents d JOIN contents c ON c.sha256 = d.sha256"
            " JOIN content_texts t ON t.content_id = c.id JOIN json_each(?) ids ON ids.value = d.id",
            (json.dumps(list(document_ids)),),
        )
        return {number: zlib.decompress(text).decode() for number, text in rows}


def _begin(db: sqlite3.Connection) -> int:
    """The last document that was indexed; an index of another form, or one that is mostly stale, is begun anew."""
    last_id, form = db.execute("SELECT last_id, form FROM search_state").fetchone()
    given = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'search_rows'").fetchone()
    (kept,) = db.execute("SELECT count(*) FROM search_rows").fetchone() if given and given[0] > _FEW else (None,)
    if form == INDEX_FORM and (kept is None or given[0] - kept <= STALE * given[0]):
        return int(last_id)
    db.execute("DROP TABLE IF EXISTS search_words")
    db.execute("DELETE FROM search_rows")
    db.execute("DELETE FROM sqlite_sequence WHERE name = 'search_rows'")
    db.execute("DELETE FROM search_due")
    db.execute("UPDATE search_state SET last_id = 0, form = ?", (INDEX_FORM,))
    try:
        db.execute(_INDEX)
    except sqlite3.OperationalError as problem:
        if "fts5" not in str(problem):
            raise
        raise CatalogError("this Python's SQLite was built without FTS5, which searching needs") from problem
    return 0


def _index(
    db: sqlite3.Connection, document_id: int, artifact_id: str, url: str, resolver: str, variant: str, given: Any,
    content_id: int | None, title: str | None, authors: str, text: bytes | None,
) -> None:  # fmt: skip
    """Give a document a row of the index."""
    facts = (document_id, content_id)
    row = db.execute("INSERT INTO search_rows (document_id, content_id) VALUES (?, ?)", facts).lastrowid
    words = (row, *map(indexed, columns(artifact_id, url, resolver, variant, given, title, authors, text)))
    db.execute("INSERT INTO search_words (rowid, title, authors, names, text) VALUES (?, ?, ?, ?, ?)", words)


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


def _where(filters: Iterable[Filter]) -> tuple[str, list[Any]]:
    """The filters as conditions, and their values."""
    clauses, values = list[str](), list[Any]()
    for one in filters:
        clause, more = _listed(one) if one.field in LISTS else _compared(one)
        clauses.append(f" AND {clause}")
        values += more
    return "".join(clauses), values


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

"""Finding documents by their words: a ``tsvector`` for each document, made here, so that all engines find the same.

Two limits of the type: of a text so long that its words fill a megabyte the rest is not found, and words after the
16,383rd are found, but not as parts of a phrase (PostgreSQL, "Limitations" of text search).
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.postgres.base import Database
from catalogkit.catalog.sql.finding import COLUMNS, FOUND, INDEX_FORM, LISTS, RANKED, SOURCE, Finding, columns, found
from catalogkit.errors import InvalidInput
from catalogkit.words import folded, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from catalogkit.catalog.postgres.session import Session
    from catalogkit.catalog.rows import Found
    from catalogkit.filters import Filter
    from catalogkit.words import Term

_WEIGHTS: Final = "'{0.1, 0.3, 0.5, 1.0}'"  # of D, C, B, A
_LETTERS: Final = "ABCD"
# What the type allows: bytes of a word, the last place it can tell, bytes of all words together (with places).
_WORD: Final = 400
_PLACES: Final = 16_383
_ROOM: Final = 900_000
# Fields stand apart, so that no phrase reaches from one into the next.
_GAP: Final = 8


class Search(Database, Finding):
    """The catalog's part in finding."""

    def index_documents(self, limit: int = 500) -> int:
        """Index some of the documents that are not, or not as they are now; how many, 0 when nothing is left to do."""
        if limit < 1:
            raise InvalidInput("limit must be at least 1")
        if not self.behind():
            return 0
        # Alone: a document that changed between the look at it and its words would be found as it was.
        with self.write("index") as db:
            last_id = _begin(db)
            due = db.execute(
                "DELETE FROM search_due WHERE document_id IN"
                " (SELECT document_id FROM search_due ORDER BY document_id LIMIT ?) RETURNING document_id",
                (limit,),
            ).fetchall()
            rows = db.execute(f"{SOURCE} WHERE d.id = ANY(?::bigint[])", ([one for (one,) in due],)).fetchall()
            new = db.execute(f"{SOURCE} WHERE d.id > ? ORDER BY d.id LIMIT ?", (last_id, limit - len(due))).fetchall()
            db.executemany(
                "INSERT INTO search_rows (document_id, content_id, words) VALUES (?, ?, ?::tsvector)"
                " ON CONFLICT (document_id) DO UPDATE SET content_id = excluded.content_id, words = excluded.words",
                [_row(*row) for row in (*rows, *new)],
            )
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
        with self.read() as db:
            scores = _scores(db, terms, filters)
            if len(scores) == RANKED:
                for number, score in _scores(db, terms, filters, "ABC").items():
                    scores[number] = max(score, scores.get(number, score))
            best = sorted(((score, number) for number, score in scores.items()), reverse=True)[offset : offset + limit]
            rows = db.execute(
                f"SELECT {FOUND} FROM unnest(?::bigint[]) WITH ORDINALITY AS r (id, n) JOIN documents d ON d.id = r.id"
                " JOIN blobs b ON b.sha256 = d.sha256 LEFT JOIN contents c ON c.sha256 = d.sha256 ORDER BY r.n",
                ([number for _, number in best],),
            ).fetchall()
        return [found(score, *row) for (score, _), row in zip(best, rows, strict=True)]

    def texts_of(self, document_ids: Sequence[int]) -> dict[int, str]:
        """The texts of these documents, as they are kept; documents without any are left out."""
        rows = self.rows(
            "SELECT d.id, t.text FROM documents d JOIN contents c ON c.sha256 = d.sha256"
            " JOIN content_texts t ON t.content_id = c.id WHERE d.id = ANY(?::bigint[])",
            (list(document_ids),),
        )
        return {number: zlib.decompress(text).decode() for number, text in rows}


def _begin(db: Session) -> int:
    """The last document that was indexed; an index of another form is begun anew."""
    ((last_id, form),) = db.execute("SELECT last_id, form FROM search_state").fetchall()
    if form == INDEX_FORM:
        return int(last_id)
    db.execute("DELETE FROM search_rows")
    db.execute("DELETE FROM search_due")
    db.execute("UPDATE search_state SET last_id = 0, form = ?", (INDEX_FORM,))
    return 0


def _row(
    document_id: int, artifact_id: str, url: str, resolver: str, variant: str, given: Any, content_id: int | None,
    title: str | None, authors: str, text: bytes | None,
) -> tuple[int, int | None, str]:  # fmt: skip
    """A document's row of the index."""
    places: dict[str, list[str]] = {}
    place, room = 0, _ROOM
    for letter, column in zip(
        _LETTERS, columns(artifact_id, url, resolver, variant, given, title, authors, text), strict=True
    ):
        for word in words_of(column):
            place += 1
            word = word[:_WORD]
            # A word has places for 255 of its occurrences; one that is new takes room of its own.
            if word not in places:
                room -= len(word.encode()) + 8
                if room < 0:
                    break
                places[word] = []
            if len(places[word]) < 255:
                places[word].append(f"{min(place, _PLACES)}{letter}")
                room -= 2
        place += _GAP
    return document_id, content_id, " ".join(f"'{word}':{','.join(found)}" for word, found in places.items())


def _scores(db: Session, terms: Sequence[Term], filters: Sequence[Filter], letters: str = "") -> dict[int, float]:
    """Documents that match, the newest first, and how well: the higher, the better (ts_rank)."""
    where, values = _where([one for one in filters if one.comparison != "~"])
    # How letters are folded the server does not know: what contains something is looked at here.
    contains = [one for one in filters if one.comparison == "~"]
    asked = "".join(f", {_field(one)}" for one in contains)
    paths = [list(one.path) for one in contains if one.kind == "json"]
    query = _query(terms, letters)
    rows = db.stream(
        f"SELECT r.document_id, ts_rank({_WEIGHTS}, r.words, CAST(? AS tsquery)){asked} FROM search_rows r"
        " JOIN documents d ON d.id = r.document_id"
        " JOIN blobs b ON b.sha256 = d.sha256 LEFT JOIN contents c ON c.id = r.content_id"
        f" WHERE r.words @@ CAST(? AS tsquery){where} ORDER BY r.document_id DESC"
        + ("" if contains else f" LIMIT {RANKED}"),
        (query, *paths, query, *values),
    )
    scores: dict[int, float] = {}
    for number, score, *texts in rows:
        if all(folded(str(one.value)) in folded(text or "") for one, text in zip(contains, texts, strict=True)):
            scores[number] = score
            if len(scores) == RANKED:
                break
    return scores


def _query(terms: Sequence[Term], letters: str) -> str:
    """The terms in the server's language. Words have letters and digits only, so nothing in them is an operator."""
    return " & ".join(f"{'' if term.wanted else '!'}({_phrase(term, letters)})" for term in terms)


def _phrase(term: Term, letters: str) -> str:
    ends = [letters] * (len(term.words) - 1) + ["*" * term.prefix + letters]
    words = (f"'{word[:_WORD]}'{f':{end}' if end else ''}" for word, end in zip(term.words, ends, strict=True))
    return " <-> ".join(words)


def _where(filters: Iterable[Filter]) -> tuple[str, list[Any]]:
    """The filters as conditions, and their values."""
    clauses, values = list[str](), list[Any]()
    for one in filters:
        clause, more = _condition(one)
        clauses.append(f" AND {clause}")
        values += more
    return "".join(clauses), values


def _condition(one: Filter) -> tuple[str, list[Any]]:
    how = "IS DISTINCT FROM" if one.comparison == "!=" else one.comparison
    if one.field in LISTS:
        inner = "=" if one.comparison == "!=" else one.comparison
        some = (
            f"EXISTS (SELECT 1 FROM json_array_elements_text({LISTS[one.field]}::json) a (name) WHERE name {inner} ?)"
        )
        return f"NOT {some}" if one.comparison == "!=" else some, [one.value]
    if one.kind == "json":
        return _json(one, how)
    column = COLUMNS[one.field]
    if one.kind == "language" and one.comparison in ("=", "!="):
        # A language is all of its regions: en is en-GB, too.
        some = f"coalesce(lower({column}) = lower(?) OR starts_with(lower({column}), lower(?) || '-'), false)"
        return some if one.comparison == "=" else f"NOT {some}", [one.value] * 2
    return f"{column} {how} ?", [one.value]


def _json(one: Filter, how: str) -> tuple[str, list[Any]]:
    """A value inside JSON; a number is compared as one with what is one, everything else as text."""
    path, text = list(one.path), f"({COLUMNS[one.field]}::json #>> ?::text[])"
    try:
        number = float(str(one.value))
    except ValueError:
        return f"coalesce({text} {how} ?, {'true' if one.comparison == '!=' else 'false'})", [path, one.value]
    inner = "=" if one.comparison == "!=" else one.comparison
    kind = f"json_typeof({COLUMNS[one.field]}::json #> ?::text[])"
    some = f"coalesce(CASE {kind} WHEN 'number' THEN {text}::numeric {inner} ?::float8::numeric"
    some += f" ELSE {text} = ? AND ?::boolean END, false)"
    given = [path, path, number, path, one.value, inner == "="]  # what looks like a number may stand there as text
    return f"NOT {some}" if one.comparison == "!=" else some, given


def _field(one: Filter) -> str:
    """The text that is to contain something."""
    if one.field in LISTS:
        return f"array_to_string(ARRAY(SELECT * FROM json_array_elements_text({LISTS[one.field]}::json)), chr(10))"
    return f"{COLUMNS[one.field]}::json #>> ?::text[]" if one.kind == "json" else COLUMNS[one.field]

"""Full-text search: a ``tsvector`` for each document, made here, so that all engines find the same.

Two limits of the type: of a text so long that its words fill a megabyte the rest is not found, and words after the
16,383rd are found, but not as parts of a phrase (PostgreSQL, "Limitations" of text search).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.postgres.base import Database
from catalogkit.catalog.sql.finding import COLUMNS, LISTS, RANKED, Finding, columns, conditions
from catalogkit.words import folded, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.catalog.sql.base import Session as Session
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

    def _index(self, db: Session, rows: Sequence[Any]) -> None:
        db.executemany(
            "INSERT INTO search_rows (document_id, content_id, words) VALUES (?, ?, ?::tsvector)"
            " ON CONFLICT (document_id) DO UPDATE SET content_id = excluded.content_id, words = excluded.words",
            [_row(*row) for row in rows],
        )

    def _scores(
        self, db: Session, terms: Sequence[Term], filters: Sequence[Filter], *, by_name: bool = False
    ) -> dict[int, float]:
        where, values = conditions([one for one in filters if one.comparison != "~"], _condition)
        # How letters are folded the server does not know: what contains something is looked at here.
        contains = [one for one in filters if one.comparison == "~"]
        asked = "".join(f", {_field(one)}" for one in contains)
        paths = [list(one.path) for one in contains if one.kind == "json"]
        query = _query(terms, "ABC" if by_name else "")
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


def _query(terms: Sequence[Term], letters: str) -> str:
    """The terms in the server's language. Words have letters and digits only, so nothing in them is an operator."""
    return " & ".join(f"{'' if term.wanted else '!'}({_phrase(term, letters)})" for term in terms)


def _phrase(term: Term, letters: str) -> str:
    ends = [letters] * (len(term.words) - 1) + ["*" * term.prefix + letters]
    words = (f"'{word[:_WORD]}'{f':{end}' if end else ''}" for word, end in zip(term.words, ends, strict=True))
    return " <-> ".join(words)


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

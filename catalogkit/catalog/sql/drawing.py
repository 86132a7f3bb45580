"""Shared SQL: draws rows at random, and asks an audit's questions about those only.

The questions stay what they are: a common table expression with the name of a table stands in its place, and has only
the rows that were drawn. What a row refers to is looked up among all.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from catalogkit.audit_sample import DRAWN_FROM, Drawn
from catalogkit.catalog.sql.base import Database

if TYPE_CHECKING:
    from catalogkit.audit_codes import Code

# Numbers that are free because rows went cost a look each; where only one in so many is taken, all are listed.
_SPARSE: Final = 50
_CONTENTS: Final = "sha256 IN (SELECT sha256 FROM {schema}locations WHERE id IN ({copies}))"
_NEEDED: Final = "sha256 IN (SELECT sha256 FROM {schema}documents WHERE id IN ({documents}))"
_PARTS: Final = {
    "documents": "id IN ({documents})",
    "documents_history": "id IN ({documents})",
    "accesses": "document_id IN ({documents})",
    "locations": "id IN ({copies})",
    "locations_history": "id IN ({copies})",
    "checks": "location_id IN ({copies})",
    "blobs": _CONTENTS,
    "blobs_history": _CONTENTS,
    "contents": _CONTENTS,
    "sketches": f"content_id IN (SELECT id FROM {{schema}}contents WHERE {_CONTENTS})",
    "records": "document_id IN ({documents})",
    # Of these contents there may be no copy here. Of evictions only those that are open have an index.
    "elsewhere": _NEEDED,
    "evictions": f"returned_us IS NULL AND {_NEEDED}",
    # NOT_DRAWN: perhaps as many as documents, and no index leads to them; a quota counts everything.
    **dict.fromkeys(("sources", "journal", "quota"), "1 = 0"),
}
_TABLES: Final = {
    "documents": ("documents", "documents_history"),
    "copies": ("locations",),
    "contents": ("blobs",),
    "rows": tuple(_PARTS),
}


def among_drawn(database: Database, code: Code, question: str) -> str:
    """A question, asked of the rows ``:drawn_documents`` and ``:drawn_copies`` only."""
    documents, copies = (database.listed.format(f":drawn_{name}") for name in ("documents", "copies"))
    parts = []
    for table in _TABLES[DRAWN_FROM[code]]:
        some = _PARTS[table].format(schema=database.schema, documents=documents, copies=copies)
        parts.append(f"{table} AS (SELECT * FROM {database.schema}{table} WHERE {some})")
    rest = question.removeprefix("WITH ")
    return f"WITH {', '.join(parts)}{', ' if rest != question else ' '}{rest}"


class Drawing(Database):
    """The catalog's part in a sample."""

    def draw(self, size: int, *, seed: int) -> Drawn:
        """So many documents and so many copies, each with the same chance; the same ones for the same seed."""
        documents, all_documents = self._at_random("documents", size, random.Random(seed))
        copies, all_copies = self._at_random("locations", size, random.Random(seed + 1))
        return Drawn(documents, copies, all_documents, all_copies)

    def _at_random(self, table: str, size: int, chance: random.Random) -> tuple[tuple[int, ...], int]:
        """Ids of a table, and how many rows it has: numbers between its first and its last are tried until enough are
        taken, so that each row is as likely as any other. In their order: neighbours are looked up together."""
        with self.read() as db:
            # Each by itself: the ends of an index are found without a walk from one to the other.
            one = [f"(SELECT {what} FROM {table})" for what in ("count(*)", "min(id)", "max(id)")]
            count, first, last = db.execute(f"SELECT {', '.join(one)}").fetchone()
            if count <= size or last - first >= _SPARSE * count:
                every = [row[0] for row in db.execute(f"SELECT id FROM {table} ORDER BY id").fetchall()]
                return tuple(sorted(chance.sample(every, min(size, count)))), count
            tried, found = set[int](), list[int]()
            while len(found) < size:
                numbers = [chance.randint(first, last) for _ in range(size)]
                new = [number for number in dict.fromkeys(numbers) if number not in tried]
                tried.update(new)
                listed = self.listed.format("?")
                rows = db.execute(f"SELECT id FROM {table} WHERE id IN ({listed})", (str(sorted(new)),)).fetchall()
                taken = {row[0] for row in rows}
                found += [number for number in new if number in taken]
            return tuple(sorted(found[:size])), count

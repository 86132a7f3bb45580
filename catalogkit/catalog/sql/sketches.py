"""Shared SQL: sketches of texts, for near-duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.catalog.rows import ContentText
from catalogkit.catalog.sql.base import Database
from catalogkit.catalog.sql.contents import unpacked
from catalogkit.model import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from catalogkit.near.sketches import Sketch


class Sketches(Database):
    """The catalog's part in near-duplicates."""

    def texts_to_sketch(self, version: str, *, limit: int = 200) -> list[ContentText]:
        """Contents without a sketch of that version whose text, or the lack of one, is known; by number."""
        rows = self.rows(
            "SELECT c.id, c.sha256, t.text FROM contents c"
            " LEFT JOIN content_texts t ON t.content_id = c.id LEFT JOIN sketches s ON s.content_id = c.id"
            " WHERE c.reason = '' AND (s.content_id IS NULL OR s.version <> ?)"
            " AND (t.content_id IS NOT NULL OR c.text_chars = 0) ORDER BY c.id LIMIT ?",
            (version, limit),
        )
        return [ContentText(number, Digest(digest), unpacked(text)) for number, digest, text in rows]

    def known_texts(self) -> int:
        """How many contents have a text, or are known to have none."""
        return int(self.rows("SELECT count(*) FROM contents WHERE reason = ''")[0][0])

    def record_sketches(self, sketches: Iterable[tuple[int, Sketch]], *, version: str) -> int:
        """Note sketches by the numbers of their contents, in place of earlier ones; how many were noted."""
        count = 0
        with self.write("sketch") as db:
            for number, sketch in sketches:
                count += db.execute(
                    "INSERT INTO sketches (content_id, version, shingles, numbers, why_not)"
                    " SELECT id, ?, CAST(? AS BIGINT), ?, ? FROM contents WHERE id = ?"
                    " ON CONFLICT (content_id) DO UPDATE SET version = excluded.version,"
                    " shingles = excluded.shingles, numbers = excluded.numbers, why_not = excluded.why_not",
                    (version, sketch.shingles, sketch.numbers, sketch.why_not, number),
                ).rowcount
        return count

    def sketches(self, version: str) -> pl.DataFrame:
        """The sketches of that version of what documents have now: the columns of `near.pairs.SKETCHES`, by digest."""
        from catalogkit.near.pairs import SKETCHES

        return self.frame_of(
            "SELECT c.sha256, s.shingles, s.numbers, s.why_not FROM sketches s JOIN contents c ON c.id = s.content_id"
            " JOIN blobs b ON b.sha256 = c.sha256 WHERE s.version = ? AND b.refs > 0 ORDER BY c.sha256",
            SKETCHES,
            (version,),
        )

    def text_of(self, sha256: str) -> str:
        """The text of a content; empty where none is kept."""
        rows = self.rows(
            "SELECT t.text FROM contents c JOIN content_texts t ON t.content_id = c.id WHERE c.sha256 = ?",
            (Digest.parse(sha256),),
        )
        return unpacked(rows[0][0]) if rows else ""

"""Quality of documents: how many show each problem, and which come first.

Millions of documents are alike in all that signals look at. The mirror counts those that are, so that what is tested
here are some hundred rows, each of which stands for many documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import polars as pl

__all__ = ["SIGNALS", "TITLED", "Quality", "quality"]

# Signals, worst first, each with what it means.
SIGNALS: Final = {
    "damaged": "cannot be read: broken, or not what its first bytes promise",
    "failed": "reading it took too much time, memory or room, or crashed",
    "encrypted": "needs a password",
    "truncated": "its end is missing, or had to be repaired to be read",
    "other kind than claimed": "its bytes are another kind than its server said",
    "other kind than its name": "its bytes are another kind than the ending of its name",
    "no text": "has pages and no text: scanned, most likely",
    "no title": "is of a kind that has titles, and states none",
    "placeholder title": "its title is what a program put there",
    "other language than stated": "its text is in another language than it states",
    "characters lost": "some of its bytes are no characters in its encoding",
    "not looked into": "nobody looked into it: `catalogkit extract`",
}
TITLED: Final = ("pdf", "web", "book", "office")
_FAILED: Final = ("time", "memory", "crashed", "too_large")
_TRUNCATED: Final = ("truncated", "repaired", "pages_unreadable")
# Lower case; what stands before the first dot, dash or bracket.
_PLACEHOLDER: Final = (
    r"^(untitled|title|no title|new document|document\d*|unknown|index|default|presentation\d*|slide 1|\.|-"
    r"|(microsoft word|powerpoint presentation|microsoft powerpoint)( - .*)?|.*\.(docx?|indd|dvi|tex|qxd|pdf|pptx?))$"
)
# Endings and claims that say which kind a document is; any other says nothing.
_ENDINGS: Final = {
    "pdf": "pdf", "htm": "html", "html": "html", "xhtml": "html", "json": "json", "jsonl": "json", "ndjson": "json",
    "epub": "epub", "xml": "xml", "docx": "docx", "odt": "odt", "png": "png", "jpg": "jpeg", "jpeg": "jpeg",
    "gz": "gzip", "zip": "zip",
}  # fmt: skip
_KINDS: Final = {
    "application/pdf": "pdf", "text/html": "html", "application/xhtml+xml": "html", "application/json": "json",
    "application/x-ndjson": "json", "application/epub+zip": "epub", "application/xml": "xml", "text/xml": "xml",
    "image/png": "png", "image/jpeg": "jpeg", "application/gzip": "gzip", "application/zip": "zip",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.oasis.opendocument.text": "odt",
}  # fmt: skip
# JSON in a text, XML in a page of XHTML, any kind in an archive's name: no contradiction worth a look.
_ALIKE: Final = (("xml", "html"), ("zip", "epub"), ("zip", "docx"), ("zip", "odt"))
_ENDING: Final = "[A-Za-z0-9]{1,5}"
_KNOWN: Final = ", ".join(f"'{ending}'" for ending in _ENDINGS)
_COUNTED: Final = rf"""
WITH inside AS (
    SELECT sha256, extractor, reason, media_type AS told_type, lower(left(language, 4)) AS language, detected_language,
        page_count > 0 AS paged, text_chars = 0 AS textless, warnings,
        CASE WHEN regexp_matches(lower(title), $placeholder) THEN 'placeholder' WHEN title IS NOT NULL THEN 'title' END
            AS title
    FROM contents
),
named AS (
    SELECT id, sha256, bytes, media_type, lower(trim(split_part(content_type, ';', 1))) AS claimed,
        -- Only to know whether there is an ending is many times quicker than to tell which.
        lower(CASE WHEN regexp_matches(source_url, '\.{_ENDING}([?#]|$)')
            AND regexp_matches(source_url, '^[^?#]*\.{_ENDING}([?#]|$)')
            THEN regexp_extract(source_url, '^[^?#]*\.({_ENDING})(?:[?#]|$)', 1)
            WHEN regexp_matches(artifact_id, '\.{_ENDING}$')
            THEN regexp_extract(artifact_id, '\.({_ENDING})$', 1) END) AS ending
    FROM documents
)
SELECT min(id, $top) AS ids, count(*) AS documents, sum(bytes)::BIGINT AS bytes, extractor, reason,
    coalesce(told_type, media_type) AS kind, claimed, CASE WHEN ending IN ({_KNOWN}) THEN ending END AS ending,
    title, language, detected_language, paged, textless, warnings
FROM named LEFT JOIN inside USING (sha256) GROUP BY ALL
"""
_NAMED: Final = """
WITH listed AS MATERIALIZED (SELECT * FROM documents WHERE id IN (SELECT unnest($ids::BIGINT[]))),
inside AS (SELECT sha256, media_type, title FROM contents WHERE sha256 IN (SELECT sha256 FROM listed))
SELECT id AS document_id, artifact_id, resolver, coalesce(i.media_type, d.media_type) AS media_type,
    content_type AS claimed_type, title, bytes
FROM listed d LEFT JOIN inside i USING (sha256)
"""


class Ask(Protocol):
    """Whatever answers questions to the mirror; `Collection.sql` does."""

    def __call__(self, query: str, parameters: dict[str, Any], /) -> pl.DataFrame:
        """What the mirror answers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What is the matter with the documents of a collection.

    Attributes
    ----------
    documents, told, with_signal : int
        All documents; those that an extractor could read; those that give any signal.
    summary : DataFrame
        How many documents give each signal, in the sequence of `SIGNALS`, those without any included: ``signal``,
        ``documents``, ``share`` (of all documents, 0 to 1; null of none), ``bytes``, ``meaning``.
    languages : DataFrame
        How many documents are in each language, as their text tells, else as they state; the most common first:
        ``language`` (null where neither tells), ``documents``, ``bytes``.
    signals : DataFrame
        One row for each of the first documents and each signal it gives, worst first, then by id: ``signal``,
        ``document_id``, ``artifact_id``, ``resolver``, ``media_type``, ``claimed_type``, ``title``, ``bytes``.
    """

    documents: int
    told: int
    with_signal: int
    summary: pl.DataFrame
    languages: pl.DataFrame
    signals: pl.DataFrame


def quality(ask: Ask, top: int = 30) -> Quality:
    """Look at all documents.

    Parameters
    ----------
    ask
        `Collection.sql`.
    top
        At most so many documents of each signal are listed, those of the lowest ids.
    """
    alike = _with_kinds(ask(_COUNTED, {"top": max(top, 1), "placeholder": _PLACEHOLDER}))
    tests = {name: test.fill_null(False) for name, test in _tests().items()}
    documents = int(alike["documents"].sum())
    giving = {name: alike.filter(test) for name, test in tests.items()}
    counts = [(name, int(rows["documents"].sum()), int(rows["bytes"].sum())) for name, rows in giving.items()]
    readable = pl.col("extractor").is_not_null() & pl.col("reason").is_null()
    first = pl.concat(
        rows.select(pl.lit(name).alias("signal"), document_id="ids")
        .explode("document_id")
        .sort("document_id")
        .head(top)
        for name, rows in giving.items()
    )
    named = ask(_NAMED, {"ids": first["document_id"].unique().to_list()})
    return Quality(
        documents=documents,
        told=int(alike.filter(readable)["documents"].sum()),
        with_signal=int(alike.filter(pl.any_horizontal(*tests.values()))["documents"].sum()),
        summary=_summary(counts, documents),
        languages=_languages(alike),
        signals=first.join(named, on="document_id", how="inner", maintain_order="left"),
    )


def _with_kinds(alike: pl.DataFrame) -> pl.DataFrame:
    """Which kind the bytes are, the server said, and the name says, each null where it says nothing."""
    kinds = {"kind": _KINDS, "claimed": _KINDS, "ending": _ENDINGS}
    return alike.with_columns(
        pl.col(name).replace_strict(known, default=None, return_dtype=pl.String) for name, known in kinds.items()
    )


def _tests() -> dict[str, pl.Expr]:
    titled = pl.col("extractor").is_in(TITLED) & pl.col("reason").is_null()
    told = pl.col("language").str.extract(r"^([a-z]{2,3})")
    base = {"no": "nb", "nn": "nb"}
    return {
        "damaged": pl.col("reason") == "damaged",
        "failed": pl.col("reason").is_in(_FAILED),
        "encrypted": pl.col("reason") == "encrypted",
        "truncated": pl.col("warnings").list.set_intersection(list(_TRUNCATED)).list.len() > 0,
        "other kind than claimed": _differ("claimed"),
        "other kind than its name": _differ("ending"),
        "no text": pl.col("paged") & pl.col("textless") & pl.col("reason").is_null(),
        "no title": titled & pl.col("title").is_null(),
        "placeholder title": titled & (pl.col("title") == "placeholder"),
        "other language than stated": (told.str.len_chars() == 2)
        & (told.replace(base) != pl.col("detected_language").replace(base)),
        "characters lost": pl.col("warnings").list.contains("encoding_errors"),
        "not looked into": pl.col("extractor").is_null(),
    }


def _differ(column: str) -> pl.Expr:
    alike = [
        (pl.col(column) == one) & (pl.col("kind") == other) | (pl.col(column) == other) & (pl.col("kind") == one)
        for one, other in _ALIKE
    ]
    return (pl.col(column) != pl.col("kind")) & ~pl.any_horizontal(alike)


def _summary(counts: list[tuple[str, int, int]], documents: int) -> pl.DataFrame:
    share = pl.col("documents") / documents if documents else pl.lit(None, pl.Float64)
    schema = {"signal": pl.String(), "documents": pl.Int64(), "bytes": pl.Int64()}
    return pl.DataFrame(counts, schema=schema, orient="row").select(
        "signal", "documents", share.alias("share"), "bytes",
        meaning=pl.col("signal").replace_strict(SIGNALS, return_dtype=pl.String),
    )  # fmt: skip


def _languages(alike: pl.DataFrame) -> pl.DataFrame:
    stated = pl.col("language").str.extract(r"^([a-z]{2,3})\b")
    return (
        alike.group_by(pl.coalesce("detected_language", stated).alias("language"))
        .agg(pl.col("documents").sum(), pl.col("bytes").sum())
        .sort("documents", "language", descending=[True, False], nulls_last=True)
    )

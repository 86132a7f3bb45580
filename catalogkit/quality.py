"""What is the matter with documents, told from what is inside them: one row for each document and each signal.

Pure functions on the frames ``documents`` and ``contents``.
"""

from __future__ import annotations

from typing import Final

import polars as pl

__all__ = ["SIGNALS", "TITLED", "TOLD", "described", "languages", "of_documents", "signals", "summary"]

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
TOLD: Final = (
    "SELECT id, artifact_id, source_url, resolver, content_type, d.media_type, bytes, extractor, reason, title,"
    " language, detected_language, page_count, encrypted, text_chars, warnings, c.media_type AS told_type"
    " FROM documents d LEFT JOIN contents c USING (sha256)"
)
"""Documents with what is inside them, for `Collection.sql`; `described` goes on from there."""
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


def of_documents(documents: pl.DataFrame, contents: pl.DataFrame | None) -> pl.DataFrame:
    """Every document with what is inside its blob; nulls where nobody looked.

    Returns
    -------
    DataFrame
        Columns of ``documents``, and of ``contents`` those that `signals` needs; ``kind`` is what the bytes are,
        ``claimed`` what the server said, ``ending`` what the name says, each null where it says nothing.
    """
    if contents is None or "ending" in documents.columns:  # they were told before
        return documents
    inside = contents.select(
        "sha256", "extractor", "reason", "title", "language", "detected_language", "page_count", "encrypted",
        "text_chars", "warnings", told_type="media_type",
    )  # fmt: skip
    return described(documents.join(inside, on="sha256", how="left"))


def described(told: pl.DataFrame) -> pl.DataFrame:
    """What `TOLD` answered, with the kinds of `of_documents`."""
    name = pl.coalesce(
        pl.col("source_url").str.extract(r"^[^?#]*\.([A-Za-z0-9]{1,5})(?:[?#]|$)"),
        pl.col("artifact_id").str.extract(r"\.([A-Za-z0-9]{1,5})$"),
    )
    said = pl.col("content_type").str.split(";").list.first().str.strip_chars().str.to_lowercase()
    return told.with_columns(
        kind=pl.coalesce("told_type", "media_type").replace_strict(_KINDS, default=None, return_dtype=pl.String),
        claimed=said.replace_strict(_KINDS, default=None, return_dtype=pl.String),
        ending=name.str.to_lowercase().replace_strict(_ENDINGS, default=None, return_dtype=pl.String),
    )


def signals(documents: pl.DataFrame, contents: pl.DataFrame | None = None, top: int | None = None) -> pl.DataFrame:
    """One row for each document and each signal it gives, worst first, then by id.

    Parameters
    ----------
    documents, contents
        The frames; or, without the second, what `of_documents` or `described` made.
    top
        At most so many documents of each signal, those of the lowest ids.

    Returns
    -------
    DataFrame
        ``signal``, ``document_id``, ``artifact_id``, ``resolver``, ``media_type``, ``claimed_type``, ``title``,
        ``bytes``.
    """
    frame = of_documents(documents, contents)
    named: list[pl.Expr | str] = [
        pl.col("id").alias("document_id"), "artifact_id", "resolver",
        pl.coalesce("told_type", "media_type").alias("media_type"), pl.col("content_type").alias("claimed_type"),
        "title", "bytes",
    ]  # fmt: skip
    found = []
    for signal, test in _tests().items():
        some = frame.filter(test) if top is None else frame.filter(test).bottom_k(top, by="id")
        found.append(some.select(pl.lit(signal).alias("signal"), *named))
    order = pl.Enum(list(SIGNALS))
    return pl.concat(found).sort(pl.col("signal").cast(order), "document_id")


def _tests() -> dict[str, pl.Expr]:
    titled = pl.col("extractor").is_in(TITLED) & pl.col("reason").is_null()
    told = pl.col("language").str.to_lowercase().str.extract(r"^([a-z]{2,3})")
    base = {"no": "nb", "nn": "nb"}
    return {
        "damaged": pl.col("reason") == "damaged",
        "failed": pl.col("reason").is_in(_FAILED),
        "encrypted": pl.col("reason") == "encrypted",
        "truncated": pl.col("warnings").list.set_intersection(list(_TRUNCATED)).list.len() > 0,
        "other kind than claimed": _differ("claimed"),
        "other kind than its name": _differ("ending"),
        "no text": (pl.col("page_count") > 0) & (pl.col("text_chars") == 0) & pl.col("reason").is_null(),
        "no title": titled & pl.col("title").is_null(),
        "placeholder title": titled & pl.col("title").str.to_lowercase().str.contains(_PLACEHOLDER),
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


def summary(found: pl.DataFrame, documents: int) -> pl.DataFrame:
    """How many documents give each signal, in the sequence of `SIGNALS`, those without any included.

    Parameters
    ----------
    found
        All of `signals`.

    Returns
    -------
    DataFrame
        ``signal``, ``documents``, ``share`` (of all documents, 0 to 1; null of none), ``bytes``, ``meaning``.
    """
    counts = found.group_by("signal").agg(pl.len().cast(pl.Int64).alias("documents"), pl.col("bytes").sum())
    return _summed(counts, documents)


def counted(told: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """`summary` of what `of_documents` made, and how many documents give any signal, without a row for each of them."""
    tests = {name: test.fill_null(False) for name, test in _tests().items()}
    sums = {f"{name}/{what}": sum_ for name, test in tests.items()
            for what, sum_ in (("documents", test.sum()), ("bytes", pl.col("bytes").filter(test).sum()))}  # fmt: skip
    row = told.lazy().select(any=pl.any_horizontal(*tests.values()).sum(), **sums).collect().row(0, named=True)
    rows = [(name, row[f"{name}/documents"], row[f"{name}/bytes"]) for name in tests]
    counts = {"signal": pl.String(), "documents": pl.Int64(), "bytes": pl.Int64()}
    return _summed(pl.DataFrame(rows, schema=counts, orient="row"), told.height), row["any"]


def _summed(counts: pl.DataFrame, documents: int) -> pl.DataFrame:
    return (
        pl.DataFrame({"signal": list(SIGNALS), "meaning": list(SIGNALS.values())})
        .join(counts, on="signal", how="left", maintain_order="left")
        .with_columns(pl.col("documents", "bytes").fill_null(0))
        .select(
            "signal",
            "documents",
            (pl.col("documents") / documents if documents else pl.lit(None, pl.Float64)).alias("share"),
            "bytes",
            "meaning",
        )
    )


def languages(documents: pl.DataFrame, contents: pl.DataFrame | None = None) -> pl.DataFrame:
    """How many documents are in each language, as their text tells, else as they state; the most common first.

    Returns
    -------
    DataFrame
        ``language`` (null where neither tells), ``documents``, ``bytes``.
    """
    stated = pl.col("language").str.to_lowercase().str.extract(r"^([a-z]{2,3})\b")
    return (
        of_documents(documents, contents)
        .group_by(pl.coalesce("detected_language", stated).alias("language"))
        .agg(pl.len().cast(pl.Int64).alias("documents"), pl.col("bytes").sum())
        .sort("documents", "language", descending=[True, False], nulls_last=True)
    )

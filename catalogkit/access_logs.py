"""Reads access logs of web servers and of S3, and tables in CSV and Parquet.

Everything is done with whole columns. What a line names is matched to documents by their address, by its path, or by
the key of one of their copies; what matches none is counted and told. A file is read once: the digest of what was read
is on record, and of a log that grew since only what was added is read.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit import parquet
from catalogkit.catalog.rows import AccessFile
from catalogkit.errors import InvalidInput
from catalogkit.model import Digest

if TYPE_CHECKING:
    from catalogkit.collection import Collection

CHUNK: Final = 1 << 20
# So much finer than a horizon need the time of a request not be: requests of one document within it are one row.
EVERY: Final = "1m"
FORMATS: Final = ("auto", "web", "s3", "table")
# The Common Log Format, and the Combined one that goes on after it: https://httpd.apache.org/docs/current/logs.html
_WEB: Final = (
    r"^\S+ \S+ .*?\[(?P<time>[^\]]+)\] \"(?P<method>[A-Z]+) (?P<target>\S+)[^\"]*\" (?P<status>\d{3}) (?P<bytes>\d+|-)"
)
_WEB_TIME: Final = "%d/%b/%Y:%H:%M:%S %z"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
_S3: Final = (
    r"^\S+ \S+ \[(?P<time>[^\]]+)\] \S+ \S+ \S+ (?P<method>\S+) (?P<target>\S+) (?:\"[^\"]*\"|-) (?P<status>\d{3})"
    r" \S+ (?P<bytes>\d+|-)"
)
_GOOD: Final = ("200", "206", "304")
SHOWN: Final = 10
# Times that a log can have: later ones, and years before 1, are slips, and Python has no dates for all of them.
_TIMES: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC))
# Names that columns of tables go by.
_COLUMNS: Final = {
    "time": ("time", "accessed_at", "at", "timestamp"),
    "target": ("target", "document_id", "url", "key", "object", "path", "sha256"),
    "count": ("count", "requests"),
    "bytes": ("bytes", "bytes_sent"),
}


@dataclass(frozen=True, slots=True)
class AccessImport:
    """What came of reading a log.

    Attributes
    ----------
    entries, matched, unmatched
        Successful requests in it, those for documents of this catalog, and the others.
    other
        Lines that are no successful request for a document: errors, uploads, what is no entry at all.
    again
        Whether it was read before, so that nothing was added.
    examples
        Some of what matched no document, the most frequent first.
    """

    name: str
    entries: int = 0
    matched: int = 0
    unmatched: int = 0
    other: int = 0
    documents: int = 0
    rows: int = 0
    again: bool = False
    first_at: datetime | None = None
    last_at: datetime | None = None
    examples: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The import as plain data."""
        return asdict(self)


def import_accesses(
    collection: Collection, path: Path | str, *, form: str = "auto", kind: str = "read", every: str = EVERY,
    as_of: datetime | None = None,
) -> AccessImport:  # fmt: skip
    """Add a log to the access log.

    Parameters
    ----------
    path
        A web server's log (common or combined), S3's access log, or a table (CSV, Parquet) with a time and an address,
        key, digest or document id, perhaps a count and bytes; ``.gz`` is unpacked.
    form
        ``web``, ``s3``, ``table``, or ``auto``, which looks at the file.
    every
        Requests of one document within so long become one row, at the time of the last: ``1m``, ``1h``.

    Raises
    ------
    InvalidInput
        If the file cannot be read, or is no log of that form; nothing is added.

    Examples
    --------
    >>> log = c.path / "access.log"
    >>> line = '10.0.0.1 - - [01/Mar/2026:12:00:00 +0000] "GET /c.txt HTTP/1.1" 200 5 "-" "curl"'
    >>> _ = log.write_text(line + chr(10))
    >>> ck.import_accesses(c, log).entries
    1
    """
    file = Path(path)
    if form not in FORMATS:
        raise InvalidInput(f"no form of log {form!r}; use {', '.join(FORMATS)}")
    known = {one.bytes: one for one in collection.catalog.access_files()}
    data, digest, skip = _read(file, known)
    if skip == len(data) and data:
        return AccessImport(file.name, again=True)
    table = form == "table" or (form == "auto" and file.name.removesuffix(".gz").endswith((".csv", ".parquet")))
    entries, other = _table(file, data) if table else _lines(data[skip:], form)
    found = _matched(collection, entries)
    hit, miss = found.filter(pl.col("document_id").is_not_null()), found.filter(pl.col("document_id").is_null())
    rows = (
        hit.group_by("document_id", pl.col("time").dt.truncate(every).alias("slot"))
        .agg(pl.col("time").max(), pl.col("bytes").sum(), pl.col("count").sum())
        .sort("time", "document_id")
    )
    total = int(entries["count"].sum())
    about = AccessFile(
        sha256=digest, bytes=len(data), name=file.name, entries=total, matched=int(hit["count"].sum()),
        first_at=entries["time"].min(), last_at=entries["time"].max(),  # type: ignore[arg-type]
        imported_at=as_of or collection.now(),
    )  # fmt: skip
    told = rows.select("document_id", "time", pl.lit(kind), "bytes", "count").iter_rows()
    added = collection.catalog.record_accesses(told, file=about)
    often = miss.group_by("target").agg(pl.col("count").sum()).sort("count", "target", descending=[True, False])
    return AccessImport(
        file.name, total, about.matched, total - about.matched, other, hit["document_id"].n_unique(), rows.height,
        not added, about.first_at, about.last_at, often["target"].head(SHOWN).to_list(),
    )  # fmt: skip


def _read(file: Path, known: dict[int, AccessFile]) -> tuple[bytes, Digest, int]:
    """What a file holds, its digest, and how much of its beginning was read before."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
            data = opened.read()
    except (OSError, EOFError, zlib.error) as problem:  # of a gzip file, each in its own way
        raise InvalidInput(f"{file} cannot be read: {problem}; nothing was added") from None
    begun = hashlib.sha256()
    skip = done = 0
    for size in sorted(size for size in known if size <= len(data)):
        begun.update(data[done:size])
        done = size
        if begun.digest() == known[size].sha256:
            skip = size
    begun.update(data[done:])
    return data, Digest(begun.digest()), skip


def _lines(data: bytes, form: str) -> tuple[pl.DataFrame, int]:
    """Successful requests of a text log, and how many other lines there are."""
    lines = pl.Series("line", data.decode("utf-8", "replace").splitlines(), dtype=pl.String)
    lines = lines.filter(lines.str.strip_chars() != "")
    forms = {"web": [_WEB], "s3": [_S3], "auto": [_S3, _WEB]}[form]
    parsed = [
        pl.DataFrame({"line": lines}).select(pl.col("line").str.extract_groups(one)).unnest("line") for one in forms
    ]
    best = max(parsed, key=lambda one: one.height - one["time"].null_count())
    whole = best.drop_nulls("time")
    if whole.is_empty() and lines.len():
        raise InvalidInput("not one line is an entry of a log of that form; nothing was added")
    reads = pl.col("method").is_in(["GET", "REST.GET.OBJECT"]) & pl.col("status").is_in(_GOOD)
    entries = whole.filter(reads).select(
        time=pl.col("time").str.to_datetime(_WEB_TIME, strict=False, time_unit="us", time_zone="UTC"),
        target="target",
        count=pl.lit(1, dtype=pl.Int64),
        bytes=pl.col("bytes").cast(pl.Int64, strict=False),
    )
    entries = entries.filter(pl.col("time").is_between(*_TIMES))
    return entries, lines.len() - entries.height


def _table(file: Path, data: bytes) -> tuple[pl.DataFrame, int]:
    try:
        return _entries(file, data)
    except (pl.exceptions.PolarsError, InvalidInput) as problem:  # no table, or columns that say nothing here
        raise InvalidInput(f"{file} cannot be read as a table: {problem}; nothing was added") from None


def _entries(file: Path, data: bytes) -> tuple[pl.DataFrame, int]:
    """The entries of a table, and how many other rows there are."""
    rows = parquet.read(file, data) if file.name.endswith(".parquet") else pl.read_csv(data, infer_schema=False)
    names = {want: next((one for one in these if one in rows.columns), None) for want, these in _COLUMNS.items()}
    if names["time"] is None or names["target"] is None:
        raise InvalidInput(f"{file} needs a column of times ({', '.join(_COLUMNS['time'])}) and one that says what was"
                           f" asked for ({', '.join(_COLUMNS['target'])}); nothing was added")  # fmt: skip
    one = pl.lit("1")
    entries = rows.select(
        time=_moments(rows[names["time"]]),
        target=pl.col(names["target"]).cast(pl.String),
        count=(pl.col(names["count"]) if names["count"] else one).cast(pl.Int64, strict=False),
        bytes=(pl.col(names["bytes"]) if names["bytes"] else pl.lit(None, dtype=pl.String)).cast(
            pl.Int64, strict=False
        ),
    )
    good = entries.filter(pl.col("time").is_between(*_TIMES) & pl.col("target").is_not_null() & (pl.col("count") > 0))
    return good.with_columns(bytes=pl.when(pl.col("bytes") >= 0).then("bytes")), entries.height - good.height


def _moments(column: pl.Series) -> pl.Series:
    """Times as aware times: text in ISO 8601, seconds since 1970, or times already, which are UTC without a zone."""
    kind = pl.Datetime("us", "UTC")
    if isinstance(column.dtype, pl.Datetime):
        aware = column.dt.replace_time_zone("UTC") if column.dtype.time_zone is None else column
        return aware.dt.convert_time_zone("UTC").cast(kind)
    seconds = column.cast(pl.Float64, strict=False)
    if seconds.null_count() == column.null_count():
        return (seconds * 1e6).cast(pl.Int64, strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return column.str.to_datetime(strict=False, time_unit="us", time_zone="UTC")


def _matched(collection: Collection, entries: pl.DataFrame) -> pl.DataFrame:
    """Entries with the document that each is about: by id, digest, address, the address's path, or a key."""
    documents, locations = collection.frame("documents"), collection.frame("locations")
    path = pl.col("source_url").str.extract(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]+(/[^?#]*)").str.strip_chars_start("/")
    own = documents.group_by("sha256").agg(document_id=pl.col("id").min())
    names = pl.concat(
        [
            documents.select(name=pl.col("id").cast(pl.String), document_id="id", order=pl.lit(0)),
            own.select(name="sha256", document_id="document_id", order=pl.lit(1)),
            documents.select(name="source_url", document_id="id", order=pl.lit(2)),
            locations.join(own, on="sha256").select(name="key", document_id="document_id", order=pl.lit(3)),
            documents.select(name=path, document_id="id", order=pl.lit(4)),
            documents.select(name="artifact_id", document_id="id", order=pl.lit(5)),
        ]
    )
    names = names.drop_nulls("name").filter(pl.col("name") != "").sort("order", "document_id")
    names = names.unique("name", keep="first", maintain_order=True).select("name", "document_id")
    plain = pl.col("target").str.replace(r"[?#].*$", "").str.strip_chars_start("/")
    asked = entries.with_columns(plain=plain)
    exact = asked.join(names, left_on="target", right_on="name", how="left", maintain_order="left")
    by_path = exact.join(names.rename({"document_id": "by_path"}), left_on="plain", right_on="name", how="left",
                         maintain_order="left")  # fmt: skip
    return by_path.with_columns(document_id=pl.coalesce("document_id", "by_path")).drop("plain", "by_path")

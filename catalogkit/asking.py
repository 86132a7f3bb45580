"""Queries on a collection: whole tables as frames, and SQL on its mirror."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from catalogkit.errors import InvalidInput
from catalogkit.signals import operation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import polars as pl

    from catalogkit.catalog.contract import Catalog
    from catalogkit.catalog.mirror import Mirror


class Asking:
    """The asking part of a collection."""

    path: Path
    catalog: Catalog

    @abstractmethod
    def now(self) -> datetime:
        """The collection's clock, in UTC."""

    @operation("query", query="frame")
    def frame(self, table: str, *, as_of: datetime | None = None) -> pl.DataFrame:
        """A whole table as a Polars frame: ``documents``, ``blobs``, ``locations``, ``checks`` and more.

        The schema is `catalogkit.model.schema`, also where there are no rows.

        Parameters
        ----------
        table
            Its name; one that is not known is refused with the list of those that are.
        as_of
            ``documents`` as they were at that time; without it, as they are.

        Raises
        ------
        InvalidInput
            If there is no such table, or no past of it, or `as_of` is no time, or one without a zone.
        """
        if as_of is None:
            return self.catalog.frame(table)
        if table != "documents":
            raise InvalidInput(f"only documents can be asked for as of a time, not {table}")
        if not isinstance(as_of, datetime):
            raise InvalidInput(f"{as_of!r} is no time; give an aware one, such as datetime(2026, 5, 1, tzinfo=UTC)")
        return self.catalog.documents_at(as_of)

    def ledger_days(self, days: int, *, as_of: datetime | None = None) -> pl.DataFrame:
        """What the verification ledger has for each of the last days, by outcome (`fixity.DAYS`)."""
        import polars as pl

        from catalogkit.fixity import DAYS

        until = as_of or self.now()
        since = (until - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
        rows = self.catalog.checks_by_day(since=since, until=until + timedelta(microseconds=1))
        raw = {**DAYS, "day": pl.Int32()}
        return pl.DataFrame(rows, schema=raw, orient="row").cast(DAYS)

    @property
    def mirror(self) -> Mirror:
        """The columnar copy of the catalog, for questions about millions of rows; see docs/time.md."""
        from catalogkit.catalog.mirror import Mirror

        return Mirror(self.catalog, self.path / "mirror")

    def sql(
        self, query: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None, *, refresh: bool = True
    ) -> pl.DataFrame:
        """Ask in DuckDB's SQL over ``documents``, ``blobs``, ``locations`` and ``checks``.

        The answer comes from the mirror, which is refreshed first; it can be read and nothing else. ``sha256`` is 64
        hex digits, times are ``TIMESTAMP`` in UTC, a blob has ``refs``, ``objects`` and ``stores``.

        Parameters
        ----------
        query
            One statement, with ``?``, ``$1`` or ``$name`` for values.
        parameters
            The values: a sequence, or a mapping for names.
        refresh
            False asks the mirror as it is.

        Raises
        ------
        InvalidInput
            If DuckDB cannot carry it out, or is not installed.

        Examples
        --------
        >>> c.sql("SELECT resolver, sum(bytes) FROM documents GROUP BY 1")  # doctest: +SKIP
        """
        return self.mirror.sql(query, parameters, refresh=refresh, as_of=self.now()).frame

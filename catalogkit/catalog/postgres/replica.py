"""A catalog on a read-only replica: answers as of its last commit, and refuses writes."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.postgres.base import Database
from catalogkit.catalog.sql import about

if TYPE_CHECKING:
    from datetime import datetime


_CURRENT: Final = (
    "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp() ELSE"
    " (SELECT max(t.latest_end_time) FROM pg_stat_subscription t JOIN pg_subscription s ON s.oid = t.subid"
    " WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())) END"
)


class About(Database, about.About):
    """Notes, and as of when answers are."""

    def current_to(self) -> datetime | None:
        """Of a replica, when the last commit was that it has; None of the primary server.

        Of one by logical replication, when it last said how far it had come.
        """
        when: Any = self.rows(_CURRENT)[0][0]
        return when.astimezone(UTC) if when is not None else None

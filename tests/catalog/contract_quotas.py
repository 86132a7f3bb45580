"""The contract of quotas: how much may be taken in is decided by the database, whoever writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from catalogkit.catalog.contract import Quota
from catalogkit.errors import InvalidInput, QuotaExceeded
from tests.catalog.desk import HOUR, NOW, PLAN, Desk, sha

if TYPE_CHECKING:
    from tests.catalog.desk import Connect


class Quotas:
    """Counting, refusing, letting go."""

    def test_without_a_quota_nothing_is_counted(self, desk: Desk) -> None:
        """No quota is no limit; setting one counts what is there, taking it away ends it."""
        assert desk.catalog.quota() is None
        desk.put_one("one", "a")
        assert desk.catalog.set_quota(documents=5, bytes=None) == Quota(5, None, 1, 3)
        assert desk.catalog.set_quota(documents=None, bytes=None) is None
        desk.put_one("two", "b")
        assert desk.catalog.set_quota(documents=None, bytes=9) == Quota(None, 9, 2, 6)

    def test_documents_over_the_quota_are_refused(self, desk: Desk) -> None:
        """The batch that goes over it is refused whole; what fits is taken in, and a sighting always is."""
        desk.catalog.set_quota(documents=2, bytes=None)
        with pytest.raises(QuotaExceeded, match="quota of documents"):
            desk.put(desk.entry("one", "a"), desk.entry("two", "b"), desk.entry("six", "c"))
        assert desk.catalog.quota() == Quota(2, None, 0, 0)
        assert desk.catalog.find() == []
        desk.put(desk.entry("one", "a"), desk.entry("two", "b"))
        assert desk.put(desk.entry("one", "a"), as_of=NOW + HOUR)[0].outcome == "same"
        assert desk.catalog.quota() == Quota(2, None, 2, 6)

    def test_bytes_count_for_every_document(self, desk: Desk) -> None:
        """A content that two documents share counts twice; a new version counts instead of the one before."""
        desk.catalog.set_quota(documents=None, bytes=10)
        first = desk.put_one("five5", "a")
        desk.put_one("five5", "b")
        with pytest.raises(QuotaExceeded, match="quota of bytes"):
            desk.put_one("", "c", bytes=1)
        with pytest.raises(QuotaExceeded, match="quota of bytes"):
            desk.put_one("sixsix", "a", as_of=NOW + HOUR)
        desk.put_one("four", "a", as_of=NOW + HOUR)
        assert desk.catalog.quota() == Quota(None, 10, 2, 9)
        desk.forget(first, NOW + HOUR)
        assert desk.catalog.quota() == Quota(None, 10, 1, 5)

    def test_what_is_too_much_already_may_shrink(self, desk: Desk) -> None:
        """A quota below what is there removes nothing, and lets a document become smaller, but not larger."""
        desk.put(desk.entry("seven77", "a"), desk.entry("two", "b"))
        desk.catalog.set_quota(documents=1, bytes=1)
        desk.put_one("six666", "a", as_of=NOW + HOUR)
        with pytest.raises(QuotaExceeded):
            desk.put_one("seven77", "a", as_of=NOW + 2 * HOUR)
        assert desk.catalog.quota() == Quota(1, 1, 2, 9)

    def test_bringing_back_counts_too(self, desk: Desk) -> None:
        """A forgotten document comes back only where there is room for it."""
        first = desk.put_one("one", "a")
        desk.forget(first)
        desk.put_one("two", "b")
        desk.catalog.set_quota(documents=1, bytes=None)
        with pytest.raises(QuotaExceeded), desk.catalog.hand(PLAN, as_of=NOW) as hand:
            hand.recall(first, sha("one"))
        assert [record.artifact_id for record in desk.catalog.find()] == ["b"]

    def test_every_connection_counts(self, desk: Desk, connect: Connect) -> None:
        """Two programs that take in at the same time go over it no more than one does."""
        desk.catalog.set_quota(documents=1, bytes=None)
        other = Desk(connect())
        desk.put_one("one", "a")
        with pytest.raises(QuotaExceeded):
            other.put_one("two", "b")
        assert other.catalog.quota() == Quota(1, None, 1, 3)

    def test_a_limit_is_no_negative_number(self, desk: Desk) -> None:
        """A negative limit is refused."""
        with pytest.raises(InvalidInput, match="negative"):
            desk.catalog.set_quota(documents=-1, bytes=None)
        assert desk.catalog.quota() is None

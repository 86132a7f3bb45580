"""What every engine must do with leases: one piece of work is one program's at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.catalog.desk import HOUR, NOW

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from catalogkit.catalog.contract import Catalog
    from tests.catalog.desk import Connect, Desk


def take(catalog: Catalog, owner: str, items: Sequence[str], at: datetime = NOW, work: str = "verify") -> list[str]:
    return sorted(catalog.lease(work, items, owner=owner, expires_at=at + HOUR, as_of=at))


class Leases:
    """Work that is taken on, given back, and comes back from the dead."""

    def test_what_somebody_has_nobody_else_gets(self, desk: Desk, connect: Connect) -> None:
        """An item is its owner's, who may ask for it again; others get what is left; other work is other items."""
        catalog, other = desk.catalog, connect()
        assert take(catalog, "a", ["1", "2", "2"]) == ["1", "2"]
        assert take(other, "b", ["2", "3"]) == ["3"]
        assert take(catalog, "a", ["1", "3"]) == ["1"]
        assert take(other, "b", ["1"], work="extract") == ["1"]
        assert catalog.lessees("verify") == [("a", NOW + HOUR), ("b", NOW + HOUR)]
        assert take(catalog, "a", []) == []

    def test_what_is_given_back_is_free(self, desk: Desk) -> None:
        """Some of it, or all; what is somebody else's cannot be given back for him."""
        catalog = desk.catalog
        take(catalog, "a", ["1", "2", "3"])
        catalog.release("verify", "b", ["1"])
        catalog.release("verify", "a", ["2"])
        assert take(catalog, "b", ["1", "2", "3"]) == ["2"]
        catalog.release("verify", "a")
        assert take(catalog, "b", ["1", "2", "3"]) == ["1", "2", "3"]
        assert catalog.lessees("verify") == [("b", NOW + HOUR)]

    def test_the_lease_of_the_dead_runs_out(self, desk: Desk) -> None:
        """Once its time is over an item is whoever's asks; who renews in time keeps it."""
        catalog = desk.catalog
        take(catalog, "dead", ["1"])
        take(catalog, "slow", ["2"])
        catalog.renew("verify", "slow", expires_at=NOW + 3 * HOUR)
        assert take(catalog, "b", ["1", "2"], NOW + HOUR) == ["1"]
        catalog.release("verify", "dead", ["1"])
        assert take(catalog, "c", ["1"], NOW + HOUR) == [], "who woke up late takes nothing away from the next one"

    def test_of_many_at_once_one_gets_each(self, desk: Desk, connect: Connect) -> None:
        """Several that want the same at the same time part it among them."""
        items = [str(number) for number in range(300)]
        catalogs = [connect() for _ in range(4)]
        with ThreadPoolExecutor(4) as threads:
            parts = list(threads.map(lambda n: take(catalogs[n], str(n), items[n * 10 :] + items), range(4)))
        assert sorted(item for part in parts for item in part) == sorted(items)

    def test_what_was_checked_since(self, desk: Desk) -> None:
        """Of some copies those that have an entry of the ledger after a mark."""
        for content in ("one", "two", "three"):
            desk.put_one(content, content)
        desk.check("one")
        mark = desk.catalog.last_check_id()
        desk.check("two")
        copies = [desk.location(content) for content in ("one", "two", "three")]
        assert desk.catalog.checked_since(copies, mark) == {desk.location("two")}
        assert desk.catalog.checked_since([], mark) == set()

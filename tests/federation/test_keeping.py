"""What one site lets go of, and another one still needs."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from catalogkit.audit_codes import Code
from catalogkit.auditing import audit
from catalogkit.errors import InvalidInput, StoreUnreachable
from catalogkit.federation.following import follow, plan_follow
from catalogkit.federation.syncing import pull, sync
from catalogkit.planning import Retention, backtest_retention, common, plan_gc
from catalogkit.planning.gc import kept_garbage
from catalogkit.planning.retention import stored_copies
from catalogkit.policies.retention import RetentionPolicy
from catalogkit.verify import verify
from tests.federation.scene import add, agree, change, document, drop, lost, meet, sha, texts
from tests.plans.scene import AT_ONCE, broken, collect, condemn, digest_of, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection


@pytest.fixture(params=["ff", "pp"])
def pair(
    request: pytest.FixtureRequest, sites: Callable[[str], tuple[Collection, Collection]]
) -> tuple[Collection, Collection]:
    """A site with two documents' bytes, and one that has their records alone."""
    east, west = sites(request.param)
    add(east, "one", "first")
    add(east, "two", "second")
    sync(east, west)
    return east, west


def state(collection: Collection, content: str) -> str | None:
    return state_of(collection, content.encode())


def test_what_another_site_may_still_need_is_kept(pair: tuple[Collection, Collection]) -> None:
    """Until it has come as far: an edit there that did not know of the deletion finds its bytes."""
    east, west = pair
    drop(east, "one")
    change(east, "two", "second, new")
    condemn(east)
    assert state(east, "first") == state(east, "second") == "live"
    assert kept_garbage(east)["by"].to_list() == ["region"]
    west.catalog.place_hold("case", document_id=document(west, "one").id, as_of=west.now())
    sync(east, west)
    collect(east)
    agree(east, west)
    assert state(east, "first") == "live" and texts(west).keys() == {"one", "two"}
    assert list(broken(east)) == []


def test_what_everybody_let_go_of_is_garbage(pair: tuple[Collection, Collection]) -> None:
    """Once the other site has come as far, and says so."""
    east, west = pair
    drop(east, "one")
    sync(east, west)
    collect(east)
    assert state(east, "first") == "purged"
    collect(west)
    assert list(broken(east)) == [] and west.catalog.integrity() == []


def test_a_site_that_has_its_own_bytes_needs_none(pair: tuple[Collection, Collection]) -> None:
    """What another site proved to have is not kept for it."""
    east, west = pair
    assert follow(west, [east]).done == 2  # type: ignore[union-attr]
    sync(east, west)
    drop(east, "one")
    collect(east)
    assert state(east, "first") == "purged"


def test_a_silent_site_expires_by_decision_alone(pair: tuple[Collection, Collection]) -> None:
    """However long nothing was heard of it."""
    east, west = pair
    drop(east, "one")
    east.clock.advance(days=3650)  # type: ignore[attr-defined]
    collect(east)
    assert state(east, "first") == "live"
    with pytest.raises(InvalidInput, match="no other sites"):
        east.catalog.expire_site("north", as_of=east.now())
    east.catalog.expire_site("west", as_of=east.now())
    collect(east)
    assert state(east, "first") == "purged"
    assert [one.name for one in east.catalog.sites() if one.expired_at] == ["west"]
    sync(east, west)
    assert not [one for one in east.catalog.sites() if one.expired_at]
    agree(east, west)


def test_what_a_deletion_hid_and_another_version_wrote_over(pair: tuple[Collection, Collection]) -> None:
    """The other site heard of the deletion, and shows what it hid: its own edit did not know of either.

    That it was written over here it has not heard yet, so the bytes stay until it has.
    """
    east, west = pair
    change(east, "one", "hidden")
    east.catalog.changes_since(0, as_of=east.now())  # told to somebody, so that it has a number of its own
    drop(east, "one")
    change(west, "one", "edited in the west")
    list(pull(west.catalog, east.catalog, part=100, as_of=west.now()))
    (contest,) = west.catalog.contests()
    assert digest_of(b"hidden") in {write.value.sha256 for write in contest.record.content}
    add(east, "one", "anew")
    list(pull(east.catalog, west.catalog, part=100, as_of=east.now()))
    assert digest_of(b"hidden") not in {one.value.sha256 for one in east.catalog.contests()[0].record.content}
    collect(east)
    assert state(east, "hidden") == "live" and lost(east, west) == []
    assert not {Code.NO_LOCATION, Code.CONDEMNED_NEEDED} & {one.code for one in audit(west).findings}
    sync(east, west)
    sync(east, west)
    agree(east, west)
    collect(east)
    assert state(east, "hidden") == "purged" and lost(east, west) == []


def test_by_way_of_a_third(make_collection: Callable[..., Collection]) -> None:
    """A site that was never talked to is known by the one between, and what it may need is kept, too."""
    east, north, west = (make_collection(name=name) for name in ("east", "north", "west"))
    meet(east, north, west)
    add(east, "one", "first")
    sync(east, north)
    sync(north, west)
    drop(east, "one")
    sync(east, north)
    collect(east)
    assert state(east, "first") == "live"
    change(west, "one", "first, edited", variant="")
    west.catalog.place_hold("case", digest=digest_of(b"first"), as_of=west.now())
    sync(north, west)
    sync(east, north)
    agree(east, north, west)
    assert texts(east)["one"] == sha("first, edited")


def test_a_document_without_its_bytes_here(pair: tuple[Collection, Collection]) -> None:
    """An audit does not call it missing, reading says where it is, and it comes by asking, proved."""
    east, west = pair
    assert {one.code for one in audit(west).findings} <= {one.code for one in audit(east).findings}
    verify(west)
    number = document(west, "one").id
    with pytest.raises(StoreUnreachable, match=f"lie at east, .* `catalogkit sync east --fetch {number}`"):
        west.read(number)
    assert follow(west, [east], document_ids=[number]).done == 1  # type: ignore[union-attr]
    assert west.read(number) == b"first"
    assert west.catalog.frame("wanted").height == 1
    assert list(broken(east)) == []


def test_bytes_that_are_not_right_do_not_come(pair: tuple[Collection, Collection]) -> None:
    """What was changed on its disk is read, hashed and refused."""
    east, west = pair
    path = east.store.path(east.catalog.locations_of(digest_of(b"first"))[0].key)  # type: ignore[union-attr]
    os.chmod(path, 0o644)
    with open(path, "wb") as file:
        file.write(b"fXrst")
    report = follow(west, [east], document_ids=[document(west, "one").id])
    assert report is not None and (report.done, report.failed) == (0, 1)
    assert west.catalog.locations_of(digest_of(b"first")) == []


def test_a_budget_and_a_number_of_copies(pair: tuple[Collection, Collection]) -> None:
    """The smallest come first, as far as the bytes go; what enough sites have stays where it is."""
    _, west = pair
    assert plan_follow(west, bytes_budget=5).units == 1
    assert plan_follow(west, bytes_budget=11).units == 2
    assert (plan_follow(west, copies=1).units, plan_follow(west, copies=2).units) == (0, 2)
    with pytest.raises(InvalidInput, match="no document 99"):
        plan_follow(west, document_ids=[99])


def test_regions_count_as_copies(pair: tuple[Collection, Collection]) -> None:
    """`min_replicas` counts what other sites say they have, and what they found bad not."""
    east, west = pair
    healthy = dict(stored_copies(west).select("sha256", "healthy").iter_rows())
    assert healthy == {digest_of(b"first").hex(): 1, digest_of(b"second").hex(): 1}
    follow(west, [east])
    sync(east, west)
    assert stored_copies(east)["healthy"].to_list() == [2, 2]
    path = west.store.path(west.catalog.locations_of(digest_of(b"first"))[0].key)  # type: ignore[union-attr]
    os.unlink(path)
    west.clock.advance(days=1)  # type: ignore[attr-defined]
    verify(west)
    sync(east, west)
    assert sorted(stored_copies(east)["healthy"]) == [1, 2]


def test_of_many_documents_regions_count_as_well(
    pair: tuple[Collection, Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror has numbers for contents, and other sites their digests: decisions and the past are the same."""
    east, west = pair
    follow(west, [east])
    sync(east, west)
    late, policies = east.now() + timedelta(days=20), [RetentionPolicy(10, min_replicas=more) for more in (2, 3)]

    def decided() -> list[object]:
        found: list[object] = []
        for policy in policies:
            one = Retention(east, policy, as_of=late)
            found += [one.plan().id, one.decided.sort("id")["healthy"].to_list()]
            found.append(backtest_retention(east, policy, since=late - timedelta(days=9), as_of=late).steps.rows())
        return found

    plain = decided()
    assert plain[1] == [2, 2]
    monkeypatch.setattr(common, "MANY", 1)
    assert decided() == plain


def test_a_document_that_came_back_keeps_its_old_bytes(pair: tuple[Collection, Collection]) -> None:
    """What was condemned here, and is needed by a document of another site again, is alive again."""
    east, west = pair
    drop(east, "one")
    sync(east, west)
    condemn(east)
    assert state(east, "first") == "condemned"
    add(west, "again", "first")
    sync(east, west)
    assert state(east, "first") == "live"
    east.clock.advance(days=30)  # type: ignore[attr-defined]
    assert plan_gc(east, AT_ONCE).units == 0
    assert east.clock.now - timedelta(days=30) < east.now()  # type: ignore[attr-defined]


def test_what_a_site_says_later_counts_whatever_its_clock_says(pair: tuple[Collection, Collection]) -> None:
    """Bytes that are said to be there are, also where the clock was put back since they were said to be gone."""
    east, west = pair
    late = east.clock.advance(days=30)  # type: ignore[attr-defined]
    follow(west, [east], document_ids=[document(west, "one").id])
    drop(east, "one")
    sync(east, west)
    collect(east)
    sync(east, west)
    add(west, "other", "first")
    sync(east, west)
    east.clock.now = late - timedelta(days=29)  # type: ignore[attr-defined]
    follow(east, [west])
    sync(east, west)
    assert west.catalog.sites_with(digest_of(b"first")) == ["east"]

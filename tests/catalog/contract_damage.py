"""The contract of what repair asks."""

from __future__ import annotations

from catalogkit.model import Layout, Outcome
from catalogkit.planners.repair import COPIES
from tests.catalog.desk import DAY, NOW, Desk, sha


class Damage:
    """Bad copies, what else there is of their bytes, and where these came from."""

    def test_nothing_is_impaired(self, desk: Desk) -> None:
        """Copies that are good, were never read, or could not be, impair nothing."""
        desk.put_one("one", "a")
        for outcome in (Outcome.OK, Outcome.UNKNOWN):
            desk.check("one", outcome)
            assert desk.catalog.impaired().is_empty()

    def test_every_copy_of_an_impaired_blob(self, desk: Desk) -> None:
        """A bad copy brings all copies of its blob, good or not, and no other blob's, in the order of their digests."""
        shared = desk.catalog.add_store("in-place", "reference", "theirs").id
        desk.put(desk.entry("well", "w"), desk.at("a", "one", "a", resolver="pmc", tenant="team", inode=7))
        desk.put(desk.entry("one", "b", store_id=shared, key="home/b", layout=Layout.REFERENCE))
        desk.put(desk.entry("two", "c"))
        desk.check("one", Outcome.CORRUPT, NOW)
        desk.check("two", Outcome.MISSING, NOW + DAY)
        frame = desk.catalog.impaired()
        assert dict(frame.schema) == dict(COPIES)
        rows = {row["key"]: row for row in frame.rows(named=True)}
        assert list(frame["sha256"]) == sorted(frame["sha256"])
        assert set(rows) == {"docs/a", "home/b", desk.entry("two").key}
        first, other = rows["docs/a"], rows["home/b"]
        assert (first["store"], first["store_kind"], first["inode"], first["bytes"]) == ("main", "local", 7, 3)
        assert (first["outcome"], first["checked_at"], first["media_type"]) == ("corrupt", NOW, "text/plain")
        assert (first["artifact_id"], first["resolver"], first["tenant"]) == ("a", "pmc", "team")
        assert (other["store"], other["store_kind"], other["outcome"]) == ("in-place", "reference", None)
        assert other["checked_at"] is None
        assert rows[desk.entry("two").key]["checked_at"] == NOW + DAY

    def test_what_nobody_refers_to_any_more(self, desk: Desk) -> None:
        """Bytes without a document are told with the last one that had them; condemned ones are not told."""
        number = desk.put_one("one", "a", resolver="pmc")
        desk.check("one", Outcome.CORRUPT)
        desk.forget(number, NOW + DAY)
        ((*_, artifact, resolver, tenant),) = desk.catalog.impaired().rows()
        assert (artifact, resolver, tenant) == ("a", "pmc", "default")
        assert desk.condemn("one", NOW + 2 * DAY) == ""
        assert desk.catalog.impaired().is_empty()

    def test_origins(self, desk: Desk) -> None:
        """Every document that has the content or ever had it, once for each source; living first, latest first."""
        first = desk.put_one("one", "a")
        second = desk.put_one("one", "b", source_url="https://me:secret@example.org/b")
        third = desk.put_one("one", "c")
        desk.put_one("other", "a", as_of=NOW + DAY)  # a has had it
        desk.forget(second, NOW + 2 * DAY)
        urls = {first: "https://example.org/a", second: "https://me:secret@example.org/b"}
        assert desk.catalog.origins_of(sha("one")) == [
            (third, "https://example.org/c"),
            (second, urls[second]),
            (first, urls[first]),
        ]
        desk.put_one("one", "a", as_of=NOW + 3 * DAY)  # and has it again
        assert desk.catalog.origins_of(sha("one")) == [
            (first, urls[first]),
            (third, "https://example.org/c"),
            (second, urls[second]),
        ]
        assert desk.catalog.origins_of(sha("never")) == []

"""Shared SQL: sites: who they are, how far each has received the others' changes, and which bytes are kept for them."""

from __future__ import annotations

import json
import secrets
import uuid
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from catalogkit.catalog.federation import SiteRow
from catalogkit.catalog.sql.base import Database
from catalogkit.errors import CatalogError, InvalidInput
from catalogkit.federation.changes import Reach, Site
from catalogkit.model import Digest, check_text, from_us, to_us

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from catalogkit.catalog.sql.base import Session

_SITES: Final = (
    "SELECT s.site, s.name, s.own, s.follows, s.met_us, s.heard_us, s.expired_us,"
    " coalesce(r.seq, 0), coalesce(r.changes, 0), coalesce(h.seq, 0), coalesce(h.changes, 0), coalesce(h.marks, '{{}}')"
    " FROM sites s LEFT JOIN sites o ON o.own = 1"
    " LEFT JOIN reaches r ON r.site_id = s.id AND r.origin_id = o.id"
    " LEFT JOIN reaches h ON h.site_id = o.id AND h.origin_id = s.id{} ORDER BY s.own DESC, s.name, s.id"
)
OLDER: Final = "its catalog was put back to an older state; `catalogkit sync --renew` there makes it a site of its own"
_DIGEST: Final = (
    "SELECT tenant, artifact_id, source_url, resolver, variant, sha256, content_type, run_id, fetched_us, metadata"
    " FROM documents"
)


class Here:
    """This site within a transaction: its number, the numbers of all, how many changes it has made."""

    def __init__(self, db: Session, text: str = "") -> None:
        self.text = text  # how a column of text is declared, for tables that last as long as a transaction
        rows = db.execute("SELECT id, site, name, own FROM sites").fetchall()
        self.numbers: dict[str, int] = {site: number for number, site, _, _ in rows}
        self.names: dict[int, str] = {number: site for number, site, _, _ in rows}
        own = [(number, site, name) for number, site, name, own in rows if own]
        if not own:
            raise InvalidInput("this catalog is no site yet; `catalogkit sync --as NAME` makes it one")
        self.number: int
        self.site: str
        self.name: str
        ((self.number, self.site, self.name),) = own
        row = db.execute(
            "SELECT seq, changes, marks FROM reaches WHERE site_id = ?1 AND origin_id = ?1", (self.number,)
        ).fetchone()
        self.seq: int = row[0]
        self.changes: int = row[1]
        self.marks: dict[str, int] = json.loads(row[2])

    def next(self) -> int:
        """The number of one more change."""
        self.seq += 1
        return self.seq

    def stand(self, db: Session, sequence: str) -> None:
        """Note that all that has happened by now is told under the numbers given so far."""
        (self.changes, last) = db.execute(
            f"SELECT (SELECT coalesce(max(hid), 0) FROM documents_history), {sequence}"
        ).fetchone()
        self.marks = {"last_id": last}
        db.execute(
            "UPDATE reaches SET seq = ?, changes = ?, marks = ? WHERE site_id = ? AND origin_id = ?",
            (self.seq, self.changes, json.dumps(self.marks), self.number, self.number),
        )
        db.execute(
            "INSERT INTO tellings (seq, token) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM tellings WHERE seq >= ?1)",
            (self.seq, secrets.randbits(62)),
        )
        db.execute(
            "DELETE FROM tellings WHERE seq < (SELECT min(r.seq) FROM reaches r JOIN sites s ON s.id = r.site_id"
            " WHERE r.origin_id = ? AND s.own = 0 AND s.expired_us IS NULL)",
            (self.number,),
        )

    def token(self, db: Session, seq: int) -> int:
        """What it said by then, in a number; 0 where that is not known any more."""
        row = db.execute("SELECT token FROM tellings WHERE seq = ?", (seq,)).fetchone()
        return int(row[0]) if row else 0


class Sites(Database):
    """The catalog's part in being one of several."""

    def own_site(self) -> SiteRow | None:
        """This site; None for a catalog that is by itself."""
        rows = self.rows(_SITES.format(" WHERE s.own = 1"))
        return _row(rows[0]) if rows else None

    def sites(self) -> list[SiteRow]:
        """Every site that is known, this one first."""
        return [_row(row) for row in self.rows(_SITES.format(""))]

    def begin_site(self, name: str, *, as_of: datetime) -> SiteRow:
        """Become a site, or take another name."""
        _check_name(name)
        with self.write("begin site", to_us(as_of)) as db:
            if db.execute("UPDATE sites SET name = ? WHERE own = 1", (name,)).rowcount == 0:
                number = _add(db, Site(uuid.uuid4().hex[:16], name), as_of, own=1)
                sql = "INSERT INTO reaches (site_id, origin_id, marks) VALUES (?1, ?1, ?2)"
                db.execute(sql, (number, json.dumps({"last_id": 0})))
        found = self.own_site()
        assert found
        return found

    def renew_site(self, *, as_of: datetime) -> SiteRow | None:
        """Become another site that follows this one; None where it is no site."""
        if self.own_site() is None:
            return None
        with self.write("renew site", to_us(as_of)) as db:
            here = Here(db)
            db.execute("UPDATE sites SET own = 0, expired_us = ? WHERE id = ?", (to_us(as_of), here.number))
            number = _add(db, Site(uuid.uuid4().hex[:16], here.name, here.site), as_of, own=1)
            # What it knows of others it still knows; how far others have come with it begins anew, from where it stood.
            db.execute(
                "INSERT INTO reaches (site_id, origin_id, seq, changes, marks)"
                " SELECT ?1, CASE WHEN origin_id = ?2 THEN ?1 ELSE origin_id END, seq, changes, marks FROM reaches"
                " WHERE site_id = ?2",
                (number, here.number),
            )
            db.execute(
                "INSERT INTO reaches (site_id, origin_id, seq, changes) SELECT site_id, ?1, 0, changes FROM reaches"
                " WHERE origin_id = ?2 AND site_id NOT IN (?1, ?2)",
                (number, here.number),
            )
        return self.own_site()

    def expire_site(self, site: str, *, as_of: datetime) -> SiteRow:
        """Keep nothing for the sake of a site any more, by its id or name."""
        found = [one for one in self.sites() if site in (one.id, one.name) and not one.own and not one.expired_at]
        if len(found) != 1:
            raise InvalidInput(f"{len(found) or 'no'} other sites are called {site!r}; `catalogkit sync` lists them")
        with self.write("expire site", to_us(as_of)) as db:
            db.execute("UPDATE sites SET expired_us = ? WHERE site = ?", (to_us(as_of), found[0].id))
        return next(one for one in self.sites() if one.id == found[0].id)

    def sites_with(self, digest: Digest) -> list[str]:
        """The names of other sites that say they have bytes of this content, those that proved it lately first."""
        rows = self.rows(
            "SELECT s.name FROM elsewhere e JOIN sites s ON s.id = e.site_id WHERE e.sha256 = ? AND e.copies > 0"
            " ORDER BY e.checked_us DESC, s.name",
            (digest,),
        )
        return [row[0] for row in rows]

    def content_digest(self) -> Digest:
        """What all documents amount to, whatever their ids here: the sum (modulo 2 to the 256th) of their SHA-256."""
        total, encode = 0, msgspec.json.Encoder().encode
        with self.read() as db:
            for row in db.stream(_DIGEST):
                total += int.from_bytes(sha256(encode(row)).digest())
        return Digest((total % (1 << 256)).to_bytes(32))


def meet(db: Session, here: Here, site: Site, as_of: datetime) -> int:
    """The number of a site, which is noted if it is new: all that was lost since others were told of it is kept."""
    if site.id == here.site:
        return here.number
    if site.id not in here.numbers:
        number = _add(db, site, as_of)
        here.numbers[site.id], here.names[number] = number, site.id
        (oldest,) = db.execute(
            "SELECT min(r.changes) FROM reaches r JOIN sites s ON s.id = r.site_id"
            " WHERE r.origin_id = ? AND s.own = 0 AND s.expired_us IS NULL",
            (here.number,),
        ).fetchone()
        now = "(SELECT coalesce(max(hid), 0) FROM documents_history)"
        db.execute(
            f"INSERT INTO reaches (site_id, origin_id, changes) SELECT ?, ?, coalesce(CAST(? AS BIGINT), {now})",
            (number, here.number, oldest),
        )
        if site.follows in here.numbers and site.follows != here.site:
            db.execute(
                "UPDATE sites SET expired_us = ? WHERE site = ? AND expired_us IS NULL", (to_us(as_of), site.follows)
            )
    return here.numbers[site.id]


def reach_of_all(db: Session, here: Here) -> dict[str, dict[str, Reach]]:
    """How far each site has come with each other's changes, as far as is known here."""
    found: dict[str, dict[str, Reach]] = {}
    for site, origin, seq, changes in db.execute("SELECT site_id, origin_id, seq, changes FROM reaches").fetchall():
        found.setdefault(here.names[site], {})[here.names[origin]] = Reach(seq, changes)
    return found


def hear(db: Session, here: Here, told: Mapping[str, Mapping[str, Reach]]) -> None:
    """Note how far sites have come, of which another site tells."""
    for site, reached in told.items():
        for origin, reach in reached.items():
            if site != here.site:
                reach_out(db, here.numbers[site], here.numbers[origin], reach)


def refuse_older(here: Here, told: Mapping[str, Mapping[str, Reach]]) -> None:
    """Refuse to go on where others know more changes of this site than it made: their numbers would be given twice."""
    seen = max((reached[here.site].seq for reached in told.values() if here.site in reached), default=0)
    if seen > here.seq:
        raise CatalogError(
            f"others have seen change {seen:,} of site {here.name}, which has made {here.seq:,}: {OLDER}"
        )


def refuse_other(db: Session, here: Here, marks: Mapping[str, int]) -> None:
    """Refuse to go on for somebody who was told something else under a number than this site said under it."""
    if "token" in marks and here.token(db, marks["seq"]) not in (marks["token"], 0):
        raise CatalogError(f"site {here.name} has given numbers up to {marks['seq']:,} to other changes: {OLDER}")


def reach_out(db: Session, site: int, origin: int, reach: Reach) -> None:
    """Note that a site has come so far with an origin's changes, if it was not as far."""
    db.execute(
        "INSERT INTO reaches (site_id, origin_id, seq, changes) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (site_id, origin_id) DO UPDATE SET seq = excluded.seq, changes = excluded.changes"
        " WHERE reaches.seq < excluded.seq OR reaches.seq = excluded.seq AND reaches.changes < excluded.changes",
        (site, origin, reach.seq, reach.changes),
    )


def _add(db: Session, site: Site, as_of: datetime, *, own: int = 0) -> int:
    taken = db.execute("SELECT 1 FROM sites WHERE name = ? AND expired_us IS NULL", (site.name,)).fetchone()
    name = f"{site.name}-{site.id[:4]}" if taken else site.name
    (number,) = db.execute(
        "INSERT INTO sites (site, name, own, follows, met_us) VALUES (?, ?, ?, ?, ?) RETURNING id",
        (site.id, name, own, site.follows, to_us(as_of)),
    ).fetchone()
    return int(number)


def _check_name(name: str) -> None:
    check_text("a site's name", name)
    if not name.strip():
        raise InvalidInput("a site needs a name")


def _row(row: tuple[Any, ...]) -> SiteRow:
    site, name, own, follows, met, heard, expired, *reached, marks = row
    return SiteRow(
        id=site,
        name=name,
        own=bool(own),
        follows=follows,
        met_at=from_us(met),
        heard_at=None if heard is None else from_us(heard),
        expired_at=None if expired is None else from_us(expired),
        reached=Reach(*reached[:2]),
        heard=Reach(*reached[2:]),
        marks=json.loads(marks),
    )

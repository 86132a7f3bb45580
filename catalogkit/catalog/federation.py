"""Contract: other sites, what to tell them, and what they told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from catalogkit.federation.changes import Changes, Reach
    from catalogkit.federation.merging import Identity, Record
    from catalogkit.model import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRow:
    """A site, and how far it and this one have come with each other's changes.

    Attributes
    ----------
    id, name : str
        Its id, which is never given twice, and what people call it.
    own : bool
        Whether it is this one.
    follows : str
        The id of the site that it was before it came back from a backup.
    met_at, heard_at, expired_at : datetime or None
        When it was first heard of, when its changes were last taken in, since when nothing is kept for its sake.
    reached : Reach
        How far it has come with this site's changes, as far as is known here.
    heard : Reach
        How far this site has come with its changes.
    marks : dict
        What it is to be told when it is asked again.
    """

    id: str
    name: str
    own: bool
    follows: str
    met_at: datetime
    heard_at: datetime | None
    expired_at: datetime | None
    reached: Reach
    heard: Reach
    marks: dict[str, int]


@dataclass(frozen=True, slots=True)
class Contest:
    """A document of which sites said different things without knowing of each other, and all they said."""

    identity: Identity
    document_id: int
    record: Record


@dataclass(slots=True)
class Taken:
    """What came of a change set: how many documents were new, changed or gone here, and what else it told.

    Attributes
    ----------
    overruled : int
        Deletions that were not carried out: a hold is in force here, or a later sighting was not known there.
    contested : int
        Documents of which values did not know of each other.
    """

    documents: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    overruled: int = 0
    contested: int = 0
    holds: int = 0
    copies: int = 0
    parts: int = 0
    bytes: int = 0

    def add(self, other: Taken) -> None:
        """Count another one's, too."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def words(self) -> dict[str, int]:
        """What a person should know: all that is not nothing, new, changed and gone documents always."""
        told = {"new": self.new, "changed": self.changed, "gone": self.gone}
        more = {"deletions not carried out": self.overruled, "holds": self.holds}
        return told | {name: number for name, number in more.items() if number}

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {name: getattr(self, name) for name in self.__slots__}


class Federation(Protocol):
    """A catalog that is one of several. None of it costs anything where it is by itself."""

    def own_site(self) -> SiteRow | None:
        """This site; None for a catalog that is by itself."""

    def begin_site(self, name: str, *, as_of: datetime) -> SiteRow:
        """Become a site, or take another name."""

    def renew_site(self, *, as_of: datetime) -> SiteRow | None:
        """Become another site that follows this one: its numbers would be given twice. None where it is no site."""

    def sites(self) -> list[SiteRow]:
        """Every site that is known, this one first."""

    def expire_site(self, site: str, *, as_of: datetime) -> SiteRow:
        """Keep nothing for the sake of a site any more, by its id or name."""

    def changes_since(
        self,
        since: int,
        *,
        marks: dict[str, int] | None = None,
        limit: int = 20_000,
        skip: Collection[str] = (),
        as_of: datetime,
    ) -> Changes:
        """What changed here after change `since`, at most so many documents.

        What was taken over from the sites in `skip` as it is, is left out; `marks` are those of the answer before.
        """

    def take_changes(self, changes: Changes, *, as_of: datetime) -> Taken:
        """Join what another site tells with what is known here, in one transaction; again changes nothing.

        Raises
        ------
        CatalogError
            If something before it is missing, or one of both sites was put back to an older state.
        """

    def contests(self) -> list[Contest]:
        """Documents that somebody should look at, by identity."""

    def record_of(self, identity: Identity) -> Record | None:
        """What is known of a document by all sites; None where there is no such, or it was never told of."""

    def sites_with(self, digest: Digest) -> list[str]:
        """The names of other sites that say they have bytes of this content, by what they know of them."""

    def content_digest(self) -> Digest:
        """What all documents amount to, whatever their ids here: sites that agree have the same."""

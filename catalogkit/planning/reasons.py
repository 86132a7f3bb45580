"""Answers `why`: why bytes are kept, or why they are going."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from catalogkit.errors import InvalidInput
from catalogkit.model import Digest, text_path
from catalogkit.plan import Saved
from catalogkit.planners.gc import GCPolicy
from catalogkit.planning.keeping import waiting_plans
from catalogkit.stores.reference import ReferenceStore
from catalogkit.stores.s3.settings import is_bucket

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.collection import Collection

_BEGINNING: Final = re.compile("[0-9a-fA-F]{4,63}")


def why(collection: Collection, subject: str | int, *, as_of: datetime | None = None) -> list[str]:
    """Why bytes are kept, or why they go, in sentences.

    Parameters
    ----------
    subject
        A digest or how it begins, four digits at least; a document's id; or a path (a key of the store, or a file).

    Raises
    ------
    InvalidInput
        If the catalog knows nothing of it.

    Examples
    --------
    >>> ck.why(c, "3")[1]
    'document 3 (c.txt, arxiv) refers to it'
    """
    when = as_of or collection.now()
    digest = _digest_of(collection, str(subject))
    facts = collection.catalog.root_kinds(digest, as_of=when)
    if not facts:
        raise InvalidInput(f"the catalog knows nothing of {digest}")
    said = [f"{digest} ({facts['bytes']:,} bytes) is {facts['state']}"]
    for document_id, artifact_id, resolver in facts["documents"]:
        said.append(f"document {document_id} ({artifact_id}, {resolver or 'no resolver'}) refers to it")
    if facts["refs"] > len(facts["documents"]):
        said.append(f"and {facts['refs'] - len(facts['documents'])} documents more")
    said += [f"a hold keeps it: {reason}" for reason in facts["holds"]]
    said += [f"an ingest under way keeps it: {owner}" for owner in facts["intents"]]
    said += [f"{root} keeps it" for root in facts["roots"]]
    if facts["garbage_since"]:
        said.append(f"nothing has referred to it since {facts['garbage_since']:%Y-%m-%d %H:%M} UTC")
        grace = GCPolicy().grace
        due = facts["garbage_since"] + grace
        state = "it may be purged" if due <= when else f"it may be purged from {due:%Y-%m-%d %H:%M} UTC on"
        said.append(f"{state}, once it is condemned" if facts["state"] == "live" else state)
    said += [
        f"it was evicted {one.evicted_at:%Y-%m-%d %H:%M} UTC by plan {one.plan_id[:12]}"
        + (f", and came back {one.returned_at:%Y-%m-%d %H:%M} UTC" if one.returned_at else "")
        for one in collection.catalog.evictions(digest)
    ]
    for copy in collection.catalog.locations_of(digest):
        place = collection.stores[collection.store_id(copy.store)].describe(copy.key)
        said.append(f"a copy lies at {place}: {copy.outcome or 'never checked'}")
    return said + _proposed(collection, digest)


def _proposed(collection: Collection, digest: Digest) -> list[str]:
    """Plans that wait for somebody and would let go of these bytes because of their text."""
    said = []
    for waiting in waiting_plans(collection):
        if waiting["kind"] == "near" and waiting["state"] != "expired":
            instead = Saved.read(waiting["path"]).head.policy["instead_of"].get(str(digest))
            if instead:
                said.append(
                    f"plan {waiting['id'][:12]} proposes to forget it: document {instead['kept_document_id']}, which"
                    f" is kept, has the same text ({instead['similarity']:.0%} alike)"
                )
                said += [
                    f"{where} alone begins to say: {instead[name]!r}"
                    for where, name in (("this one", "differs"), ("the one that is kept", "kept_differs"))
                    if instead[name]
                ]
    return said


def _digest_of(collection: Collection, subject: str) -> Digest:
    # Eight digits can be how a digest begins, as reviews show it: an id comes first, for it is whole.
    numbered = subject.isdigit() and len(subject) < 20
    if numbered and (record := collection.catalog.document(int(subject))) is not None:
        return record.sha256
    if _BEGINNING.fullmatch(subject):
        begun = collection.catalog.digests_like(subject)
        if len(begun) > 1:
            raise InvalidInput(f"several contents begin with {subject}: {begun[0]}, {begun[1]}; give more digits")
        if begun:
            return begun[0]
    if numbered:
        raise InvalidInput(f"there is no document {subject}; `catalogkit history {subject}` tells if there was")
    if len(subject) == 64 and "/" not in subject:
        return Digest.parse(subject)
    for store_id, store in collection.stores.items():
        root = store.root.rstrip("/") + "/"
        path = subject if is_bucket(subject) else os.path.abspath(text_path(subject))
        key = path.removeprefix(root) if path.startswith(root) else subject
        if isinstance(store, ReferenceStore):
            key = store.key(path)
        digest = collection.catalog.digest_at(store_id, key)
        if digest is not None:
            return digest
    raise InvalidInput(f"the catalog knows nothing of {subject!r}; give a digest, a document's id, or a path")

"""The tables of a catalog and their keys: the list that copying a catalog goes by."""

from __future__ import annotations

from typing import Final

# Table -> its key, in the sequence in which rows can refer to those before them.
TABLES: Final[dict[str, tuple[str, ...]]] = {
    "stores": ("id",),
    "blobs": ("sha256",),
    "documents": ("id",),
    "locations": ("id",),
    "sources": ("folder", "name"),
    "intents": ("id",),
    "checks": ("id",),
    "runs": ("id",),
    "holds": ("id",),
    "accesses": ("document_id", "at_us", "kind"),
    "access_files": ("sha256",),
    "evictions": ("id",),
    "plans": ("id",),
    "journal": ("plan_id", "unit", "step"),
    "roots": ("sha256", "kind", "name"),
    "strays": ("store_id", "key"),
    "moments": ("id",),
    "contents": ("id",),
    "content_texts": ("content_id",),
    "sketches": ("content_id",),
    "quota": ("one",),
    "notes": ("name",),
    "sites": ("id",),
    "reaches": ("site_id", "origin_id"),
    "records": ("document_id",),
    "shared_holds": ("uid",),
    "elsewhere": ("sha256", "site_id"),
    "tellings": ("seq",),
    "documents_history": ("hid",),
    "blobs_history": ("hid",),
    "locations_history": ("hid",),
    "holds_history": ("hid",),
}
# Those whose ids are never given twice.
NUMBERED: Final = ("documents", "locations", "intents", "checks", "holds", "evictions", "moments", "contents")
# What an engine keeps for itself, and why it is not copied with a catalog. Words to search by are made anew.
OWN: Final = {
    "meta": "whose catalog it is; a copy is told",
    "migrations": "what was done to these tables",
    "txn": "who is writing at this moment",
    "hands": "who is removing bytes at this moment",
    "leases": "who is at which work at this moment",
}

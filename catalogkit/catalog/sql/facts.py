"""What an intent holds, so that a later run can complete the ingest it is about."""

from __future__ import annotations

import json
from datetime import datetime

from catalogkit.catalog.rows import Registration, SourceStat
from catalogkit.model import Arrival, Digest, Layout


def from_facts(text: str) -> Registration:
    """A registration out of the JSON text it was written as."""
    plain = json.loads(text)
    arrival, source = plain["arrival"], plain["source"]
    fetched_at = arrival["fetched_at"] and datetime.fromisoformat(arrival["fetched_at"])
    return Registration(
        **plain
        | {
            "arrival": Arrival(**arrival | {"fetched_at": fetched_at}),
            "digest": Digest.parse(plain["digest"]),
            "layout": Layout(plain["layout"]),
            "source": SourceStat(**source) if source else None,
        }
    )

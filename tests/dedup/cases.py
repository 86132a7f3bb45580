"""Groups of copies made by hand, for what decides about them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl

from catalogkit.planners.dedup import CONTENTS, COPIES, DECISIONS, FILES, decide, survey
from catalogkit.policies.dedup import DedupPolicy, How
from tests.plans.frames import NOW, frame, sha

DAY = timedelta(days=1)
# Everything is worth it, but for what a test adds.
EAGER = DedupPolicy(min_file_size=0, max_age_days=None, cost_threshold=0.0)
CONTENT = {"bytes": 1000, "media_type": "text/plain", "documents": 1, "seen_at": NOW, "resolvers": ["core"]}


def copy(content: str, key: str, inode: int | None, **more: Any) -> dict[str, Any]:
    """A location."""
    usual = {"store": "main", "ours": True, "layout": "policy", "mtime_ns": 1, "created_at": NOW}
    return {**usual, "sha256": sha(content), "key": key, "inode": inode, **more}


def file(key: str, inode: int | None, **more: Any) -> dict[str, Any]:
    """What the file system says of a file."""
    usual = {"store": "main", "there": True, "mtime_ns": 1, "device": 1, "owner": "1:1", "mode": 0o444, "links": 1}
    return {**usual, "key": key, "inode": inode, **more}


def decided(
    copies: list[dict[str, Any]],
    policy: DedupPolicy = EAGER,
    *,
    contents: dict[str, dict[str, Any]] | None = None,
    files: list[dict[str, Any]] | None = None,
    how: How = How.LINK,
    most_links: dict[str, int] | None = None,
) -> pl.DataFrame:
    """The decisions about these copies."""
    numbered = [{"id": number, **one} for number, one in enumerate(copies, 1)]
    told = contents or {}
    known = [
        {**CONTENT, "sha256": one, **told.get(one.rstrip("0"), {})}
        for one in dict.fromkeys(c["sha256"] for c in copies)
    ]
    surveyed = survey(frame(COPIES, *numbered), frame(CONTENTS, *known), policy, as_of=NOW)
    found = decide(surveyed, frame(FILES, *(files or [])), policy, how=how, most_links=most_links)
    assert found.schema == DECISIONS
    return found


def verdicts(found: pl.DataFrame) -> dict[str, tuple[str, str | None]]:
    """Reason, and what it is linked to, by the first name of each object."""
    return {row["key"]: (row["reason"], row["into"]) for row in found.iter_rows(named=True)}

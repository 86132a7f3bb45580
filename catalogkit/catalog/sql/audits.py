"""Shared SQL: questions of an audit about facts that contradict each other, one for each kind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from catalogkit.audit import Fact
from catalogkit.audit_codes import Code
from catalogkit.audit_sample import DRAWN_FROM
from catalogkit.catalog.sql.copies import Copies
from catalogkit.catalog.sql.drawing import Drawing, among_drawn
from catalogkit.errors import InvalidInput
from catalogkit.model import from_us, to_us

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from catalogkit.audit_sample import Drawn

_HEX: Final = "lower(hex({}))"
_IN_FORCE: Final = "released_us IS NULL AND (expires_us IS NULL OR expires_us > :as_of)"
_LOCATION: Final = "'location ' || l.id, s.name, l.key"
_STORE: Final = "LEFT JOIN stores s ON s.id = l.store_id"
_1990_US: Final = 631_152_000_000_000
_STATES: Final = "('incoming', 'live', 'condemned', 'purged')"
_LAYOUTS: Final = "('cas', 'policy', 'reference')"
_OUTCOMES: Final = "('ok', 'corrupt', 'missing', 'unknown')"

_NEEDED: Final = (
    "EXISTS (SELECT 1 FROM documents d WHERE d.sha256 = b.sha256)"
    # What was purged here before another site held it may lie there.
    f" OR EXISTS (SELECT 1 FROM holds h WHERE h.sha256 = b.sha256 AND {_IN_FORCE}"
    " AND (b.state <> 'purged' OR NOT EXISTS (SELECT 1 FROM shared_holds x JOIN sites o ON o.own = 1"
    " WHERE x.hold_id = h.id AND substr(x.uid, 1, 16) <> o.site)))"
    # A plan that was not finished, of bytes that lay at other sites: it asks again before it does anything.
    " OR EXISTS (SELECT 1 FROM roots r WHERE r.sha256 = b.sha256 AND (r.kind <> 'plan'"
    " OR NOT EXISTS (SELECT 1 FROM elsewhere e WHERE e.sha256 = b.sha256)))"
    # What is kept for another site comes and goes with what the sites hear of each other, and never was here perhaps.
    " OR EXISTS (SELECT 1 FROM kept k WHERE k.sha256 = b.sha256 AND k.kind <> 'region'"
    # Before another site's hold was heard of, it may have gone.
    " AND (k.kind <> 'hold' OR b.state <> 'purged')"
    " AND (k.expires_us IS NULL OR k.expires_us > :as_of))"
)
# Each version of a document with the beginning of the one after it. One that came late never was current, and where a
# document was brought back there was none before.
_VERSIONS: Final = (
    "WITH v AS (SELECT id, op, ended_us, lead(changed_us) OVER (PARTITION BY id ORDER BY hid) AS next_us"
    " FROM documents_history WHERE op NOT IN ('older', 'recall')), w AS (SELECT v.id, v.op, v.ended_us,"
    " coalesce(v.next_us, d.changed_us) AS next_us FROM v LEFT JOIN documents d ON d.id = v.id)"
)
# What the schema demands of a row, once more: (object, table, what is wrong, how to tell).
_RULES: Final = (
    (
        "'store ' || name",
        "stores",
        "no name, kind or token",
        "name = '' OR token = '' OR kind NOT IN ('local', 'reference', 'memory', 's3')",
    ),
    (
        f"'blob ' || {_HEX.format('sha256')}",
        "blobs",
        "a digest of other than 32 bytes, a negative number, no media type or an unknown state",
        f"length(sha256) <> 32 OR bytes < 0 OR refs < 0 OR media_type = '' OR state NOT IN {_STATES}",
    ),
    (
        "'document ' || id",
        "documents",
        "a part of its identity is empty, or its digest or metadata is none",
        "tenant = '' OR artifact_id = '' OR source_url = '' OR length(sha256) <> 32 OR NOT json_valid(metadata)",
    ),
    (
        "'location ' || id",
        "locations",
        "no key, or an unknown layout or outcome",
        f"key = '' OR length(sha256) <> 32 OR layout NOT IN {_LAYOUTS} OR outcome NOT IN {_OUTCOMES}",
    ),
    (
        "'source ' || folder || '/' || name",
        "sources",
        "a digest of other than 32 bytes",
        "length(sha256) <> 32",
    ),
    (
        "'intent ' || id",
        "intents",
        "no owner or key, or facts that are no JSON",
        "owner = '' OR key = '' OR NOT json_valid(facts)",
    ),
    (
        "'check ' || id",
        "checks",
        "an unknown outcome, a negative number or a digest of other than 32 bytes",
        f"length(sha256) <> 32 OR bytes < 0 OR outcome NOT IN {_OUTCOMES}",
    ),
    ("'run ' || id", "runs", "no id, or a summary that is no JSON", "id = '' OR NOT json_valid(summary)"),
    (
        "'hold ' || id",
        "holds",
        "no reason, or not exactly one subject",
        "reason = '' OR (document_id IS NULL) = (sha256 IS NULL)",
    ),
    (
        "'access to document ' || document_id",
        "accesses",
        "a negative number, or none",
        "bytes < 0 OR count < 1",
    ),
    ("'access file ' || name", "access_files", "a negative number", "bytes < 0 OR entries < 0 OR matched < 0"),
    ("'eviction ' || id", "evictions", "no plan", "plan_id = ''"),
    (
        "'plan ' || id",
        "plans",
        "an id that is none, or a head or approval that is no JSON",
        "length(id) <> 64 OR NOT json_valid(head) OR NOT json_valid(approval)",
    ),
    (
        "'step ' || plan_id || ' ' || unit || ' ' || step",
        "journal",
        "an unknown outcome",
        "outcome NOT IN ('done', 'skipped', 'failed', 'waiting')",
    ),
    ("'root ' || kind || ' ' || name", "roots", "no kind or name", "kind = '' OR name = ''"),
    ("'stray ' || key", "strays", "a negative number", "bytes < 0"),
    (
        "'moment ' || kind || ' ' || name",
        "moments",
        "no kind or name, a negative number, or a digest of other than 32 bytes",
        "kind = '' OR name = '' OR changes < 0 OR last_id < 0 OR length(digest) <> 32",
    ),
    (
        f"'content of ' || {_HEX.format('sha256')}",
        "contents",
        "no extractor or media type, a negative number, or what should be JSON is not",
        (
            "extractor = '' OR media_type = '' OR version < 0 OR page_count < 0 OR text_chars < 0"
            " OR NOT json_valid(authors) OR NOT json_valid(warnings) OR NOT json_valid(more)"
            " OR schema IS NOT NULL AND NOT json_valid(schema)"  # of nothing some versions of SQLite say 0
        ),
    ),
    ("'site ' || site", "sites", "no id or name", "site = '' OR name = '' OR own NOT IN (0, 1)"),
    ("'reach of site ' || site_id", "reaches", "a negative number", "seq < 0 OR changes < 0 OR NOT json_valid(marks)"),
    (
        "'record of document ' || document_id",
        "records",
        "a state that is no JSON",
        "contested NOT IN (0, 1) OR state IS NOT NULL AND NOT json_valid(state)",
    ),
    ("'shared hold ' || uid", "shared_holds", "neither released nor not", "released NOT IN (0, 1)"),
    (
        f"'copies elsewhere of ' || {_HEX.format('sha256')}",
        "elsewhere",
        "a digest of other than 32 bytes, a negative number or an unknown outcome",
        "length(sha256) <> 32 OR copies < 0 OR outcome NOT IN ('ok', 'corrupt', 'missing', 'unknown', 'evicted')",
    ),
    ("'sketch ' || content_id", "sketches", "no version, or a negative number", "version = '' OR shingles < 0"),
    ("'index of words'", "search_state", "a negative number", "last_id < 0"),
    (
        "'quota'",
        "quota",
        "a negative limit, or another count than there are documents",
        (
            "max_documents < 0 OR max_bytes < 0 OR documents <> (SELECT count(*) FROM documents)"
            " OR bytes <> (SELECT coalesce(sum(b.refs * b.bytes), 0) FROM blobs b)"
        ),
    ),
)
# What happened when: (object, table, the columns that say so). A location's last check is told by the ledger.
_TIMES: Final = (
    ("'blob ' || " + _HEX.format("sha256"), "blobs", ("created_us", "changed_us", "garbage_since_us")),
    ("'document ' || id", "documents", ("fetched_us", "created_us", "changed_us", "seen_us")),
    ("'location ' || id", "locations", ("created_us", "changed_us")),
    ("'intent ' || id", "intents", ("created_us",)),
    ("'check ' || id", "checks", ("checked_us",)),
    ("'run ' || id", "runs", ("started_us", "ended_us")),
    ("'hold ' || id", "holds", ("placed_us", "released_us")),
    ("'access to document ' || document_id", "accesses", ("at_us",)),
    ("'access file ' || name", "access_files", ("first_us", "last_us", "imported_us")),
    ("'eviction ' || id", "evictions", ("evicted_us", "returned_us")),
    ("'plan ' || id", "plans", ("begun_us", "ended_us")),
    ("'stray ' || key", "strays", ("condemned_us",)),
    ("'moment ' || kind || ' ' || name", "moments", ("taken_us", "released_us")),
    ("'content of ' || " + _HEX.format("sha256"), "contents", ("extracted_us",)),
    ("'site ' || site", "sites", ("met_us", "heard_us", "expired_us")),
    ("'record of document ' || document_id", "records", ("at_us",)),
    ("'copies elsewhere of ' || " + _HEX.format("sha256"), "elsewhere", ("told_us",)),
)
_SPANS: Final = (
    ("'run ' || id", "runs", "ended_us < started_us"),
    ("'plan ' || id", "plans", "ended_us < begun_us"),
    ("'hold ' || id", "holds", "released_us < placed_us OR expires_us < placed_us"),
    ("'moment ' || kind || ' ' || name", "moments", "released_us < taken_us OR expires_us < taken_us"),
)
# A hold that ends before it begins is told by itself.
_BEGINS: Final = {"documents": "changed_us", "blobs": "changed_us", "locations": "changed_us"}


def _odd_times(how: str) -> str:
    parts = []
    for about, table, columns in _TIMES:
        odd = " ".join(f"WHEN {column} {how} THEN '{column[:-3]}'" for column in columns)
        where = " OR ".join(f"{column} {how}" for column in columns)
        at = " ".join(f"WHEN {column} {how} THEN {column}" for column in columns)
        # Dates end in the year 9999; what is later is told in microseconds.
        parts.append(
            f"SELECT {about}, NULL, NULL, CASE {odd} END || ' at '"
            f" || coalesce(utc(CASE {at} END), (CASE {at} END) || ' us') FROM {table} WHERE {where}"
        )
    return " UNION ALL ".join(parts)


QUESTIONS: Final[dict[Code, str]] = {
    Code.SPARE_COPIES: "SELECT 'blob ' || " + _HEX.format("l.sha256") + ", min(s.name), min(l.key),"
    " count(DISTINCT l.inode) || ' files: ' || group_concat(l.key, ', ') FROM locations l"
    " JOIN stores s ON s.id = l.store_id"
    " WHERE s.kind <> 'reference' AND l.inode IS NOT NULL AND coalesce(l.outcome, '') <> 'missing'"
    " AND l.sha256 IN (SELECT sha256 FROM locations GROUP BY sha256 HAVING count(*) > 1)"
    " GROUP BY l.store_id, l.sha256 HAVING count(DISTINCT l.inode) > 1",
    Code.NO_LOCATION: f"SELECT 'blob ' || {_HEX.format('b.sha256')}, NULL, NULL, b.refs || ' documents refer to it'"
    " FROM blobs b WHERE b.state = 'live'"
    # Both in the order of an index: SQLite walks them side by side, and looks nothing up for each.
    " AND b.sha256 IN (SELECT sha256 FROM blobs EXCEPT SELECT sha256 FROM locations ORDER BY sha256)"
    " AND NOT EXISTS (SELECT 1 FROM evictions e WHERE e.sha256 = b.sha256 AND e.returned_us IS NULL)"
    # What other sites say that they have, or that they let go on purpose, is not missing here.
    " AND NOT EXISTS (SELECT 1 FROM elsewhere e WHERE e.sha256 = b.sha256 AND (e.copies > 0 OR e.outcome = 'evicted'))"
    f" AND ({_NEEDED})",
    Code.PURGED_LOCATION: f"SELECT {_LOCATION}, 'its content ' || {_HEX.format('l.sha256')} || ' was purged'"
    f" FROM locations l JOIN blobs b ON b.sha256 = l.sha256 AND b.state = 'purged' {_STORE}",
    Code.WRONG_REFS: f"SELECT 'blob ' || {_HEX.format('b.sha256')}, NULL, NULL,"
    " max(b.refs) || ' noted, ' || count(d.id) || ' there' FROM blobs b LEFT JOIN documents d ON d.sha256 = b.sha256"
    " GROUP BY b.sha256 HAVING max(b.refs) <> count(d.id)",
    Code.CONDEMNED_NEEDED: f"SELECT 'blob ' || {_HEX.format('b.sha256')}, NULL, NULL,"
    " 'it is ' || b.state || ', and a document, a hold, a snapshot, a root or an ingest needs it' FROM blobs b"
    " WHERE b.state IN ('condemned', 'purged')"
    f" AND ({_NEEDED} OR EXISTS (SELECT 1 FROM intents i WHERE i.sha256 = b.sha256))",
    Code.WRONG_KEY: f"SELECT {_LOCATION}, 'its record says ' || {_HEX.format('l.sha256')} FROM locations l {_STORE}"
    " WHERE l.layout = 'cas' AND l.key <> 'cas/' || lower(substr(hex(l.sha256), 1, 2) || '/' || hex(l.sha256))",
    Code.STUCK_INCOMING: f"SELECT 'blob ' || {_HEX.format('b.sha256')}, NULL, NULL, 'no ingest is on record'"
    " FROM blobs b WHERE b.state = 'incoming' AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.sha256 = b.sha256)",
    Code.DOCUMENT_TO_NOTHING: "SELECT 'document ' || d.id, NULL, NULL,"
    f" 'there is no blob ' || {_HEX.format('d.sha256')} || ' (' || d.artifact_id || ')' FROM documents d"
    " WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.sha256 = d.sha256) AND length(d.sha256) = 32",
    Code.LOCATION_TO_NO_BLOB: f"SELECT {_LOCATION}, 'there is no blob ' || {_HEX.format('l.sha256')} FROM locations l"
    f" {_STORE} WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.sha256 = l.sha256) AND length(l.sha256) = 32",
    Code.LOCATION_TO_NO_STORE: f"SELECT {_LOCATION}, 'there is no store ' || l.store_id FROM locations l"
    f" {_STORE} WHERE s.id IS NULL",
    Code.HOLD_TO_NOTHING: f"SELECT 'hold ' || h.id, NULL, NULL, coalesce('there is no document ' || h.document_id,"
    f" 'there is no blob ' || {_HEX.format('h.sha256')}) || ' (' || h.reason || ')' FROM holds h WHERE {_IN_FORCE}"
    " AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.id = h.document_id)"
    " AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.sha256 = h.sha256)"
    " AND (h.document_id IS NULL) <> (h.sha256 IS NULL)"
    # One of another site waits here for what it is about, should that ever come.
    " AND NOT EXISTS (SELECT 1 FROM shared_holds x JOIN sites o ON o.own = 1"
    " WHERE x.hold_id = h.id AND substr(x.uid, 1, 16) <> o.site)",
    Code.ROOT_TO_NOTHING: "SELECT 'root ' || r.kind || ' ' || r.name, NULL, NULL, 'there is no blob ' ||"
    f" {_HEX.format('r.sha256')} FROM roots r WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.sha256 = r.sha256)",
    Code.INTENT_TO_NOTHING: "SELECT 'intent ' || l.id, s.name, l.key, CASE WHEN s.id IS NULL THEN 'there is no store '"
    f" || l.store_id ELSE 'there is no blob ' || {_HEX.format('l.sha256')} END FROM intents l {_STORE}"
    " WHERE s.id IS NULL OR NOT EXISTS (SELECT 1 FROM blobs b WHERE b.sha256 = l.sha256)",
    Code.UNENDED_PLAN: "SELECT 'plan ' || id, NULL, NULL, kind || ', begun '"
    " || substr(utc(begun_us), 1, 16) FROM plans"
    " WHERE ended_us IS NULL AND begun_us < :stale",
    Code.MALFORMED_ROW: " UNION ALL ".join(
        f"SELECT {about}, NULL, NULL, '{table}: {wrong}' FROM {table} WHERE {how}"
        for about, table, wrong, how in _RULES
    ),
    Code.VERSION_BACKWARDS: " UNION ALL ".join(
        f"SELECT '{table[:-1]} ' || {_HEX.format('sha256') if table == 'blobs' else 'id'}, NULL, NULL,"
        f" 'row ' || hid || ' of {table}_history' FROM {table}_history"
        f" WHERE ended_us < {begin} AND op IN ('update', 'delete')"
        for table, begin in _BEGINS.items()
    ),
    Code.VERSIONS_OVERLAP: f"{_VERSIONS} SELECT 'document ' || id, NULL, NULL, 'by ' || (ended_us - next_us) || ' us'"
    " FROM w WHERE next_us < ended_us",
    Code.VERSIONS_GAP: f"{_VERSIONS} SELECT 'document ' || id, NULL, NULL,"
    " coalesce('of ' || (next_us - ended_us) || ' us', 'it was changed, and nothing follows')"
    " FROM w WHERE op = 'update' AND (next_us > ended_us OR next_us IS NULL)",
    Code.CHECK_NOT_IN_LEDGER: f"SELECT {_LOCATION}, 'it claims ' || coalesce(l.outcome, 'a check')"
    f" FROM locations l {_STORE} WHERE (l.outcome IS NOT NULL OR l.checked_us <> 0)"
    " AND NOT EXISTS (SELECT 1 FROM checks c WHERE c.location_id = l.id AND c.checked_us = l.checked_us)",
    Code.CHECK_CONTRADICTED: f"SELECT {_LOCATION},"
    " 'it claims ' || coalesce(l.outcome, 'nothing') || ', the ledger says '"
    " || (SELECT outcome FROM checks c WHERE c.location_id = l.id AND c.checked_us = l.checked_us ORDER BY id DESC)"
    f" FROM locations l {_STORE} WHERE l.checked_us <> 0"
    " AND EXISTS (SELECT 1 FROM checks c WHERE c.location_id = l.id AND c.checked_us = l.checked_us)"
    " AND NOT EXISTS (SELECT 1 FROM checks c WHERE c.location_id = l.id AND c.checked_us = l.checked_us"
    " AND coalesce(c.outcome, '') = coalesce(l.outcome, ''))",
    Code.TIME_IN_FUTURE: _odd_times("> :future"),
    Code.TIME_LONG_AGO: _odd_times(f"< {_1990_US}"),
    Code.ENDS_BEFORE_BEGIN: " UNION ALL ".join(
        f"SELECT {about}, NULL, NULL, '{how}' FROM {table} WHERE {how}" for about, table, how in _SPANS
    ),
}


class Audits(Drawing, Copies):
    """The catalog's part in an audit."""

    def faults(
        self, code: Code, *, as_of: datetime, future: datetime, stale: timedelta, limit: int, among: Drawn | None = None
    ) -> list[Fact]:
        """Facts that contradict each other in the way that `code` stands for, at most so many.

        Parameters
        ----------
        future
            What is later than this has not happened yet.
        stale
            How long a plan may be under way.
        among
            Rows that were drawn: what single rows tell (`DRAWN_FROM`) is looked for in those only.

        Raises
        ------
        InvalidInput
            If the catalog cannot tell of faults of that kind.
        """
        if code is Code.DAMAGED_DATABASE:
            return self.damage(limit)
        if code is Code.BROKEN_REFERENCE:
            return self.broken_references(limit)
        if code not in QUESTIONS:
            raise InvalidInput(f"the catalog knows no question for {code}")
        given: dict[str, Any] = {"as_of": to_us(as_of), "future": to_us(future), "stale": to_us(as_of - stale)}
        sql = QUESTIONS[code]
        if among is not None and code in DRAWN_FROM:
            sql = among_drawn(self, code, sql)
            given |= {"drawn_documents": json.dumps(among.documents), "drawn_copies": json.dumps(among.copies)}
        asked = {name: value for name, value in given.items() if f":{name}" in sql}
        found = [Fact(*row) for row in self.rows(f"{sql} LIMIT {int(limit)}", asked)]
        return self.with_broken_rules(found) if code is Code.MALFORMED_ROW and among is None else found

    def owners(self) -> list[tuple[int, str, datetime, str | None, str]]:
        """Every ingest in flight: intent, owner, until when its promise holds, store and key."""
        rows = self.rows(f"SELECT l.id, l.owner, l.expires_us, s.name, l.key FROM intents l {_STORE} ORDER BY l.id")
        return [(row[0], row[1], from_us(row[2]), row[3], row[4]) for row in rows]

    # What the engine itself finds, where it looks after its own file, references and rules.

    def damage(self, limit: int) -> list[Fact]:
        """Damage to the database's file."""
        return []

    def broken_references(self, limit: int) -> list[Fact]:
        """References to rows that are not there, of tables that have no question of their own."""
        return []

    def with_broken_rules(self, found: list[Fact]) -> list[Fact]:
        """What was found, and the tables of which the database says that a row breaks a rule."""
        return found

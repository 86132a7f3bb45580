"""The database refuses by itself what would lose bytes or facts, whatever program writes to it (hazard 26)."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.catalog.sqlite import SQLiteCatalog
from catalogkit.catalog.sqlite.migrations import MIGRATIONS
from catalogkit.layouts import cas_key
from catalogkit.model import BlobState, Outcome
from tests.catalog.desk import DAY, NOW, PLAN, Desk, sha

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The blobs of the world below, named in SQL as :held, :spare, ...
CONTENTS = ("held", "spare", "kept", "doomed", "coming", "gone", "twice", "missing", "rooted", "remembered")
DIGESTS: dict[str, Any] = {name: bytes(sha(name)) for name in CONTENTS} | {
    "unknown": bytes(sha("unknown")),
    "hex": sha("unknown").hex(),
    "short": bytes(31),
    "plan": PLAN,
} | {f"cas_{name}": cas_key(sha(name)) for name in ("spare", "held")}  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with a blob in every state, each under one circumstance."""
    path = tmp_path_factory.mktemp("rules") / "catalog.sqlite"
    with contextlib.closing(SQLiteCatalog(path, create=True, as_of=NOW)) as catalog:
        desk = Desk(catalog)
        document = desk.put_one("held", "held")  # document 1: live, one copy, under a hold
        catalog.place_hold("case 7", document_id=document, as_of=NOW)
        remembered = desk.put_one("remembered", "remembered")  # live, no document, but one in a kept moment
        catalog.keep_moment("snapshot", "may", as_of=NOW)
        desk.forget(remembered)
        for name in ("spare", "kept", "doomed", "gone", "rooted"):
            desk.forget(desk.put_one(name, name))  # live, and no document
        catalog.place_hold("case 8", digest=sha("kept"), as_of=NOW)
        for name in ("doomed", "gone"):
            assert desk.condemn(name) == ""
        with catalog.hand(PLAN, as_of=NOW) as hand:
            hand.drop_copies([(sha("gone"), desk.store_id, cas_key(sha("gone")))])
        desk.stage(desk.entry("coming", "coming"))  # incoming, with an intent
        desk.stage(desk.entry("spare", "again"))  # live, with an intent
        desk.put(desk.at("twice-1.pdf", "twice", "twice-1"), desk.at("twice-2.pdf", "twice", "twice-2"))
        desk.put_one("missing", "missing")
        desk.check("missing", Outcome.MISSING)
        catalog.begin_plan(PLAN, "gc", {}, {}, as_of=NOW)
        catalog.start_run("run", "verify", as_of=NOW)
        with catalog.write("root") as db:
            db.execute("INSERT INTO roots VALUES ('snapshot', 'may', ?)", (sha("rooted"),))
    return path


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as another program opens it, with the settings SQLite has per connection; changes are undone."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA recursive_triggers = ON")  # else REPLACE deletes without asking the triggers
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.execute("ROLLBACK")


def document(**changes: str) -> str:
    values = {
        "tenant": "'t'", "artifact_id": "'x'", "source_url": "'u'", "resolver": "''", "variant": "''",
        "sha256": ":held", "content_type": "''", "run_id": "''", "metadata": "'{}'",
        "created_us": "1", "changed_us": "1", "seen_us": "1",
    } | changes  # fmt: skip
    return _insert("documents", values)


def location(**changes: str) -> str:
    values = {
        "store_id": "1", "key": "'docs/x'", "layout": "'policy'", "fold": "'docs/x'", "sha256": ":held",
        "created_us": "1", "changed_us": "1",
    } | changes  # fmt: skip
    return _insert("locations", values)


def blob(**changes: str) -> str:
    values = {
        "sha256": ":unknown", "bytes": "1", "media_type": "'text/plain'", "state": "'incoming'",
        "created_us": "1", "changed_us": "1",
    } | changes  # fmt: skip
    return _insert("blobs", values)


def intent(**changes: str) -> str:
    values = {
        "owner": "'me'", "store_id": "1", "key": "'docs/x'", "sha256": ":held", "facts": "'{}'",
        "created_us": "1", "expires_us": "1",
    } | changes  # fmt: skip
    return _insert("intents", values)


def check(**changes: str) -> str:
    values = {
        "location_id": "1", "sha256": ":held", "checked_us": "1", "outcome": "'ok'", "bytes": "1",
        "method": "''", "detail": "''", "run_id": "''",
    } | changes  # fmt: skip
    return _insert("checks", values)


def moment(**changes: str) -> str:
    values = {"kind": "'backup'", "name": "'x'", "changes": "1", "last_id": "1", "taken_us": "1"} | changes
    return _insert("moments", values)


def content(**changes: str) -> str:
    values = {
        "sha256": ":held", "extractor": "'pdf'", "version": "1", "reason": "''", "detail": "''",
        "media_type": "'application/pdf'", "authors": "'[]'", "encrypted": "0", "text_chars": "0", "warnings": "'[]'",
        "preview": "''", "more": "'{}'", "extracted_us": "1",
    } | changes  # fmt: skip
    return _insert("contents", values)


def sketch(**changes: str) -> str:
    values = {"content_id": "1", "version": "'v'", "shingles": "1", "numbers": "x'00'", "why_not": "''"} | changes
    return _insert("sketches", values)


def quota(documents: str, size: str) -> str:
    return f"INSERT INTO quota VALUES (1, {documents}, {size}, 4, 40)"


def site(**changes: str) -> str:
    return _insert("sites", {"site": "'s'", "name": "'east'", "met_us": "1"} | changes)


def reach(**changes: str) -> str:
    return _insert("reaches", {"site_id": "1", "origin_id": "1"} | changes)


def record(**changes: str) -> str:
    return _insert("records", {"document_id": "1", "seq": "1", "site_id": "1", "number": "1", "at_us": "1"} | changes)


def elsewhere(**changes: str) -> str:
    return _insert("elsewhere", {"sha256": ":held", "site_id": "1", "copies": "1", "seq": "1"} | changes)


def eviction(name: str, plan: str = "'other'") -> str:
    return f"INSERT INTO evictions (sha256, plan_id, evicted_us) VALUES (:{name}, {plan}, 1)"


def _insert(table: str, values: dict[str, str]) -> str:
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})"


def state(name: str, wanted: str) -> str:
    return f"UPDATE blobs SET state = '{wanted}' WHERE sha256 = :{name}"


CHECKS = [
    ("txn", "INSERT INTO txn (one) VALUES (2)"),
    ("stores", "UPDATE stores SET name = ''"),
    ("stores", "UPDATE stores SET kind = 'tape'"),
    ("stores", "UPDATE stores SET token = ''"),
    ("blobs", blob(sha256=":short")),
    ("blobs", blob(bytes="-1")),
    ("blobs", blob(media_type="''")),
    ("blobs", state("doomed", "lost")),
    ("blobs", "UPDATE blobs SET refs = -1 WHERE sha256 = :held"),
    ("blobs", document(sha256=":doomed")),
    ("documents", document(tenant="''")),
    ("documents", document(artifact_id="''")),
    ("documents", document(source_url="''")),
    ("documents", document(metadata="'{'")),
    ("locations", location(key="''")),
    ("locations", location(layout="'tape'", fold="NULL")),
    ("locations", location(outcome="'fine'")),
    ("locations", location(fold="NULL")),
    ("locations", location(layout="'cas'", key=":cas_spare", fold="NULL")),
    ("sources", "INSERT INTO sources VALUES ('/d', 'n', 1, 1, 1, 1, :short, 1)"),
    ("intents", intent(owner="''")),
    ("intents", intent(key="''")),
    ("intents", intent(facts="'{'")),
    ("checks", check(sha256=":short")),
    ("checks", check(outcome="'fine'")),
    ("checks", check(bytes="-1")),
    ("runs", "INSERT INTO runs (id, operation, started_us) VALUES ('', 'verify', 1)"),
    ("runs", "UPDATE runs SET summary = '{'"),
    ("holds", "UPDATE holds SET reason = ''"),
    ("holds", "UPDATE holds SET document_id = 1, sha256 = :held"),
    ("accesses", "INSERT INTO accesses (document_id, at_us, kind, bytes) VALUES (1, 1, 'read', -1)"),
    ("accesses", "INSERT INTO accesses (document_id, at_us, kind, count) VALUES (1, 1, 'read', 0)"),
    ("access_files", "INSERT INTO access_files VALUES (x'00', 1, 'log', 1, 1, NULL, NULL, 1)"),
    ("access_files", "INSERT INTO access_files VALUES (:held, -1, 'log', 1, 1, NULL, NULL, 1)"),
    ("access_files", "INSERT INTO access_files VALUES (:held, 1, 'log', -1, 1, NULL, NULL, 1)"),
    ("access_files", "INSERT INTO access_files VALUES (:held, 1, 'log', 1, -1, NULL, NULL, 1)"),
    ("evictions", eviction("twice", plan="''")),
    ("plans", "UPDATE plans SET id = 'short'"),
    ("plans", "UPDATE plans SET head = '{'"),
    ("plans", "UPDATE plans SET approval = '{'"),
    (
        "journal",
        "INSERT INTO journal (plan_id, unit, step, kind, outcome, why, at_us) VALUES (:plan, 1, 1, '', '', '', 1)",
    ),
    ("roots", "INSERT INTO roots VALUES ('', 'may', :held)"),
    ("roots", "INSERT INTO roots VALUES ('snapshot', '', :held)"),
    ("strays", "INSERT INTO strays VALUES (1, 'docs/stray', -1, 1, 1, 1)"),
    ("moments", moment(kind="''")),
    ("moments", moment(name="''")),
    ("moments", moment(changes="-1")),
    ("moments", moment(last_id="-1")),
    ("moments", "UPDATE moments SET digest = x'00'"),
    ("contents", content(extractor="''")),
    ("contents", content(version="-1")),
    ("contents", content(media_type="''")),
    ("contents", content(authors="'['")),
    ("contents", content(page_count="-1")),
    ("contents", content(encrypted="2")),
    ("contents", content(text_chars="-1")),
    ("contents", content(warnings="'['")),
    ("contents", content(schema="'{'")),
    ("contents", content(more="'{'")),
    ("sketches", sketch(version="''")),
    ("sketches", sketch(shingles="-1")),
    ("search_state", "UPDATE search_state SET one = 2"),
    ("sites", site(site="''")),
    ("sites", site(name="''")),
    ("sites", site(own="2")),
    ("reaches", reach(seq="-1")),
    ("reaches", reach(changes="-1")),
    ("reaches", reach(marks="'x'")),
    ("records", record(contested="2")),
    ("records", record(state="'x'")),
    ("shared_holds", "INSERT INTO shared_holds VALUES ('', 1, 2, 1)"),
    ("elsewhere", elsewhere(sha256=":short")),
    ("elsewhere", elsewhere(copies="-1")),
    ("elsewhere", elsewhere(outcome="'fine'")),
    ("quota", quota("1", "1").replace("(1,", "(2,")),
    ("quota", quota("-1", "1")),
    ("quota", quota("1", "-1")),
]

BAD = "UPDATE locations SET outcome = 'corrupt'"
# More ways to break the rules above, and the rules that no CHECK says.
OTHERS = [
    ("an upper-case content address", location(layout="'cas'", key="upper(:cas_held)", fold="NULL"), "CHECK"),
    ("a content address without folders", location(layout="'cas'", key="'cas/' || :hex", fold="NULL"), "CHECK"),
    ("a hold on nothing", "UPDATE holds SET document_id = NULL, sha256 = NULL", "CHECK"),
    ("a digest as text", blob(sha256=":hex"), "cannot store TEXT"),
    ("a digest as upper-case text", document(sha256="upper(:hex)"), "cannot store TEXT"),
    ("a size that is no number", blob(bytes="'many'"), "cannot store TEXT"),
    ("no size", blob(bytes="NULL"), "NOT NULL"),
    ("no content", document(sha256="NULL"), "NOT NULL"),
    ("a document without a blob", document(sha256=":unknown"), "FOREIGN KEY"),
    ("a location without a blob", location(sha256=":unknown"), "FOREIGN KEY"),
    ("a location in no store", location(store_id="9"), "FOREIGN KEY"),
    ("an intent without a blob", intent(sha256=":unknown"), "FOREIGN KEY"),
    ("an intent in no store", intent(store_id="9"), "FOREIGN KEY"),
    ("forgetting a blob in flight", "DELETE FROM blobs WHERE sha256 = :coming", "FOREIGN KEY"),
    ("forgetting a store in use", "DELETE FROM stores", "FOREIGN KEY"),
    ("a second document of one identity", document(artifact_id="'held'", source_url="'https://example.org/held'",
     tenant="'default'"), "UNIQUE"),
    ("two contents at one key", location(key="'docs/twice-1.pdf'", fold="'other'"), "UNIQUE"),
    ("a key that differs in case", location(key="'docs/TWICE-1.pdf'", fold="'docs/twice-1.pdf'"), "UNIQUE"),
    ("one store under two names", "INSERT INTO stores SELECT 9, 'other', kind, token FROM stores", "UNIQUE"),
    ("a held document goes", "DELETE FROM documents WHERE id = 1", "under a hold cannot be forgotten"),
    ("a blob begins alive", blob(state="'live'"), "a blob begins as incoming"),
    ("a blob begins with references", blob().replace("changed_us)", "changed_us, refs)").replace("1, 1)", "1, 1, 1)"),
     "a blob begins as incoming"),
    ("live without bytes", state("coming", "live"), "without a location cannot be live"),
    ("purged though it lies somewhere", state("doomed", "purged"), "still lies somewhere"),
    ("condemned while it arrives", state("spare", "condemned"), "being ingested"),
    ("condemned under a hold", state("kept", "condemned"), "a blob under a hold cannot be condemned"),
    ("condemned though a snapshot has it", state("rooted", "condemned"), "a snapshot, a backup or a plan"),
    ("condemned though a kept moment has it", state("remembered", "condemned"), "that is kept has this blob"),
    ("a moment is moved", "UPDATE moments SET changes = changes + 1", "a moment is kept and released"),
    ("a moment is kept twice", moment(kind="'snapshot'", name="'may'"), "UNIQUE"),
    ("a released moment is kept again", "UPDATE moments SET released_us = 1; UPDATE moments SET released_us = NULL",
     "a moment is kept and released"),
    ("condemned though a document has it", state("held", "condemned"), "CHECK"),
    ("another size", "UPDATE blobs SET bytes = bytes + 1", "never changes its digest or its size"),
    ("another digest", "UPDATE blobs SET sha256 = :unknown WHERE sha256 = :spare", "never changes its digest"),
    ("a live blob is deleted", "DELETE FROM blobs WHERE sha256 = :kept", "purged, not deleted"),
    ("a condemned blob is deleted", "DELETE FROM blobs WHERE sha256 = :doomed", "purged, not deleted"),
    ("the last copy of a document goes", "DELETE FROM locations WHERE sha256 = :held", "the last good copy"),
    ("the last copy of a blob in flight goes", "DELETE FROM locations WHERE sha256 = :spare", "the last good copy"),
    ("both copies go", "DELETE FROM locations WHERE sha256 = :twice", "the last good copy"),
    ("the last bad copy goes", f"{BAD} WHERE sha256 = :held; DELETE FROM locations WHERE sha256 = :held",
     "the last good copy"),
    ("the good copy goes, a bad one stays",
     f"{BAD} WHERE key = 'docs/twice-1.pdf'; DELETE FROM locations WHERE key = 'docs/twice-2.pdf'",
     "the last good copy"),
    ("a location with another key", "UPDATE locations SET key = key || '~'", "dropped and added, never changed"),
    ("a location with other content", "UPDATE locations SET sha256 = :held WHERE sha256 = :twice", "never changed"),
    ("a location in another store", "UPDATE locations SET store_id = 2", "never changed"),
    ("the ledger is rewritten", "UPDATE checks SET outcome = 'ok'", "only added to"),
    ("the ledger is shortened", "DELETE FROM checks", "only added to"),
    ("the ledger is overwritten", "INSERT OR REPLACE INTO checks SELECT * FROM checks", "only added to"),
    ("what is condemned becomes a root", "INSERT INTO roots VALUES ('snapshot', 'may', :doomed)", "that is alive"),
    ("a known file is called a stray", "INSERT INTO strays VALUES (1, 'docs/twice-1.pdf', 1, 1, 1, 1)", "no stray"),
    ("what nothing refers to is evicted", eviction("kept"), "the rest is for garbage collection"),
    ("what cannot be fetched again is evicted", "UPDATE documents SET source_url = 'ftp://x/'; " + eviction("twice"),
     "has no address to fetch it from again"),
    ("what is held is evicted", eviction("held"), "a hold keeps it"),
    ("what arrives is evicted", intent(sha256=":twice") + "; " + eviction("twice"), "it is being ingested"),
    ("what a plan needs is evicted", "INSERT INTO roots VALUES ('plan', 'one', :twice); " + eviction("twice"),
     "another plan under way still needs it"),
    ("an old version that is kept is evicted",
     "UPDATE documents SET sha256 = :remembered WHERE artifact_id = 'missing'; " + eviction("remembered"),
     "for a document that has other content now"),
    ("the last copy goes after it came back", eviction("missing") + "; " + location(sha256=":missing")
     + "; UPDATE locations SET outcome = NULL WHERE sha256 = :missing AND key <> 'docs/x';"
     " DELETE FROM locations WHERE sha256 = :missing", "the last good copy"),
    ("a document over the quota", quota("4", "NULL") + "; " + document(), "quota of documents"),
    ("bytes over the quota", quota("NULL", "40") + "; " + document(), "quota of bytes"),
    ("a larger version over the quota", quota("NULL", "40")
     + "; UPDATE documents SET sha256 = :remembered WHERE artifact_id = 'held'", "quota of bytes"),
    ("an expected file is called a stray", f"INSERT INTO strays VALUES (1, '{cas_key(sha('coming'))}', 1, 1, 1, 1)",
     "no stray"),
]  # fmt: skip

ALLOWED = [
    ("a place where nothing lies is forgotten", "DELETE FROM locations WHERE sha256 = :missing"),
    ("one of two good copies goes", "DELETE FROM locations WHERE key = 'docs/twice-1.pdf'"),
    ("the last copies go, noted before", eviction("twice") + "; DELETE FROM locations WHERE sha256 = :twice"),
    ("what the plan itself keeps is evicted",
     "INSERT INTO roots VALUES ('plan', 'other', :twice); " + eviction("twice")),
    ("the copy of a condemned blob goes", "DELETE FROM locations WHERE sha256 = :doomed"),
    ("a purged blob is forgotten", "DELETE FROM blobs WHERE sha256 = :gone"),
    ("a moment that is released keeps no more",
     "UPDATE moments SET released_us = 1; " + state("remembered", "condemned")),
    ("a moment that is over keeps no more",
     "UPDATE moments SET expires_us = 1; " + state("remembered", "condemned")),
    ("a hold that expired holds no more", "UPDATE holds SET expires_us = 1; DELETE FROM documents WHERE id = 1"),
    ("a hold that was released holds no more", "UPDATE holds SET released_us = 1; DELETE FROM documents WHERE id = 1"),
]  # fmt: skip
MOVES = {
    ("incoming", "live"), ("live", "condemned"), ("condemned", "live"), ("condemned", "purged"),
    ("condemned", "incoming"), ("purged", "incoming"),
}  # fmt: skip


def attempt(db: sqlite3.Connection, script: str) -> None:
    """Execute statements, the named digests filled in."""
    for statement in script.split(";"):
        db.execute(statement, {name: value for name, value in DIGESTS.items() if f":{name}" in statement})


def refused(db: sqlite3.Connection, script: str) -> str:
    """What the database says against it."""
    with pytest.raises(sqlite3.IntegrityError) as caught:
        attempt(db, script)
    return str(caught.value)


@pytest.mark.parametrize("table, script", CHECKS)
def test_each_check_refuses(db: sqlite3.Connection, table: str, script: str) -> None:
    """A value that the schema's CHECK excludes is refused by the database."""
    assert refused(db, script).startswith("CHECK constraint failed")


@pytest.mark.parametrize("script, message", [case[1:] for case in OTHERS], ids=[case[0] for case in OTHERS])
def test_each_rule_refuses(db: sqlite3.Connection, script: str, message: str) -> None:
    """What would break a rule of the catalog is refused by the database, with the rule as the reason."""
    assert message in refused(db, script)


@pytest.mark.parametrize("script", [case[1] for case in ALLOWED], ids=[case[0] for case in ALLOWED])
def test_what_the_rules_allow(db: sqlite3.Connection, script: str) -> None:
    """The rules refuse no more than they should."""
    before = db.total_changes
    attempt(db, script)
    assert db.total_changes > before


@pytest.mark.parametrize("old", list(BlobState))
@pytest.mark.parametrize("new", list(BlobState))
def test_a_blob_changes_its_state_along_its_life_only(db: sqlite3.Connection, old: str, new: str) -> None:
    """Of all steps from state to state only those of a blob's life are possible."""
    if old == new or (old, new) in MOVES:
        return
    name = {"incoming": "coming", "live": "kept", "condemned": "doomed", "purged": "gone"}[old]
    assert "cannot change its state this way" in refused(db, state(name, new))


def test_every_check_of_the_schema_has_a_case(db: sqlite3.Connection) -> None:
    """The cases above break as many different CHECKs of each table as its definition has."""
    written = {
        table: len(re.findall(r"\bCHECK \(", sql))
        for table, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        if "CHECK (" in sql
    }
    broken: dict[str, set[str]] = {}
    for table, script in CHECKS:
        db.execute("SAVEPOINT one")
        broken.setdefault(table, set()).add(refused(db, script))
        db.execute("ROLLBACK TO one")
    assert {table: len(messages) for table, messages in broken.items()} == written


def test_every_refusal_of_a_trigger_has_a_case() -> None:
    """Each message that a trigger can raise is expected by a case above."""
    scripts = [files("catalogkit.catalog.sqlite").joinpath(f"{step.name}.sql").read_text() for step in MIGRATIONS]
    raised = {message for script in scripts for message in re.findall(r"RAISE\(ABORT, '([^']+)'\)", script)}
    expected = [message for *_, message in OTHERS] + ["cannot change its state this way"]
    assert raised
    assert {message for message in raised if not any(part in message for part in expected)} == set()


def test_time_counts_for_holds_without_a_transaction_of_ours(db: sqlite3.Connection) -> None:
    """Another program's delete is judged by the present time, since it says none."""
    db.execute("UPDATE holds SET expires_us = CAST((julianday('now') + 1 - 2440587.5) * 86400000000 AS INTEGER)")
    assert "hold" in refused(db, "DELETE FROM documents WHERE id = 1")
    db.execute("UPDATE holds SET expires_us = expires_us - 2 * 86400000000")
    assert db.execute("DELETE FROM documents WHERE id = 1").rowcount == 1


def test_a_catalog_that_went_through_all_this_is_sound(path: Path) -> None:
    """The refused changes left nothing behind."""
    with contextlib.closing(SQLiteCatalog(path, as_of=NOW + DAY)) as catalog:
        assert catalog.integrity() == []
        assert catalog.totals()["documents"] == 4

"""One broken collection for each code: each plants exactly one fault."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogkit.audit_codes import Code
from catalogkit.catalog.contract import Registration
from catalogkit.layouts import cas_key
from catalogkit.model import Arrival, Check, Digest, Layout, Outcome, to_us
from tests.plans.scene import collect, digest_of, forget, path_of, put, stray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalogkit.collection import Collection

ONE = b"document 1"
NOTHING = Digest(b"\xee" * 32)


@dataclass(frozen=True)
class Fault:
    """How a fault is planted, in which layout, and how much is read to find it."""

    code: Code
    plant: Callable[[Collection], None]
    layout: str
    sample: float
    count: int
    complete: bool

    def __str__(self) -> str:
        return f"{self.code}-{self.plant.__name__}"


FAULTS: list[Fault] = []


def fault(code: Code, layout: str = "cas", sample: float = 1.0, count: int = 1, complete: bool = True) -> Any:
    """Enter a function into the table."""

    def enter(plant: Callable[[Collection], None]) -> Callable[[Collection], None]:
        FAULTS.append(Fault(code, plant, layout, sample, count, complete))
        return plant

    return enter


@contextlib.contextmanager
def raw(collection: Collection) -> Iterator[sqlite3.Connection]:
    """The catalog's file, by another program that heeds no rule."""
    path = collection.catalog.url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA ignore_check_constraints = ON")
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        yield db


def change(collection: Collection, sql: str, *parameters: Any) -> None:
    """Change rows by no rule."""
    with raw(collection) as db:
        assert db.execute(sql, parameters).rowcount, sql


def us(collection: Collection, **ago: float) -> int:
    return to_us(collection.now() - timedelta(**ago))


def overwrite(path: Path, content: bytes) -> None:
    """Other content in the same file, with the same times: as a disk that rots would do it."""
    about = path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    path.chmod(0o444)


def replace(path: Path, content: bytes) -> None:
    """Another file in the place of this one."""
    new = path.with_name(f"{path.name[:20]}-new")
    new.write_bytes(content)
    new.chmod(0o444)
    new.rename(path)


def second_copy(collection: Collection, content: bytes, key: str = "docs/second.txt") -> Path:
    """One more name for the file of a content, on record as a copy in the readable layout."""
    path = Path(collection.store.root, key)
    path.parent.mkdir(exist_ok=True)
    os.link(path_of(collection, content), path)
    about, digest = path.stat(), digest_of(content)
    document = collection.catalog.root_kinds(digest, as_of=collection.now())["documents"][0][0]
    record = collection.catalog.document(document)
    entry = Registration(
        arrival=Arrival(artifact_id=record.artifact_id, source_url=record.source_url, resolver=record.resolver),
        digest=digest,
        bytes=len(content),
        media_type="text/plain",
        store_id=collection.store_id(collection.store.name),
        key=key,
        layout=Layout.POLICY,
        inode=about.st_ino,
        mtime_ns=about.st_mtime_ns,
    )
    collection.catalog.commit([(None, entry)], as_of=collection.now() - timedelta(minutes=50))
    return path


def note(collection: Collection, content: bytes, outcome: Outcome, number: int = 0) -> None:
    """Have the ledger say so of one copy of a content."""
    copy = collection.catalog.locations_of(digest_of(content))[number]
    checked_at = collection.now() - timedelta(minutes=30)
    collection.catalog.record_checks(
        [Check(location_id=copy.id, sha256=copy.sha256, checked_at=checked_at, outcome=outcome)]
    )


# -- stores ----------------------------------------------------------------------------------------------------------


@fault(Code.STORE_MISMATCH, complete=False, sample=0)
def another_store(collection: Collection) -> None:
    own = Path(collection.store.root, ".catalogkit", "store.json")
    own.write_text('{"format": 1, "token": "another", "catalog": "another"}')


@fault(Code.ORPHAN_FILE)
def a_file_without_a_record(collection: Collection) -> None:
    stray(collection, b"an orphan")


@fault(Code.ORPHAN_FILE, layout="policy")
def a_readable_file_without_a_record(collection: Collection) -> None:
    stray(collection, b"an orphan", key="docs/a/b/ö.pdf")


@fault(Code.FOREIGN_FILE)
def a_file_of_no_layout(collection: Collection) -> None:
    Path(collection.store.root, "cas", "notes.txt").write_text("mine")


@fault(Code.FOREIGN_FILE)
def a_name_that_is_no_text(collection: Collection) -> None:
    Path(os.fsdecode(os.fsencode(collection.store.root) + b"/caf\xe9 100%")).write_text("mine")


@fault(Code.FOREIGN_FILE)
def a_link_with_the_name_of_a_content(collection: Collection) -> None:
    (Path(collection.store.root) / cas_key(NOTHING)).parent.mkdir()
    (Path(collection.store.root) / cas_key(NOTHING)).symlink_to("/nowhere")


@fault(Code.QUARANTINED_FILE)
def bad_bytes_moved_aside(collection: Collection) -> None:
    stray(collection, b"bad")
    collection.store.quarantine(cas_key(digest_of(b"bad")))


@fault(Code.LEFT_TEMPORARY)
def a_dead_ingest_left_files(collection: Collection) -> None:
    folder = Path(collection.store.scratch("elsewhere/1/x"))
    (folder / "1-1").write_bytes(b"half a doc")
    os.utime(folder, (1.7e9, 1.7e9))


@fault(Code.CLOCK_SKEW)
def a_clock_behind(collection: Collection) -> None:
    # Everything on record is an hour old; the files are new.
    collection.clock.advance(minutes=-30)  # type: ignore[attr-defined]


# -- copies ----------------------------------------------------------------------------------------------------------


@fault(Code.MISSING_FILE)
def a_file_removed(collection: Collection) -> None:
    path_of(collection, ONE).unlink()


@fault(Code.MISSING_FILE, sample=0, layout="policy")
def a_folder_removed(collection: Collection) -> None:
    shutil.rmtree(path_of(collection, ONE).parent)


@fault(Code.WRONG_TYPE)
def a_link_in_its_place(collection: Collection) -> None:
    path = path_of(collection, ONE)
    path.rename(collection.path / "moved")
    path.symlink_to(collection.path / "moved")


@fault(Code.WRONG_TYPE, sample=0)
def a_folder_in_its_place(collection: Collection) -> None:
    path_of(collection, ONE).unlink()
    path_of(collection, ONE).mkdir()


@fault(Code.WRONG_TYPE)
def a_fifo_in_its_place(collection: Collection) -> None:
    path_of(collection, ONE).unlink()
    os.mkfifo(path_of(collection, ONE))


@fault(Code.WRONG_SIZE)
def a_file_cut_short(collection: Collection) -> None:
    overwrite(path_of(collection, ONE), b"doc")


@fault(Code.WRONG_SIZE, sample=0)
def an_empty_file(collection: Collection) -> None:
    replace(path_of(collection, ONE), b"")


@fault(Code.WRONG_CONTENT)
def a_disk_that_rots(collection: Collection) -> None:
    overwrite(path_of(collection, ONE), b"DOCUMENT 1")


@fault(Code.WRONG_CONTENT, sample=0.01)
def another_file_of_that_size(collection: Collection) -> None:
    """It looks changed, so it is read, however small the sample."""
    replace(path_of(collection, b"document 5"), b"DOCUMENT 5")


@fault(Code.SHARED_INODE, count=2, sample=0)
def linked_onto_another(collection: Collection) -> None:
    one, two = path_of(collection, ONE), path_of(collection, b"document 2")
    one.unlink()
    os.link(two, one)
    about = one.stat()
    change(
        collection, "UPDATE locations SET inode = ?, mtime_ns = ? WHERE sha256 = ?", about.st_ino, about.st_mtime_ns,
        digest_of(ONE),
    )  # fmt: skip


@fault(Code.WRONG_CONTENT)
def linked_onto_another_behind_our_back(collection: Collection) -> None:
    one, two = path_of(collection, ONE), path_of(collection, b"document 2")
    one.unlink()
    os.link(two, one)


@fault(Code.KNOWN_BAD, sample=0)
def one_of_two_was_found_bad(collection: Collection) -> None:
    second_copy(collection, ONE)
    note(collection, ONE, Outcome.CORRUPT)


@fault(Code.WRITABLE)
def a_mode_changed(collection: Collection) -> None:
    path_of(collection, ONE).chmod(0o644)


@fault(Code.TOUCHED)
def restored_by_hand(collection: Collection) -> None:
    replace(path_of(collection, ONE), ONE)


@fault(Code.TOUCHED, sample=0)
def another_time(collection: Collection) -> None:
    os.utime(path_of(collection, ONE), (1.6e9, 1.6e9))


@fault(Code.SPARE_COPIES)
def two_files_for_one_content(collection: Collection) -> None:
    path = second_copy(collection, ONE)
    replace(path, ONE)
    about = path.stat()
    change(
        collection, "UPDATE locations SET inode = ?, mtime_ns = ? WHERE key = 'docs/second.txt'", about.st_ino,
        about.st_mtime_ns,
    )  # fmt: skip


# -- contents and documents ------------------------------------------------------------------------------------------


@fault(Code.DOCUMENT_LOST, sample=0)
def the_only_copy_was_found_bad(collection: Collection) -> None:
    note(collection, ONE, Outcome.CORRUPT)


@fault(Code.DOCUMENT_LOST, sample=0)
def both_copies_were_found_bad(collection: Collection) -> None:
    second_copy(collection, ONE)
    note(collection, ONE, Outcome.CORRUPT)
    note(collection, ONE, Outcome.MISSING, 1)


@fault(Code.NO_LOCATION)
def a_copy_forgotten(collection: Collection) -> None:
    path_of(collection, ONE).unlink()
    change(collection, "DELETE FROM locations WHERE sha256 = ?", digest_of(ONE))


@fault(Code.PURGED_LOCATION)
def purged_but_on_record(collection: Collection) -> None:
    forget(collection, collection.catalog.document(document_of(collection, ONE)))
    change(collection, "UPDATE blobs SET state = 'purged' WHERE sha256 = ?", digest_of(ONE))


@fault(Code.WRONG_REFS)
def a_reference_too_many(collection: Collection) -> None:
    change(collection, "UPDATE blobs SET refs = refs + 1 WHERE sha256 = ?", digest_of(ONE))


@fault(Code.WRONG_REFS)
def a_reference_lost(collection: Collection) -> None:
    change(collection, "UPDATE blobs SET refs = 0 WHERE sha256 = ?", digest_of(ONE))


@fault(Code.CONDEMNED_NEEDED)
def condemned_with_a_document(collection: Collection) -> None:
    change(collection, "UPDATE blobs SET state = 'condemned' WHERE sha256 = ?", digest_of(ONE))


@fault(Code.CONDEMNED_NEEDED)
def condemned_with_a_hold(collection: Collection) -> None:
    forget(collection, collection.catalog.document(document_of(collection, ONE)))
    collection.catalog.place_hold("legal", digest=digest_of(ONE), as_of=collection.now())
    change(collection, "UPDATE blobs SET state = 'condemned' WHERE sha256 = ?", digest_of(ONE))


@fault(Code.CONDEMNED_NEEDED)
def purged_with_a_root(collection: Collection) -> None:
    forget(collection, collection.catalog.document(document_of(collection, ONE)))
    collect(collection)
    change(collection, "INSERT INTO roots VALUES ('snapshot', 'monday', ?)", digest_of(ONE))


@fault(Code.CONDEMNED_NEEDED)
def condemned_with_a_snapshot(collection: Collection) -> None:
    """A snapshot had the document that was forgotten since."""
    collection.catalog.keep_moment("snapshot", "monday", as_of=collection.now() - timedelta(minutes=5))
    forget(collection, collection.catalog.document(document_of(collection, ONE)))
    change(collection, "UPDATE blobs SET state = 'condemned' WHERE sha256 = ?", digest_of(ONE))


@fault(Code.WRONG_KEY)
def an_address_of_other_content(collection: Collection) -> None:
    path, other = path_of(collection, ONE), Path(collection.store.root, cas_key(NOTHING))
    other.parent.mkdir()
    path.rename(other)
    change(collection, "UPDATE locations SET key = ? WHERE sha256 = ?", cas_key(NOTHING), digest_of(ONE))


@fault(Code.STUCK_INCOMING)
def arriving_for_ever(collection: Collection) -> None:
    change(
        collection, "INSERT INTO blobs (sha256, bytes, media_type, state, created_us, changed_us)"
        " VALUES (?, 1, 'text/plain', 'incoming', ?2, ?2)", NOTHING, us(collection, minutes=5),
    )  # fmt: skip


# -- references ------------------------------------------------------------------------------------------------------


def document_of(collection: Collection, content: bytes) -> int:
    return collection.catalog.root_kinds(digest_of(content), as_of=collection.now())["documents"][0][0]  # type: ignore[no-any-return]


@fault(Code.DOCUMENT_TO_NOTHING)
def a_document_without_a_content(collection: Collection) -> None:
    record = put(collection, "x", b"x", as_of=collection.now() - timedelta(minutes=1))
    digest = digest_of(b"x")
    path_of(collection, b"x").unlink()
    change(collection, "DELETE FROM locations WHERE sha256 = ?", digest)
    change(collection, "DELETE FROM blobs WHERE sha256 = ?", digest)
    assert record.id


@fault(Code.LOCATION_TO_NO_BLOB)
def a_copy_without_a_content(collection: Collection) -> None:
    change(collection, "DELETE FROM documents WHERE sha256 = ?", digest_of(ONE))
    change(collection, "DELETE FROM blobs WHERE sha256 = ?", digest_of(ONE))


@fault(Code.LOCATION_TO_NO_STORE)
def a_copy_without_a_store(collection: Collection) -> None:
    second_copy(collection, ONE).unlink()
    change(collection, "UPDATE locations SET store_id = 99 WHERE key = 'docs/second.txt'")


@fault(Code.HOLD_TO_NOTHING)
def a_hold_on_no_document(collection: Collection) -> None:
    change(
        collection, "INSERT INTO holds (document_id, reason, placed_by, placed_us) VALUES (999, 'legal', '', ?)",
        us(collection, days=1),
    )  # fmt: skip


@fault(Code.HOLD_TO_NOTHING)
def a_hold_on_no_content(collection: Collection) -> None:
    change(
        collection, "INSERT INTO holds (sha256, reason, placed_by, placed_us) VALUES (?, 'legal', '', ?)", NOTHING,
        us(collection, days=1),
    )  # fmt: skip


@fault(Code.ROOT_TO_NOTHING)
def a_snapshot_of_nothing(collection: Collection) -> None:
    change(collection, "INSERT INTO roots VALUES ('snapshot', 'monday', ?)", NOTHING)


def intent(collection: Collection, store_id: int, digest: Digest, owner: str) -> None:
    change(
        collection, "INSERT INTO intents (owner, store_id, key, sha256, facts, created_us, expires_us)"
        " VALUES (?, ?, ?, ?, '{}', ?, ?)", owner, store_id, cas_key(digest), digest,
        us(collection, minutes=5), us(collection, minutes=-25),
    )  # fmt: skip


@fault(Code.INTENT_TO_NOTHING)
def an_ingest_of_nothing(collection: Collection) -> None:
    intent(collection, 1, NOTHING, "elsewhere/1/x")


@fault(Code.INTENT_TO_NOTHING)
def an_ingest_into_nothing(collection: Collection) -> None:
    intent(collection, 99, digest_of(ONE), "elsewhere/1/x")


@fault(Code.DEAD_INTENT)
def an_ingest_that_died(collection: Collection) -> None:
    intent(collection, 1, digest_of(ONE), "elsewhere/1/x")
    change(collection, "UPDATE intents SET expires_us = ?", us(collection, minutes=1))


@fault(Code.BROKEN_REFERENCE)
def a_journal_of_no_plan(collection: Collection) -> None:
    change(
        collection, "INSERT INTO journal (plan_id, unit, step, kind, outcome, why, at_us)"
        " VALUES (?, 0, 0, 'condemn', 'done', '', ?)", "f" * 64, us(collection, minutes=5),
    )  # fmt: skip


@fault(Code.UNENDED_PLAN)
def a_plan_without_an_end(collection: Collection) -> None:
    collection.catalog.begin_plan("f" * 64, "gc", {}, {}, as_of=collection.now() - timedelta(days=2))


# -- rows and the file -----------------------------------------------------------------------------------------------


def broken_row(name: str, sql: str, *parameters: Any) -> None:
    """One more way to break a rule of the schema."""

    def plant(collection: Collection) -> None:
        given = [us(collection, minutes=5) if one is us else one for one in parameters]
        change(collection, sql, *given)

    plant.__name__ = name
    fault(Code.MALFORMED_ROW)(plant)


_ONE = digest_of(ONE)
broken_row("store_kind", "UPDATE stores SET kind = 'tape'")
broken_row("blob_media_type", "UPDATE blobs SET media_type = '' WHERE sha256 = ?", _ONE)
broken_row("blob_state", "UPDATE blobs SET state = 'lost' WHERE sha256 = ?", _ONE)
broken_row("document_tenant", "UPDATE documents SET tenant = '' WHERE sha256 = ?", _ONE)
broken_row("document_metadata", "UPDATE documents SET metadata = '{' WHERE sha256 = ?", _ONE)
broken_row("location_layout", "UPDATE locations SET layout = 'tape' WHERE sha256 = ?", _ONE)
broken_row("location_fold", "UPDATE locations SET fold = 'x' WHERE sha256 = ?", _ONE)
broken_row("source_digest", "UPDATE sources SET sha256 = x'00' WHERE name = '1.txt'")
broken_row("run_summary", "INSERT INTO runs (id, operation, started_us, summary) VALUES ('r', 'verify', ?, '{')", us)
broken_row(
    "check_bytes", "INSERT INTO checks (location_id, sha256, checked_us, outcome, bytes, method, detail, run_id)"
    " VALUES (999, ?, ?, 'ok', -1, 'read', '', '')", _ONE, us,
)  # fmt: skip
broken_row("hold_reason", "INSERT INTO holds (sha256, reason, placed_by, placed_us) VALUES (?, '', '', ?)", _ONE, us)
broken_row("hold_subject", "INSERT INTO holds (reason, placed_by, placed_us) VALUES ('legal', '', ?)", us)
broken_row("access_bytes", "INSERT INTO accesses (document_id, at_us, kind, bytes) VALUES (1, ?, 'read', -1)", us)
broken_row(
    "plan_id", "INSERT INTO plans (id, kind, head, approval, begun_us, ended_us)"
    " VALUES ('x', 'gc', '{}', '{}', ?1, ?1)",
    us,
)  # fmt: skip
broken_row("root_name", "INSERT INTO roots VALUES ('', 'monday', ?)", _ONE)
broken_row("moment_name", "INSERT INTO moments (kind, name, changes, last_id, taken_us) VALUES ('x', '', 0, 0, ?)", us)
broken_row("stray_bytes", "INSERT INTO strays VALUES (1, 'docs/x', -1, NULL, NULL, ?)", us)
broken_row(
    "intent_facts", "INSERT INTO intents (owner, store_id, key, sha256, facts, created_us, expires_us)"
    " VALUES ('elsewhere/1/x', 1, 'docs/x', ?, '{', ?2, 9e15)".replace("9e15", "9000000000000000"), _ONE, us,
)  # fmt: skip


@fault(Code.MALFORMED_ROW)
def a_key_that_leads_out(collection: Collection) -> None:
    second_copy(collection, ONE).unlink()
    change(collection, "UPDATE locations SET key = 'docs/../../x' WHERE key = 'docs/second.txt'")


@fault(Code.DAMAGED_DATABASE)
def an_index_that_lost_a_row(collection: Collection) -> None:
    """A program that did not know of the index wrote a document."""
    with raw(collection) as db:
        db.execute("PRAGMA writable_schema = ON")
        row = db.execute("SELECT * FROM sqlite_master WHERE name = 'documents_by_run'").fetchone()
        db.execute("DELETE FROM sqlite_master WHERE name = 'documents_by_run'")
        db.execute("PRAGMA schema_version = 9001")
    with raw(collection) as db:
        db.execute("UPDATE documents SET run_id = 'another' WHERE sha256 = ?", (digest_of(ONE),))
        db.execute("PRAGMA writable_schema = ON")
        db.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
        db.execute("PRAGMA schema_version = 9002")


# -- history, ledger, clocks -----------------------------------------------------------------------------------------


def versions(collection: Collection) -> None:
    """A document with two versions, and nothing wrong with them."""
    put(collection, "paper", b"first", as_of=collection.now() - timedelta(minutes=40))
    put(collection, "paper", b"second", as_of=collection.now() - timedelta(minutes=20))


@fault(Code.VERSION_BACKWARDS)
def a_version_that_ended_first(collection: Collection) -> None:
    versions(collection)
    change(collection, "UPDATE documents_history SET changed_us = ended_us + 1")


@fault(Code.VERSIONS_OVERLAP)
def two_versions_at_one_time(collection: Collection) -> None:
    versions(collection)
    change(collection, "UPDATE documents SET changed_us = changed_us - 1 WHERE artifact_id = 'paper'")


@fault(Code.VERSIONS_GAP)
def a_time_without_a_version(collection: Collection) -> None:
    versions(collection)
    change(collection, "UPDATE documents SET changed_us = changed_us + 1 WHERE artifact_id = 'paper'")


@fault(Code.VERSIONS_GAP)
def nothing_follows_an_update(collection: Collection) -> None:
    record = put(collection, "paper", b"first", as_of=collection.now() - timedelta(minutes=40))
    versions(collection)
    change(collection, "UPDATE documents_history SET id = 999 WHERE id = ?", record.id)


@fault(Code.CHECK_NOT_IN_LEDGER, sample=0)
def a_check_nobody_made(collection: Collection) -> None:
    change(
        collection, "UPDATE locations SET outcome = 'ok', checked_us = ? WHERE sha256 = ?", us(collection, minutes=5),
        digest_of(ONE),
    )  # fmt: skip


@fault(Code.CHECK_CONTRADICTED, sample=0)
def a_result_made_up(collection: Collection) -> None:
    note(collection, ONE, Outcome.UNKNOWN)
    change(collection, "UPDATE locations SET outcome = 'ok' WHERE sha256 = ?", digest_of(ONE))


@fault(Code.TIME_IN_FUTURE)
def a_document_from_tomorrow(collection: Collection) -> None:
    change(
        collection, "UPDATE documents SET seen_us = ?, fetched_us = ?1 WHERE sha256 = ?", us(collection, days=-1),
        digest_of(ONE),
    )  # fmt: skip


@fault(Code.TIME_IN_FUTURE, sample=0)
def a_check_from_tomorrow(collection: Collection) -> None:
    copy = collection.catalog.locations_of(digest_of(ONE))[0]
    when = collection.now() + timedelta(days=1)
    collection.catalog.record_checks(
        [Check(location_id=copy.id, sha256=copy.sha256, checked_at=when, outcome=Outcome.OK)]
    )


@fault(Code.TIME_LONG_AGO)
def a_time_in_seconds(collection: Collection) -> None:
    """Seconds where microseconds are meant give 1970."""
    change(
        collection, "UPDATE documents SET fetched_us = ? WHERE sha256 = ?", us(collection) // 1_000_000, digest_of(ONE)
    )


@fault(Code.ENDS_BEFORE_BEGIN)
def a_run_backwards(collection: Collection) -> None:
    collection.catalog.start_run("r", "verify", as_of=collection.now())
    collection.catalog.end_run("r", {}, as_of=collection.now() - timedelta(minutes=1))


@fault(Code.ENDS_BEFORE_BEGIN)
def a_hold_backwards(collection: Collection) -> None:
    number = collection.catalog.place_hold("legal", digest=digest_of(ONE), as_of=collection.now())
    collection.catalog.release_hold(number, as_of=collection.now() - timedelta(minutes=1))

-- The first schema. Rules that keep the bytes safe stand here, so that no program, ours included, can break them.
-- Words are compared with OR where rows come by the million: SQLite builds a list of three or more anew for every row.

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who is writing: set first thing in every transaction, read by the history triggers, cleared at its end.
CREATE TABLE txn (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    at_us INTEGER,
    operation TEXT,
    run_id TEXT
) STRICT;
INSERT INTO txn (one) VALUES (1);
CREATE VIEW now AS SELECT
    coalesce(at_us, CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)) AS at_us,
    coalesce(operation, 'outside') AS operation,
    coalesce(run_id, '') AS run_id
FROM txn;

CREATE TABLE stores (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (name <> ''),
    kind TEXT NOT NULL CHECK (kind IN ('local', 'reference', 'memory', 's3')),
    token TEXT NOT NULL UNIQUE CHECK (token <> '')
) STRICT;

CREATE TABLE blobs (
    sha256 BLOB NOT NULL PRIMARY KEY CHECK (length(sha256) = 32),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    media_type TEXT NOT NULL CHECK (media_type <> ''),
    state TEXT NOT NULL CHECK (
        state = 'live' OR state = 'incoming' OR state = 'condemned' OR state = 'purged'
    ),
    refs INTEGER NOT NULL DEFAULT 0 CHECK (refs >= 0),
    garbage_since_us INTEGER,
    created_us INTEGER NOT NULL,
    changed_us INTEGER NOT NULL,
    -- A blob that documents refer to is live, always.
    CHECK (refs = 0 OR state = 'live')
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_condemned ON blobs (changed_us) WHERE state = 'condemned';
CREATE INDEX blobs_garbage ON blobs (garbage_since_us) WHERE garbage_since_us IS NOT NULL;
CREATE INDEX blobs_shared ON blobs (refs) WHERE refs > 1;

CREATE TABLE documents (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL CHECK (tenant <> ''),
    artifact_id TEXT NOT NULL CHECK (artifact_id <> ''),
    source_url TEXT NOT NULL CHECK (source_url <> ''),
    resolver TEXT NOT NULL,
    variant TEXT NOT NULL,
    sha256 BLOB NOT NULL REFERENCES blobs (sha256),
    content_type TEXT NOT NULL,
    run_id TEXT NOT NULL,
    fetched_us INTEGER,
    metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
    created_us INTEGER NOT NULL,
    changed_us INTEGER NOT NULL,
    seen_us INTEGER NOT NULL,
    UNIQUE (source_url, artifact_id, resolver, variant, tenant)
) STRICT;
CREATE INDEX documents_by_blob ON documents (sha256);
CREATE INDEX documents_by_run ON documents (run_id);
CREATE INDEX documents_by_artifact ON documents (artifact_id);

CREATE TABLE locations (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    store_id INTEGER NOT NULL REFERENCES stores (id),
    key TEXT NOT NULL CHECK (key <> ''),
    layout TEXT NOT NULL CHECK (layout = 'cas' OR layout = 'policy' OR layout = 'reference'),
    fold TEXT,
    sha256 BLOB NOT NULL REFERENCES blobs (sha256),
    inode INTEGER,
    mtime_ns INTEGER,
    created_us INTEGER NOT NULL,
    changed_us INTEGER NOT NULL,
    checked_us INTEGER NOT NULL DEFAULT 0,
    outcome TEXT CHECK (outcome = 'ok' OR outcome = 'corrupt' OR outcome = 'missing' OR outcome = 'unknown'),
    check_id INTEGER NOT NULL DEFAULT 0,
    UNIQUE (store_id, key),
    CHECK ((layout = 'policy') = (fold IS NOT NULL)),
    -- A content address that names other content cannot be written down.
    CHECK (layout <> 'cas' OR key = 'cas/' || lower(substr(hex(sha256), 1, 2) || '/' || hex(sha256)))
) STRICT;
CREATE INDEX locations_by_blob ON locations (sha256);
CREATE INDEX locations_by_check ON locations (checked_us, id);
-- Readable paths that a case-blind file system takes for one file cannot both exist.
CREATE UNIQUE INDEX locations_fold ON locations (store_id, fold) WHERE fold IS NOT NULL;

-- What a file looked like when it was last read, so that it need not be read again.
CREATE TABLE sources (
    folder TEXT NOT NULL,
    name TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    document_id INTEGER NOT NULL,
    PRIMARY KEY (folder, name)
) STRICT, WITHOUT ROWID;

-- In-flight ingests, with all it takes for a later run to complete them.
CREATE TABLE intents (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL CHECK (owner <> ''),
    store_id INTEGER NOT NULL REFERENCES stores (id),
    key TEXT NOT NULL CHECK (key <> ''),
    sha256 BLOB NOT NULL REFERENCES blobs (sha256),
    facts TEXT NOT NULL CHECK (json_valid(facts)),
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL
) STRICT;
CREATE INDEX intents_by_blob ON intents (sha256);

-- The verification ledger: only ever added to.
CREATE TABLE checks (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    location_id INTEGER NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    checked_us INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (
        outcome = 'ok' OR outcome = 'corrupt' OR outcome = 'missing' OR outcome = 'unknown'
    ),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    method TEXT NOT NULL,
    detail TEXT NOT NULL,
    run_id TEXT NOT NULL
) STRICT;
CREATE INDEX checks_by_location ON checks (location_id);

CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
    operation TEXT NOT NULL,
    started_us INTEGER NOT NULL,
    ended_us INTEGER,
    summary TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(summary))
) STRICT, WITHOUT ROWID;

CREATE TABLE holds (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    document_id INTEGER,
    sha256 BLOB,
    reason TEXT NOT NULL CHECK (reason <> ''),
    placed_by TEXT NOT NULL,
    placed_us INTEGER NOT NULL,
    expires_us INTEGER,
    released_us INTEGER,
    CHECK ((document_id IS NULL) <> (sha256 IS NULL))
) STRICT;
CREATE INDEX holds_by_document ON holds (document_id) WHERE document_id IS NOT NULL;
CREATE INDEX holds_by_blob ON holds (sha256) WHERE sha256 IS NOT NULL;

CREATE TABLE accesses (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    document_id INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    kind TEXT NOT NULL,
    bytes INTEGER CHECK (bytes >= 0)
) STRICT;
CREATE INDEX accesses_by_document ON accesses (document_id, at_us);

-- References are counted in the transaction that makes or drops them; zero starts the clock of garbage.

CREATE TRIGGER documents_count_insert AFTER INSERT ON documents BEGIN
    UPDATE blobs SET refs = refs + 1, garbage_since_us = NULL WHERE sha256 = NEW.sha256;
END;

CREATE TRIGGER documents_count_delete AFTER DELETE ON documents BEGIN
    UPDATE blobs SET refs = refs - 1, garbage_since_us = iif(refs = 1, (SELECT at_us FROM now), NULL)
    WHERE sha256 = OLD.sha256;
END;

CREATE TRIGGER documents_count_update AFTER UPDATE OF sha256 ON documents WHEN OLD.sha256 <> NEW.sha256 BEGIN
    UPDATE blobs SET refs = refs + 1, garbage_since_us = NULL WHERE sha256 = NEW.sha256;
    UPDATE blobs SET refs = refs - 1, garbage_since_us = iif(refs = 1, (SELECT at_us FROM now), NULL)
    WHERE sha256 = OLD.sha256;
END;

CREATE TRIGGER documents_held BEFORE DELETE ON documents WHEN EXISTS (
    SELECT 1 FROM holds WHERE document_id = OLD.id AND released_us IS NULL
    AND (expires_us IS NULL OR expires_us > (SELECT at_us FROM now))
) BEGIN
    SELECT RAISE(ABORT, 'a document under a hold cannot be forgotten');
END;

-- The life of a blob: incoming -> live -> condemned -> purged, and back to life only by way of its bytes.

CREATE TRIGGER blobs_begin BEFORE INSERT ON blobs WHEN NEW.state <> 'incoming' OR NEW.refs <> 0 BEGIN
    SELECT RAISE(ABORT, 'a blob begins as incoming, with no references');
END;

CREATE TRIGGER blobs_life BEFORE UPDATE OF state ON blobs WHEN OLD.state <> NEW.state BEGIN
    SELECT CASE
        WHEN NOT (
            OLD.state = 'incoming' AND NEW.state = 'live' OR OLD.state = 'live' AND NEW.state = 'condemned'
            OR OLD.state = 'purged' AND NEW.state = 'incoming' OR OLD.state = 'condemned'
        ) THEN RAISE(ABORT, 'a blob cannot change its state this way')
        WHEN NEW.state = 'live' AND NOT EXISTS (SELECT 1 FROM locations WHERE sha256 = NEW.sha256)
        THEN RAISE(ABORT, 'a blob without a location cannot be live')
        WHEN NEW.state = 'purged' AND EXISTS (SELECT 1 FROM locations WHERE sha256 = NEW.sha256)
        THEN RAISE(ABORT, 'a blob that still lies somewhere is not purged')
        WHEN NEW.state IN ('condemned', 'purged') AND EXISTS (SELECT 1 FROM intents WHERE sha256 = NEW.sha256)
        THEN RAISE(ABORT, 'a blob that is being ingested cannot be condemned')
        WHEN NEW.state IN ('condemned', 'purged') AND EXISTS (
            SELECT 1 FROM holds WHERE sha256 = NEW.sha256 AND released_us IS NULL
            AND (expires_us IS NULL OR expires_us > (SELECT at_us FROM now))
        ) THEN RAISE(ABORT, 'a blob under a hold cannot be condemned')
    END;
END;

CREATE TRIGGER blobs_fixed BEFORE UPDATE OF sha256, bytes ON blobs
WHEN OLD.sha256 <> NEW.sha256 OR OLD.bytes <> NEW.bytes BEGIN
    SELECT RAISE(ABORT, 'a blob never changes its digest or its size');
END;

CREATE TRIGGER blobs_end BEFORE DELETE ON blobs WHEN OLD.state IN ('live', 'condemned') BEGIN
    SELECT RAISE(ABORT, 'a blob is purged, not deleted');
END;

-- The last copy that is not known to be bad stays as long as its blob is live; so does a bad one, which may be all
-- there is to repair from. Only a place where nothing lies may always be forgotten.

CREATE TRIGGER locations_last BEFORE DELETE ON locations
WHEN OLD.outcome IS NOT 'missing' AND (SELECT state FROM blobs WHERE sha256 = OLD.sha256) = 'live' AND NOT EXISTS (
    SELECT 1 FROM locations
    WHERE sha256 = OLD.sha256 AND id <> OLD.id AND (outcome IS NULL OR outcome IN ('ok', 'unknown'))
) BEGIN
    SELECT RAISE(ABORT, 'the last good copy of a live blob cannot be dropped');
END;

CREATE TRIGGER locations_fixed BEFORE UPDATE OF store_id, key, sha256 ON locations
WHEN OLD.store_id <> NEW.store_id OR OLD.key <> NEW.key OR OLD.sha256 <> NEW.sha256 BEGIN
    SELECT RAISE(ABORT, 'this key holds other content; a location is dropped and added, never changed');
END;

CREATE TRIGGER checks_kept_update BEFORE UPDATE ON checks BEGIN
    SELECT RAISE(ABORT, 'the verification ledger is only added to');
END;

CREATE TRIGGER checks_kept_delete BEFORE DELETE ON checks BEGIN
    SELECT RAISE(ABORT, 'the verification ledger is only added to');
END;

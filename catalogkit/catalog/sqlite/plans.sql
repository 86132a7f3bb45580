-- Plans that were applied, step by step, and what they need to be undone.

CREATE TABLE plans (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 64),
    kind TEXT NOT NULL,
    head TEXT NOT NULL CHECK (json_valid(head)),
    approval TEXT NOT NULL CHECK (json_valid(approval)),
    begun_us INTEGER NOT NULL,
    ended_us INTEGER
) STRICT, WITHOUT ROWID;

-- One row for every step that was decided about: a second apply goes on after them and never repeats one.
CREATE TABLE journal (
    plan_id TEXT NOT NULL REFERENCES plans (id),
    unit INTEGER NOT NULL,
    step INTEGER NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'skipped', 'failed')),
    why TEXT NOT NULL,
    sha256 BLOB,
    document_id INTEGER,
    store_id INTEGER,
    key TEXT,
    bytes INTEGER NOT NULL DEFAULT 0,
    at_us INTEGER NOT NULL,
    PRIMARY KEY (plan_id, unit, step)
) STRICT, WITHOUT ROWID;

-- What else keeps single blobs alive: plans under way. Whoever begins one adds its rows here.
CREATE TABLE roots (
    kind TEXT NOT NULL CHECK (kind <> ''),
    name TEXT NOT NULL CHECK (name <> ''),
    sha256 BLOB NOT NULL REFERENCES blobs (sha256),
    PRIMARY KEY (sha256, kind, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER blobs_rooted BEFORE UPDATE OF state ON blobs
WHEN NEW.state IN ('condemned', 'purged') AND EXISTS (SELECT 1 FROM roots WHERE sha256 = NEW.sha256) BEGIN
    SELECT RAISE(ABORT, 'a snapshot, a backup or a plan under way still needs this blob');
END;

CREATE TRIGGER roots_live BEFORE INSERT ON roots
WHEN (SELECT state FROM blobs WHERE sha256 = NEW.sha256) NOT IN ('live', 'incoming') BEGIN
    SELECT RAISE(ABORT, 'only a blob that is alive can be a root');
END;

-- Files of a store that no record knows, condemned like a blob: a fact first, a deletion only after the grace.
CREATE TABLE strays (
    store_id INTEGER NOT NULL REFERENCES stores (id),
    key TEXT NOT NULL,
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    inode INTEGER,
    mtime_ns INTEGER,
    condemned_us INTEGER NOT NULL,
    PRIMARY KEY (store_id, key)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER strays_known BEFORE INSERT ON strays
WHEN EXISTS (SELECT 1 FROM locations WHERE store_id = NEW.store_id AND key = NEW.key)
OR EXISTS (SELECT 1 FROM intents WHERE store_id = NEW.store_id AND key = NEW.key) BEGIN
    SELECT RAISE(ABORT, 'a file that a record knows is no stray');
END;

-- A stray that is taken in after all is one no longer.
CREATE TRIGGER strays_taken AFTER INSERT ON locations BEGIN
    DELETE FROM strays WHERE store_id = NEW.store_id AND key = NEW.key;
END;

CREATE TRIGGER strays_wanted AFTER INSERT ON intents BEGIN
    DELETE FROM strays WHERE store_id = NEW.store_id AND key = NEW.key;
END;

CREATE INDEX documents_history_by_blob ON documents_history (sha256);

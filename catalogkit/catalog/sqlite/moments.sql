-- Moments somebody keeps: snapshots, backups. One is a position in the history of documents, a single row, and keeps
-- every blob that a document had then; which ones those are is read from history whenever it matters.
CREATE TABLE moments (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind <> ''),
    name TEXT NOT NULL CHECK (name <> ''),
    -- The last change of documents that it knows of, and the last document that was new by then.
    changes INTEGER NOT NULL CHECK (changes >= 0),
    last_id INTEGER NOT NULL CHECK (last_id >= 0),
    taken_us INTEGER NOT NULL,
    expires_us INTEGER,
    released_us INTEGER,
    -- What it amounts to, counted once.
    documents INTEGER,
    blobs INTEGER,
    logical_bytes INTEGER,
    stored_bytes INTEGER,
    digest BLOB CHECK (length(digest) = 32)
) STRICT;
CREATE UNIQUE INDEX moments_by_name ON moments (kind, name) WHERE released_us IS NULL;

-- Which moment keeps which blob after its document went on. The first change after a moment tells what was before it;
-- a version that came late ('older') never was there, and where a document was brought back ('recall') there was none.
-- What documents have now, references keep.
CREATE VIEW kept AS
SELECT h.sha256, k.id AS moment, k.kind, k.name, k.expires_us
FROM moments k CROSS JOIN documents_history h
WHERE k.released_us IS NULL AND h.hid > k.changes AND h.id <= k.last_id
AND (h.op = 'update' OR h.op = 'delete')
AND NOT EXISTS (
    SELECT 1 FROM documents_history e
    WHERE e.id = h.id AND e.hid > k.changes AND e.hid < h.hid AND e.op <> 'older'
);

CREATE TRIGGER blobs_remembered BEFORE UPDATE OF state ON blobs
WHEN NEW.state IN ('condemned', 'purged') AND EXISTS (
    SELECT 1 FROM kept WHERE sha256 = NEW.sha256 AND (expires_us IS NULL OR expires_us > (SELECT at_us FROM now))
) BEGIN
    SELECT RAISE(ABORT, 'a snapshot or a backup that is kept has this blob');
END;

CREATE TRIGGER moments_fixed BEFORE UPDATE OF kind, name, changes, last_id, taken_us, released_us ON moments
WHEN OLD.released_us IS NOT NULL OR OLD.kind <> NEW.kind OR OLD.name <> NEW.name OR OLD.changes <> NEW.changes
OR OLD.last_id <> NEW.last_id OR OLD.taken_us <> NEW.taken_us BEGIN
    SELECT RAISE(ABORT, 'a moment is kept and released, never changed');
END;

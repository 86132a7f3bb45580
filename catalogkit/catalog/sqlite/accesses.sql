-- The access log, smaller: a row for each document, time and kind, with how often. And which files it was read from.

CREATE TABLE accesses_counted (
    document_id INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    kind TEXT NOT NULL,
    count INTEGER NOT NULL DEFAULT 1 CHECK (count > 0),
    bytes INTEGER CHECK (bytes >= 0),
    PRIMARY KEY (document_id, at_us, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO accesses_counted (document_id, at_us, kind, count, bytes)
SELECT document_id, at_us, kind, count(*), sum(bytes) FROM accesses GROUP BY 1, 2, 3;
DROP TABLE accesses;
ALTER TABLE accesses_counted RENAME TO accesses;

-- A log that grows is known by its beginning: the digest of so many bytes of what was read.
CREATE TABLE access_files (
    sha256 BLOB NOT NULL PRIMARY KEY CHECK (length(sha256) = 32),
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    name TEXT NOT NULL,
    entries INTEGER NOT NULL CHECK (entries >= 0),
    matched INTEGER NOT NULL CHECK (matched >= 0),
    first_us INTEGER,
    last_us INTEGER,
    imported_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Contents whose last copy was let go on purpose, and when they came back.
CREATE TABLE evictions (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    sha256 BLOB NOT NULL REFERENCES blobs (sha256),
    plan_id TEXT NOT NULL CHECK (plan_id <> ''),
    evicted_us INTEGER NOT NULL,
    returned_us INTEGER
) STRICT;
CREATE UNIQUE INDEX evictions_open ON evictions (sha256) WHERE returned_us IS NULL;

CREATE TRIGGER evictions_allowed BEFORE INSERT ON evictions BEGIN
    SELECT CASE
        WHEN NOT EXISTS (SELECT 1 FROM blobs WHERE sha256 = NEW.sha256 AND state = 'live' AND refs > 0)
        THEN RAISE(ABORT, 'only what a document refers to can be evicted; the rest is for garbage collection')
        WHEN EXISTS (
            SELECT 1 FROM documents WHERE sha256 = NEW.sha256
            AND source_url NOT LIKE 'http://%' AND source_url NOT LIKE 'https://%'
        ) THEN RAISE(ABORT, 'one of its documents has no address to fetch it from again')
        WHEN EXISTS (
            SELECT 1 FROM holds WHERE released_us IS NULL AND (expires_us IS NULL OR expires_us > NEW.evicted_us)
            AND (sha256 = NEW.sha256 OR document_id IN (SELECT id FROM documents WHERE sha256 = NEW.sha256))
        ) THEN RAISE(ABORT, 'a hold keeps it')
        WHEN EXISTS (SELECT 1 FROM intents WHERE sha256 = NEW.sha256)
        THEN RAISE(ABORT, 'it is being ingested')
        WHEN EXISTS (SELECT 1 FROM roots WHERE sha256 = NEW.sha256 AND NOT (kind = 'plan' AND name = NEW.plan_id))
        THEN RAISE(ABORT, 'another plan under way still needs it')
        WHEN EXISTS (
            SELECT 1 FROM kept WHERE sha256 = NEW.sha256 AND (expires_us IS NULL OR expires_us > NEW.evicted_us)
        ) THEN RAISE(ABORT, 'a snapshot or a backup keeps it for a document that has other content now')
    END;
END;

-- Whatever brings the bytes back ends it, and from then on their last copy is kept as every other.
CREATE TRIGGER evictions_returned AFTER INSERT ON locations BEGIN
    UPDATE evictions SET returned_us = (SELECT at_us FROM now) WHERE sha256 = NEW.sha256 AND returned_us IS NULL;
END;

CREATE TRIGGER evictions_proved AFTER UPDATE OF outcome ON locations WHEN NEW.outcome = 'ok' BEGIN
    UPDATE evictions SET returned_us = (SELECT at_us FROM now) WHERE sha256 = NEW.sha256 AND returned_us IS NULL;
END;

DROP TRIGGER locations_last;
CREATE TRIGGER locations_last BEFORE DELETE ON locations
WHEN OLD.outcome IS NOT 'missing' AND (SELECT state FROM blobs WHERE sha256 = OLD.sha256) = 'live' AND NOT EXISTS (
    SELECT 1 FROM locations
    WHERE sha256 = OLD.sha256 AND id <> OLD.id AND (outcome IS NULL OR outcome IN ('ok', 'unknown'))
) AND NOT EXISTS (SELECT 1 FROM evictions WHERE sha256 = OLD.sha256 AND returned_us IS NULL) BEGIN
    SELECT RAISE(ABORT, 'the last good copy of a live blob cannot be dropped');
END;

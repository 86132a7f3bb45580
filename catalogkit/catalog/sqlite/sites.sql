-- More than one site: who they are, how far each has come with the others' changes, and what is known of each document.
-- All of it is empty where a catalog is by itself, and costs nothing then.

CREATE TABLE sites (
    id INTEGER NOT NULL PRIMARY KEY,
    site TEXT NOT NULL UNIQUE CHECK (site <> ''),
    name TEXT NOT NULL CHECK (name <> ''),
    -- This one: one row at most.
    own INTEGER NOT NULL DEFAULT 0 CHECK (own IN (0, 1)),
    -- A site that came back from a backup is a new one, and follows what it was.
    follows TEXT NOT NULL DEFAULT '',
    met_us INTEGER NOT NULL,
    heard_us INTEGER,
    -- From then on nothing is kept for its sake; somebody decided that.
    expired_us INTEGER
) STRICT;
CREATE UNIQUE INDEX sites_own ON sites (own) WHERE own = 1;

-- How far a site (site_id) has come with another one's changes (origin_id): their number there, where the origin's
-- history of documents stood by then, and marks that the origin is to be told when it is asked again.
CREATE TABLE reaches (
    site_id INTEGER NOT NULL REFERENCES sites (id),
    origin_id INTEGER NOT NULL REFERENCES sites (id),
    seq INTEGER NOT NULL DEFAULT 0 CHECK (seq >= 0),
    changes INTEGER NOT NULL DEFAULT 0 CHECK (changes >= 0),
    marks TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(marks)),
    PRIMARY KEY (site_id, origin_id)
) STRICT, WITHOUT ROWID;

-- What is known of a document by all sites. Nearly every one is whole of one change (site, number, time), and its values
-- are those of the document; any other has its state. One that is gone keeps its identity here; a document that was
-- never here has a negative number.
CREATE TABLE records (
    document_id INTEGER NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    site_id INTEGER NOT NULL REFERENCES sites (id),
    number INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    -- The site from which it was taken over as it is.
    from_id INTEGER,
    contested INTEGER NOT NULL DEFAULT 0 CHECK (contested IN (0, 1)),
    state TEXT CHECK (state IS NULL OR json_valid(state)),
    tenant TEXT, artifact_id TEXT, source_url TEXT, resolver TEXT, variant TEXT
) STRICT;
CREATE UNIQUE INDEX records_seq ON records (seq);
CREATE INDEX records_contested ON records (document_id) WHERE contested = 1;
CREATE UNIQUE INDEX records_gone ON records (source_url, artifact_id, resolver, variant, tenant)
    WHERE source_url IS NOT NULL;

-- The name that a hold has at all sites.
CREATE TABLE shared_holds (
    uid TEXT NOT NULL PRIMARY KEY,
    hold_id INTEGER NOT NULL UNIQUE,
    released INTEGER NOT NULL DEFAULT 0 CHECK (released IN (0, 1)),
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What this site said under which number: others tell it back. One that was put back to an older state, and went on, has
-- given the same numbers to other changes, and is found out.
CREATE TABLE tellings (
    seq INTEGER NOT NULL PRIMARY KEY,
    token INTEGER NOT NULL
) STRICT;

-- What other sites say that they have of a content: as of the time at which they read it.
CREATE TABLE elsewhere (
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    site_id INTEGER NOT NULL REFERENCES sites (id),
    copies INTEGER NOT NULL CHECK (copies >= 0),
    outcome TEXT CHECK (outcome IN ('ok', 'corrupt', 'missing', 'unknown', 'evicted')),
    checked_us INTEGER NOT NULL DEFAULT 0,
    -- When it said so, by its own clock.
    told_us INTEGER NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL,
    PRIMARY KEY (sha256, site_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX elsewhere_seq ON elsewhere (seq);

-- What a document had that a site may still believe it has: it is kept until that site has come as far, unless it says
-- that it has good bytes of its own.
DROP VIEW kept;
CREATE VIEW kept AS
SELECT h.sha256, k.id AS moment, k.kind, k.name, k.expires_us
FROM moments k CROSS JOIN documents_history h
WHERE k.released_us IS NULL AND h.hid > k.changes AND h.id <= k.last_id
AND (h.op = 'update' OR h.op = 'delete')
AND NOT EXISTS (
    SELECT 1 FROM documents_history e
    WHERE e.id = h.id AND e.hid > k.changes AND e.hid < h.hid AND e.op <> 'older'
)
UNION ALL
SELECT h.sha256, -s.id AS moment, 'region' AS kind, s.name, NULL AS expires_us
FROM sites own CROSS JOIN reaches r CROSS JOIN sites s CROSS JOIN documents_history h
WHERE own.own = 1 AND r.origin_id = own.id AND s.id = r.site_id AND s.own = 0 AND s.expired_us IS NULL
AND h.hid > r.changes AND (h.op = 'update' OR h.op = 'delete')
AND NOT EXISTS (
    SELECT 1 FROM elsewhere e WHERE e.sha256 = h.sha256 AND e.site_id = s.id AND e.copies > 0
    AND (e.outcome IS NULL OR e.outcome = 'ok')
);

-- A blob is live by its bytes, here or at a site that says it has them.
DROP TRIGGER blobs_life;
CREATE TRIGGER blobs_life BEFORE UPDATE OF state ON blobs WHEN OLD.state <> NEW.state BEGIN
    SELECT CASE
        WHEN NOT (
            OLD.state = 'incoming' AND NEW.state = 'live' OR OLD.state = 'live' AND NEW.state = 'condemned'
            OR OLD.state = 'purged' AND NEW.state = 'incoming' OR OLD.state = 'condemned'
        ) THEN RAISE(ABORT, 'a blob cannot change its state this way')
        WHEN NEW.state = 'live' AND NOT EXISTS (SELECT 1 FROM locations WHERE sha256 = NEW.sha256)
        AND NOT (OLD.state = 'incoming' AND EXISTS (SELECT 1 FROM elsewhere WHERE sha256 = NEW.sha256))
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

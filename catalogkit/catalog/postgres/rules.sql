-- The rules that keep the bytes safe, kept by the database, so that no program, ours included, can break them. They
-- come after the history triggers' tables, which some of them read.

-- Which moment keeps which blob after its document went on. The first change after a moment tells what was before it;
-- a version that came late ('older') never was there, and where a document was brought back ('recall') there was none.
-- What documents have now, references keep.
CREATE VIEW kept AS
SELECT h.sha256, k.id AS moment, k.kind, k.name, k.expires_us
FROM moments k JOIN documents_history h ON h.hid > k.changes AND h.id <= k.last_id
WHERE k.released_us IS NULL AND (h.op = 'update' OR h.op = 'delete')
AND NOT EXISTS (
    SELECT 1 FROM documents_history e
    WHERE e.id = h.id AND e.hid > k.changes AND e.hid < h.hid AND e.op <> 'older'
);
CREATE INDEX documents_history_by_blob ON documents_history (sha256);

-- References are counted in the transaction that makes or drops them; zero starts the clock of garbage.

CREATE FUNCTION documents_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        UPDATE blobs b SET refs = b.refs + n.n, garbage_since_us = NULL
        FROM (SELECT sha256, count(*) AS n FROM new_rows GROUP BY sha256) n WHERE b.sha256 = n.sha256;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE blobs b SET refs = b.refs - o.n,
            garbage_since_us = CASE WHEN b.refs = o.n THEN (SELECT at_us FROM now) END
        FROM (SELECT sha256, count(*) AS n FROM old_rows GROUP BY sha256) o WHERE b.sha256 = o.sha256;
    ELSE
        UPDATE blobs b SET refs = b.refs + c.n,
            garbage_since_us = CASE WHEN b.refs + c.n = 0 THEN (SELECT at_us FROM now) END
        FROM (
            SELECT sha256, sum(n) AS n FROM (
                SELECT n.sha256, 1 AS n FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.sha256 <> n.sha256
                UNION ALL
                SELECT o.sha256, -1 FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.sha256 <> n.sha256
            ) each GROUP BY sha256
        ) c WHERE b.sha256 = c.sha256;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER documents_count_insert AFTER INSERT ON documents REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION documents_count();
CREATE TRIGGER documents_count_delete AFTER DELETE ON documents REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION documents_count();
CREATE TRIGGER documents_count_update AFTER UPDATE ON documents
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION documents_count();

CREATE FUNCTION documents_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM old_rows o JOIN holds h ON h.document_id = o.id WHERE h.released_us IS NULL
        AND (h.expires_us IS NULL OR h.expires_us > (SELECT at_us FROM now))
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation',
            MESSAGE = 'a document under a hold cannot be forgotten';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER documents_held AFTER DELETE ON documents REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION documents_held();

-- The life of a blob: incoming -> live -> condemned -> purged, and back to life only by way of its bytes.

CREATE TRIGGER blobs_begin BEFORE INSERT ON blobs FOR EACH ROW WHEN (NEW.state <> 'incoming' OR NEW.refs <> 0)
    EXECUTE FUNCTION refuse('a blob begins as incoming, with no references');

CREATE FUNCTION blobs_life() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    why text;
    at_us bigint;
BEGIN
    -- Asked in a way that is hashed: where one row would do, each would be compared with each. Most updates count.
    IF NOT EXISTS (SELECT sha256, state FROM new_rows EXCEPT SELECT sha256, state FROM old_rows) THEN
        RETURN NULL;
    END IF;
    SELECT now.at_us INTO at_us FROM now;
    SELECT min(broken) INTO why FROM (
        SELECT CASE
            WHEN NOT (
                o.state = 'incoming' AND n.state = 'live' OR o.state = 'live' AND n.state = 'condemned'
                OR o.state = 'purged' AND n.state = 'incoming' OR o.state = 'condemned'
            ) THEN 'a blob cannot change its state this way'
            WHEN n.state = 'live' AND NOT EXISTS (SELECT 1 FROM locations l WHERE l.sha256 = n.sha256)
            THEN 'a blob without a location cannot be live'
            WHEN n.state = 'purged' AND EXISTS (SELECT 1 FROM locations l WHERE l.sha256 = n.sha256)
            THEN 'a blob that still lies somewhere is not purged'
            WHEN n.state NOT IN ('condemned', 'purged') THEN NULL
            WHEN EXISTS (SELECT 1 FROM intents i WHERE i.sha256 = n.sha256)
            THEN 'a blob that is being ingested cannot be condemned'
            WHEN EXISTS (
                SELECT 1 FROM holds h WHERE h.sha256 = n.sha256 AND h.released_us IS NULL
                AND (h.expires_us IS NULL OR h.expires_us > at_us)
            ) THEN 'a blob under a hold cannot be condemned'
            WHEN EXISTS (
                SELECT 1 FROM kept k WHERE k.sha256 = n.sha256 AND (k.expires_us IS NULL OR k.expires_us > at_us)
            ) THEN 'a snapshot or a backup that is kept has this blob'
            WHEN EXISTS (SELECT 1 FROM roots r WHERE r.sha256 = n.sha256)
            THEN 'a snapshot, a backup or a plan under way still needs this blob'
        END AS broken
        FROM old_rows o JOIN new_rows n ON n.sha256 = o.sha256 WHERE o.state <> n.state
    ) looked;
    IF why IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = why;
    END IF;
    DELETE FROM contents c USING new_rows n WHERE c.sha256 = n.sha256 AND n.state = 'purged';
    RETURN NULL;
END $$;
CREATE TRIGGER blobs_life AFTER UPDATE ON blobs REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION blobs_life();

CREATE TRIGGER blobs_fixed BEFORE UPDATE ON blobs FOR EACH ROW
    WHEN (OLD.sha256 <> NEW.sha256 OR OLD.bytes <> NEW.bytes)
    EXECUTE FUNCTION refuse('a blob never changes its digest or its size');

CREATE TRIGGER blobs_end BEFORE DELETE ON blobs FOR EACH ROW WHEN (OLD.state IN ('live', 'condemned'))
    EXECUTE FUNCTION refuse('a blob is purged, not deleted');

-- The last copy that is not known to be bad stays as long as its blob is live; so does a bad one, which may be all
-- there is to repair from. Only a place where nothing lies may always be forgotten.

CREATE FUNCTION locations_last() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM old_rows o JOIN blobs b ON b.sha256 = o.sha256
        WHERE o.outcome IS DISTINCT FROM 'missing' AND b.state = 'live' AND NOT EXISTS (
            SELECT 1 FROM locations l
            WHERE l.sha256 = o.sha256 AND (l.outcome IS NULL OR l.outcome IN ('ok', 'unknown'))
        ) AND NOT EXISTS (SELECT 1 FROM evictions e WHERE e.sha256 = o.sha256 AND e.returned_us IS NULL)
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation',
            MESSAGE = 'the last good copy of a live blob cannot be dropped';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER locations_last AFTER DELETE ON locations REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION locations_last();

-- A last copy may go on purpose, of what documents need and can have fetched again, unless something else keeps it.

CREATE FUNCTION evictions_allowed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    why text := CASE
        WHEN NOT EXISTS (SELECT 1 FROM blobs WHERE sha256 = NEW.sha256 AND state = 'live' AND refs > 0)
        THEN 'only what a document refers to can be evicted; the rest is for garbage collection'
        WHEN EXISTS (
            SELECT 1 FROM documents WHERE sha256 = NEW.sha256
            AND source_url NOT ILIKE 'http://%' AND source_url NOT ILIKE 'https://%'
        ) THEN 'one of its documents has no address to fetch it from again'
        WHEN EXISTS (
            SELECT 1 FROM holds WHERE released_us IS NULL AND (expires_us IS NULL OR expires_us > NEW.evicted_us)
            AND (sha256 = NEW.sha256 OR document_id IN (SELECT id FROM documents WHERE sha256 = NEW.sha256))
        ) THEN 'a hold keeps it'
        WHEN EXISTS (SELECT 1 FROM intents WHERE sha256 = NEW.sha256)
        THEN 'it is being ingested'
        WHEN EXISTS (SELECT 1 FROM roots WHERE sha256 = NEW.sha256 AND NOT (kind = 'plan' AND name = NEW.plan_id))
        THEN 'another plan under way still needs it'
        WHEN EXISTS (
            SELECT 1 FROM kept WHERE sha256 = NEW.sha256 AND (expires_us IS NULL OR expires_us > NEW.evicted_us)
        ) THEN 'a snapshot or a backup keeps it for a document that has other content now'
    END;
BEGIN
    IF why IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = why;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER evictions_allowed BEFORE INSERT ON evictions FOR EACH ROW EXECUTE FUNCTION evictions_allowed();

-- Whatever brings the bytes back ends it, and from then on their last copy is kept as every other.
CREATE FUNCTION evictions_returned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM evictions WHERE returned_us IS NULL) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        UPDATE evictions e SET returned_us = (SELECT at_us FROM now)
        FROM new_rows n WHERE e.sha256 = n.sha256 AND e.returned_us IS NULL;
    ELSE
        UPDATE evictions e SET returned_us = (SELECT at_us FROM now)
        FROM new_rows n JOIN old_rows o ON o.id = n.id
        WHERE n.outcome = 'ok' AND (o.outcome, o.check_id, o.checked_us) IS DISTINCT FROM (n.outcome, n.check_id, n.checked_us)
        AND e.sha256 = n.sha256 AND e.returned_us IS NULL;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER evictions_returned AFTER INSERT ON locations REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION evictions_returned();
CREATE TRIGGER evictions_proved AFTER UPDATE ON locations
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION evictions_returned();

CREATE TRIGGER locations_fixed BEFORE UPDATE ON locations FOR EACH ROW
    WHEN (OLD.store_id <> NEW.store_id OR OLD.key <> NEW.key OR OLD.sha256 <> NEW.sha256)
    EXECUTE FUNCTION refuse('this key holds other content; a location is dropped and added, never changed');

CREATE TRIGGER checks_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON checks FOR EACH STATEMENT
    EXECUTE FUNCTION refuse('the verification ledger is only added to');

CREATE FUNCTION roots_live() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM new_rows n JOIN blobs b ON b.sha256 = n.sha256 WHERE b.state NOT IN ('live', 'incoming')
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation',
            MESSAGE = 'only a blob that is alive can be a root';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER roots_live AFTER INSERT ON roots REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION roots_live();

CREATE FUNCTION strays_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM new_rows n JOIN locations l ON l.store_id = n.store_id AND l.key = n.key)
    OR EXISTS (SELECT 1 FROM new_rows n JOIN intents i ON i.store_id = n.store_id AND i.key = n.key) THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation',
            MESSAGE = 'a file that a record knows is no stray';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER strays_known AFTER INSERT ON strays REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION strays_known();

-- A stray that is taken in after all is one no longer.
CREATE FUNCTION strays_wanted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM strays s USING new_rows n WHERE s.store_id = n.store_id AND s.key = n.key;
    RETURN NULL;
END $$;
CREATE TRIGGER strays_taken AFTER INSERT ON locations REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION strays_wanted();
CREATE TRIGGER strays_wanted AFTER INSERT ON intents REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION strays_wanted();

CREATE TRIGGER moments_fixed BEFORE UPDATE ON moments FOR EACH ROW WHEN (
    OLD.kind <> NEW.kind OR OLD.name <> NEW.name OR OLD.changes <> NEW.changes OR OLD.last_id <> NEW.last_id
    OR OLD.taken_us <> NEW.taken_us OR OLD.released_us IS NOT NULL AND OLD.released_us IS DISTINCT FROM NEW.released_us
) EXECUTE FUNCTION refuse('a moment is kept and released, never changed');

-- The quota is counted by the database itself, so that no number of programs together goes over it.

CREATE FUNCTION quota_count() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    more bigint := 0;
    grown numeric := 0;
    over text;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM quota) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        SELECT count(*), coalesce(sum(b.bytes), 0) INTO more, grown FROM new_rows n JOIN blobs b ON b.sha256 = n.sha256;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT -count(*), -coalesce(sum(b.bytes), 0) INTO more, grown FROM old_rows o JOIN blobs b ON b.sha256 = o.sha256;
    ELSE
        SELECT coalesce(sum(b.bytes - a.bytes), 0) INTO grown FROM new_rows n JOIN old_rows o ON o.id = n.id
        JOIN blobs b ON b.sha256 = n.sha256 JOIN blobs a ON a.sha256 = o.sha256 WHERE o.sha256 <> n.sha256;
    END IF;
    IF more = 0 AND grown = 0 THEN
        RETURN NULL;
    END IF;
    UPDATE quota SET documents = documents + more, bytes = bytes + grown;
    -- A document that gets smaller may do so even where there is too much already.
    SELECT CASE WHEN more > 0 AND documents > max_documents THEN 'quota of documents'
        WHEN grown > 0 AND bytes > max_bytes OR more > 0 AND bytes > max_bytes THEN 'quota of bytes' END
    INTO over FROM quota;
    IF over IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = over;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER quota_insert AFTER INSERT ON documents REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION quota_count();
CREATE TRIGGER quota_delete AFTER DELETE ON documents REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION quota_count();
CREATE TRIGGER quota_update AFTER UPDATE ON documents
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quota_count();

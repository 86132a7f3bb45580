-- A blob is written as seldom as its rules allow: once when it is promised and once when its bytes are there; and once
-- only where they are there already. That is most of what bulk ingest costs.

-- A blob that begins whole comes after its place and its documents, whose references are looked at when they all ended.
ALTER TABLE documents ALTER CONSTRAINT documents_sha256_fkey DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE locations ALTER CONSTRAINT locations_sha256_fkey DEFERRABLE INITIALLY IMMEDIATE;

-- Looked at together: with a trigger for each row the server would also write them one by one.
DROP TRIGGER blobs_begin ON blobs;
CREATE FUNCTION blobs_begin() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM new_rows n WHERE NOT (state = 'incoming' AND refs = 0) AND NOT (
            state = 'live' AND refs = (SELECT count(*) FROM documents d WHERE d.sha256 = n.sha256)
            AND (refs = 0) = (garbage_since_us IS NOT NULL)
            AND (SELECT true FROM locations l WHERE l.sha256 = n.sha256 LIMIT 1)
        )
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation',
            MESSAGE = 'a blob begins as incoming, with no references, or as live, with its place and all its documents';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER blobs_begin AFTER INSERT ON blobs REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION blobs_begin();

-- The server plans a statement of a trigger once in a session, for as few rows as there happened to be then. Grouping
-- takes the same time for each of many rows, where a join may come to compare each with each; a question with a LIMIT
-- goes by an index, where EXISTS may come to read the whole table first.
CREATE OR REPLACE FUNCTION blobs_life() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    why text;
    at_us bigint;
BEGIN
    SELECT now.at_us INTO at_us FROM now;
    SELECT min(CASE
        WHEN NOT (
            was = 'incoming' AND state = 'live' OR was = 'live' AND state = 'condemned'
            OR was = 'purged' AND state = 'incoming' OR was = 'condemned'
        ) THEN 'a blob cannot change its state this way'
        WHEN state = 'live' AND (SELECT true FROM locations l WHERE l.sha256 = n.sha256 LIMIT 1) IS NULL
        THEN 'a blob without a location cannot be live'
        WHEN state = 'purged' AND (SELECT true FROM locations l WHERE l.sha256 = n.sha256 LIMIT 1)
        THEN 'a blob that still lies somewhere is not purged'
        WHEN state NOT IN ('condemned', 'purged') THEN NULL
        WHEN (SELECT true FROM intents i WHERE i.sha256 = n.sha256 LIMIT 1)
        THEN 'a blob that is being ingested cannot be condemned'
        WHEN (
            SELECT true FROM holds h WHERE h.sha256 = n.sha256 AND h.released_us IS NULL
            AND (h.expires_us IS NULL OR h.expires_us > at_us) LIMIT 1
        ) THEN 'a blob under a hold cannot be condemned'
        WHEN (
            SELECT true FROM kept k WHERE k.sha256 = n.sha256 AND (k.expires_us IS NULL OR k.expires_us > at_us) LIMIT 1
        ) THEN 'a snapshot or a backup that is kept has this blob'
        WHEN (SELECT true FROM roots r WHERE r.sha256 = n.sha256 LIMIT 1)
        THEN 'a snapshot, a backup or a plan under way still needs this blob'
    END) INTO why FROM (
        SELECT sha256, max(was) AS was, max(state) AS state FROM (
            SELECT sha256, state AS was, NULL AS state FROM old_rows
            UNION ALL SELECT sha256, NULL, state FROM new_rows
        ) each GROUP BY sha256 HAVING max(was) <> max(state)
    ) n;
    IF why IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = why;
    END IF;
    IF EXISTS (SELECT 1 FROM new_rows WHERE state = 'purged') THEN
        DELETE FROM contents c USING new_rows n WHERE c.sha256 = n.sha256 AND n.state = 'purged';
    END IF;
    RETURN NULL;
END $$;

-- A document that comes to a blob whose bytes have just got their place makes it live with the stroke that counts it.
-- One without a place is refused as before.
CREATE OR REPLACE FUNCTION documents_count() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    at_us bigint;
BEGIN
    SELECT now.at_us INTO at_us FROM now;
    IF TG_OP = 'INSERT' THEN
        UPDATE blobs b SET refs = b.refs + n.n, garbage_since_us = NULL,
            state = CASE WHEN b.state = 'incoming' THEN 'live' ELSE b.state END,
            changed_us = CASE WHEN b.state = 'incoming' THEN at_us ELSE b.changed_us END
        FROM (SELECT sha256, count(*) AS n FROM new_rows GROUP BY sha256) n WHERE b.sha256 = n.sha256;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE blobs b SET refs = b.refs - o.n, garbage_since_us = CASE WHEN b.refs = o.n THEN at_us END
        FROM (SELECT sha256, count(*) AS n FROM old_rows GROUP BY sha256) o WHERE b.sha256 = o.sha256;
    ELSIF EXISTS (SELECT id, sha256 FROM new_rows EXCEPT SELECT id, sha256 FROM old_rows) THEN
        UPDATE blobs b SET refs = b.refs + c.n, garbage_since_us = CASE WHEN b.refs + c.n = 0 THEN at_us END
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

-- The quota counts bytes with the documents, or with the blob where that comes after them.
CREATE OR REPLACE FUNCTION quota_count() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    more bigint := 0;
    grown numeric := 0;
    over text;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM quota) THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'blobs' THEN
        SELECT coalesce(sum(refs * bytes), 0) INTO grown FROM new_rows;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT count(*), coalesce(sum(b.bytes), 0) INTO more, grown
        FROM new_rows n LEFT JOIN blobs b ON b.sha256 = n.sha256;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT -count(*), -coalesce(sum(b.bytes), 0) INTO more, grown FROM old_rows o JOIN blobs b ON b.sha256 = o.sha256;
    ELSE
        SELECT coalesce(sum(coalesce(b.bytes, 0) - a.bytes), 0) INTO grown FROM new_rows n JOIN old_rows o ON o.id = n.id
        LEFT JOIN blobs b ON b.sha256 = n.sha256 JOIN blobs a ON a.sha256 = o.sha256 WHERE o.sha256 <> n.sha256;
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
CREATE TRIGGER quota_blobs AFTER INSERT ON blobs REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION quota_count();

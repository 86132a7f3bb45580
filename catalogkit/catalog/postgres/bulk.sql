-- What bulk ingest paid for and nobody needs.

-- A blob that one more document refers to stays in its page, and no index hears of it: none has the number of
-- references, and a page is filled up to what its next versions need. Who asks for shared contents reads all of them.
DROP INDEX blobs_shared;
ALTER TABLE blobs SET (fillfactor = 90);

-- Places and documents of all new blobs are looked up in one walk through each index, instead of blob by blob. By
-- which plan, see where references are counted (`counted.sql`).
CREATE OR REPLACE FUNCTION blobs_begin() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_nestloop = off AS $$
DECLARE
    whole bytea[];
    wrong bigint;
BEGIN
    SELECT array_agg(sha256) FILTER (WHERE state = 'live') INTO whole FROM new_rows;
    SELECT count(*) INTO wrong FROM new_rows n
    LEFT JOIN (SELECT sha256, count(*) AS n FROM documents WHERE sha256 = ANY (whole) GROUP BY sha256) d USING (sha256)
    LEFT JOIN (SELECT sha256, count(*) AS n FROM locations WHERE sha256 = ANY (whole) GROUP BY sha256) l USING (sha256)
    WHERE NOT (state = 'incoming' AND refs = 0) AND NOT (
        state = 'live' AND refs = coalesce(d.n, 0) AND (refs = 0) = (garbage_since_us IS NOT NULL) AND l.n IS NOT NULL
    );
    IF wrong > 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation',
            MESSAGE = 'a blob begins as incoming, with no references, or as live, with its place and all its documents';
    END IF;
    RETURN NULL;
END $$;

-- The server plans a trigger's statements once in a session, and in one that began with an empty catalog it would read
-- all blobs to count the references of each batch. Without sequential scans and loops it goes by the key, whatever it
-- takes the tables for, and hashes what it found.
CREATE OR REPLACE FUNCTION documents_count() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_nestloop = off AS $$
DECLARE
    at_us bigint;
    changed bytea[];
BEGIN
    SELECT now.at_us INTO at_us FROM now;
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(DISTINCT sha256) INTO changed FROM new_rows;
        UPDATE blobs b SET refs = b.refs + n.n, garbage_since_us = NULL,
            state = CASE WHEN b.state = 'incoming' THEN 'live' ELSE b.state END,
            changed_us = CASE WHEN b.state = 'incoming' THEN at_us ELSE b.changed_us END
        FROM (SELECT sha256, count(*) AS n FROM new_rows GROUP BY sha256) n
        WHERE b.sha256 = n.sha256 AND b.sha256 = ANY (changed);
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(DISTINCT sha256) INTO changed FROM old_rows;
        UPDATE blobs b SET refs = b.refs - o.n, garbage_since_us = CASE WHEN b.refs = o.n THEN at_us END
        FROM (SELECT sha256, count(*) AS n FROM old_rows GROUP BY sha256) o
        WHERE b.sha256 = o.sha256 AND b.sha256 = ANY (changed);
    ELSIF EXISTS (SELECT id, sha256 FROM new_rows EXCEPT SELECT id, sha256 FROM old_rows) THEN
        SELECT array_agg(sha256) INTO changed FROM (SELECT sha256 FROM new_rows UNION SELECT sha256 FROM old_rows) each;
        UPDATE blobs b SET refs = b.refs + c.n, garbage_since_us = CASE WHEN b.refs + c.n = 0 THEN at_us END
        FROM (
            SELECT sha256, sum(n) AS n FROM (
                SELECT n.sha256, 1 AS n FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.sha256 <> n.sha256
                UNION ALL
                SELECT o.sha256, -1 FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.sha256 <> n.sha256
            ) each GROUP BY sha256
        ) c WHERE b.sha256 = c.sha256 AND b.sha256 = ANY (changed);
    END IF;
    RETURN NULL;
END $$;

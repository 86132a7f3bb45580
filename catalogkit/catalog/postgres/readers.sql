-- Who may read which tenant's documents where several tenants' lie in one catalog. The server itself adds to whatever a
-- reader asks which rows are its own; that hangs on who logged in, and on nothing that a statement could set. With no
-- policy for a role, as each reader gets its own, it sees no row of these.

CREATE TABLE IF NOT EXISTS readers (
    role name NOT NULL PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL UNIQUE CHECK (tenant <> '')
);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE documents_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE blobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE accesses ENABLE ROW LEVEL SECURITY;

-- Whose a content is, or was: all tenants that have or had a document with it, none of whom is ever taken out. Whether a
-- reader may see the row stands in the row, so that nothing else is looked at: not for speed alone, for what is not
-- looked at cannot be measured either.
ALTER TABLE blobs ADD COLUMN tenants text[] COLLATE "C" NOT NULL DEFAULT '{}';
-- Once for all rows, which may take longer than a statement should; no rule is about this column.
SET LOCAL statement_timeout = 0;
ALTER TABLE blobs DISABLE TRIGGER USER;
UPDATE blobs b SET tenants = w.tenants FROM (
    SELECT sha256, array_agg(DISTINCT tenant) AS tenants FROM (
        SELECT sha256, tenant FROM documents UNION ALL SELECT sha256, tenant FROM documents_history
    ) each GROUP BY sha256
) w WHERE w.sha256 = b.sha256;
ALTER TABLE blobs ENABLE TRIGGER USER;

-- From now on with each document, and with each version that comes too late to be one. A blob can come after both.
-- The server plans a trigger's statements once in a session, for as few rows as there happened to be then: see where
-- references are counted.
CREATE FUNCTION blobs_tenants() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_nestloop = off AS $$
DECLARE
    told bytea[];
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NOT EXISTS (SELECT id, sha256, tenant FROM new_rows EXCEPT SELECT id, sha256, tenant FROM old_rows) THEN
            RETURN NULL;
        END IF;
    END IF;
    SELECT array_agg(DISTINCT sha256) INTO told FROM new_rows;
    IF TG_TABLE_NAME = 'blobs' THEN
        UPDATE blobs b SET tenants = w.tenants FROM (
            SELECT sha256, array_agg(DISTINCT tenant) AS tenants FROM (
                SELECT sha256, tenant FROM documents WHERE sha256 = ANY (told)
                UNION ALL SELECT sha256, tenant FROM documents_history WHERE sha256 = ANY (told)
            ) each GROUP BY sha256
        ) w WHERE b.sha256 = w.sha256 AND b.sha256 = ANY (told);
    ELSE
        UPDATE blobs b SET tenants = ARRAY(SELECT unnest(b.tenants) UNION SELECT unnest(w.tenants) ORDER BY 1)
        FROM (SELECT sha256, array_agg(DISTINCT tenant) AS tenants FROM new_rows GROUP BY sha256) w
        WHERE b.sha256 = w.sha256 AND b.sha256 = ANY (told) AND NOT b.tenants @> w.tenants;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER blobs_tenants AFTER INSERT ON blobs REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION blobs_tenants();
CREATE TRIGGER blobs_tenants_insert AFTER INSERT ON documents REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION blobs_tenants();
CREATE TRIGGER blobs_tenants_update AFTER UPDATE ON documents
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION blobs_tenants();
CREATE TRIGGER blobs_tenants_older AFTER INSERT ON documents_history REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION blobs_tenants();

-- Who may read which tenant's documents where several tenants' lie in one catalog. The server itself adds to whatever a
-- reader asks which rows are its own; that hangs on who logged in, and on nothing that a statement could set. With no
-- policy for a role, as each reader gets its own, it sees no row of these.

CREATE TABLE readers (
    role name NOT NULL PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL UNIQUE CHECK (tenant <> '')
);
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE documents_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE blobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE accesses ENABLE ROW LEVEL SECURITY;
-- To see a content a reader needs a document that has it, or had it: of a content that many have, that is found here.
CREATE INDEX documents_by_reader ON documents (sha256, tenant);
CREATE INDEX documents_history_by_reader ON documents_history (sha256, tenant);

-- Whether a document of the reader's had a content once. A function, because most never get to ask, and a second
-- subquery would be made ready for all; with names in full, because a reader's own tables would be found first.
DO $do$ BEGIN
    EXECUTE format(
        $f$ CREATE FUNCTION had(bytea) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE
        SET search_path = pg_catalog, %1$I, pg_temp AS
        'BEGIN RETURN EXISTS (SELECT 1 FROM %1$I.documents_history h WHERE h.sha256 = $1); END' $f$,
        current_schema()
    );
END $do$;

-- Who may read which tenant's documents where several tenants' lie in one catalog. The server itself adds to whatever a
-- reader asks which rows are its own; that hangs on who logged in, and on nothing that a statement could set.
-- A table that is not granted here does not exist for a reader, and neither do columns that would tell of others: how
-- many documents have a content, since when it is there, where it lies, when it was checked.

CREATE TABLE readers (
    role name NOT NULL PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL UNIQUE CHECK (tenant <> '')
);
ALTER TABLE readers ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON readers FOR SELECT USING (role = current_user);

-- Asked once for each statement, as something that does not change; equality of texts tells nobody what it compared
-- (it is leakproof), so that indexes are used as they are without this.
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON documents FOR SELECT
    USING (tenant = (SELECT r.tenant FROM readers r WHERE r.role = current_user));
ALTER TABLE documents_history ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON documents_history FOR SELECT
    USING (tenant = (SELECT r.tenant FROM readers r WHERE r.role = current_user));

-- What a document of the tenant has, or had: the policies above hold in here, too.
CREATE INDEX documents_by_reader ON documents (sha256, tenant);
CREATE INDEX documents_history_by_reader ON documents_history (sha256, tenant);
ALTER TABLE blobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON blobs FOR SELECT USING (
    EXISTS (SELECT 1 FROM documents d WHERE d.sha256 = blobs.sha256)
    OR EXISTS (SELECT 1 FROM documents_history h WHERE h.sha256 = blobs.sha256)
);
ALTER TABLE accesses ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON accesses FOR SELECT
    USING (EXISTS (SELECT 1 FROM documents d WHERE d.id = accesses.document_id));

-- How much may be taken in: counted by the database itself, so that no number of programs together goes over it.
-- Without a row nothing is counted and nothing is refused.

CREATE TABLE quota (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    max_documents INTEGER CHECK (max_documents >= 0),
    max_bytes INTEGER CHECK (max_bytes >= 0),
    documents INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

CREATE TRIGGER quota_insert AFTER INSERT ON documents WHEN EXISTS (SELECT 1 FROM quota) BEGIN
    UPDATE quota SET documents = documents + 1, bytes = bytes + (SELECT bytes FROM blobs WHERE sha256 = NEW.sha256);
    SELECT RAISE(ABORT, 'quota of documents') FROM quota WHERE documents > max_documents;
    SELECT RAISE(ABORT, 'quota of bytes') FROM quota WHERE bytes > max_bytes;
END;

CREATE TRIGGER quota_delete AFTER DELETE ON documents WHEN EXISTS (SELECT 1 FROM quota) BEGIN
    UPDATE quota SET documents = documents - 1, bytes = bytes - (SELECT bytes FROM blobs WHERE sha256 = OLD.sha256);
END;

-- A document that gets smaller may do so even where there is too much already.
CREATE TRIGGER quota_update AFTER UPDATE OF sha256 ON documents
WHEN OLD.sha256 <> NEW.sha256 AND EXISTS (SELECT 1 FROM quota) BEGIN
    UPDATE quota SET bytes = bytes + (SELECT bytes FROM blobs WHERE sha256 = NEW.sha256)
        - (SELECT bytes FROM blobs WHERE sha256 = OLD.sha256);
    SELECT RAISE(ABORT, 'quota of bytes') FROM quota WHERE bytes > max_bytes
        AND (SELECT bytes FROM blobs WHERE sha256 = NEW.sha256) > (SELECT bytes FROM blobs WHERE sha256 = OLD.sha256);
END;

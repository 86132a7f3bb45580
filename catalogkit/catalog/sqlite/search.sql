-- Which documents are in the index of words, and under which row. A row of the index is never changed: a document that
-- changed, or whose content was told anew, loses its row here, which takes it out of every answer, and gets a new one.
-- The index itself (`search_words`) comes into being with the first search, so that whoever never searches has none.

CREATE TABLE search_rows (
    row INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    document_id INTEGER NOT NULL UNIQUE,
    content_id INTEGER
) STRICT;

-- Documents up to this one were indexed; the words were folded in this way.
CREATE TABLE search_state (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    last_id INTEGER NOT NULL,
    form TEXT NOT NULL
) STRICT;
INSERT INTO search_state VALUES (1, 0, '');

-- Of those up to it, the ones that are to be indexed anew.
CREATE TABLE search_due (document_id INTEGER NOT NULL PRIMARY KEY) STRICT;

CREATE TRIGGER search_document_back AFTER INSERT ON documents
WHEN NEW.id <= (SELECT last_id FROM search_state) BEGIN
    INSERT INTO search_due VALUES (NEW.id) ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER search_document_changed
AFTER UPDATE OF artifact_id, source_url, resolver, variant, sha256, metadata ON documents
WHEN NEW.id <= (SELECT last_id FROM search_state) AND (
    OLD.artifact_id <> NEW.artifact_id OR OLD.source_url <> NEW.source_url OR OLD.resolver <> NEW.resolver
    OR OLD.variant <> NEW.variant OR OLD.sha256 <> NEW.sha256 OR OLD.metadata <> NEW.metadata
) BEGIN
    DELETE FROM search_rows WHERE document_id = NEW.id;
    INSERT INTO search_due VALUES (NEW.id) ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER search_document_gone AFTER DELETE ON documents BEGIN
    DELETE FROM search_rows WHERE document_id = OLD.id;
    DELETE FROM search_due WHERE document_id = OLD.id;
END;

CREATE TRIGGER search_content_told AFTER INSERT ON contents BEGIN
    INSERT INTO search_due SELECT id FROM documents
    WHERE sha256 = NEW.sha256 AND id <= (SELECT last_id FROM search_state) ON CONFLICT DO NOTHING;
    DELETE FROM search_rows WHERE document_id IN (SELECT id FROM documents WHERE sha256 = NEW.sha256);
END;

CREATE TRIGGER search_content_gone AFTER DELETE ON contents BEGIN
    INSERT INTO search_due SELECT id FROM documents
    WHERE sha256 = OLD.sha256 AND id <= (SELECT last_id FROM search_state) ON CONFLICT DO NOTHING;
    DELETE FROM search_rows WHERE document_id IN (SELECT id FROM documents WHERE sha256 = OLD.sha256);
END;

CREATE TRIGGER search_text_gone AFTER DELETE ON content_texts BEGIN
    INSERT INTO search_due SELECT d.id FROM documents d JOIN contents c ON c.sha256 = d.sha256
    WHERE c.id = OLD.content_id AND d.id <= (SELECT last_id FROM search_state) ON CONFLICT DO NOTHING;
    DELETE FROM search_rows WHERE document_id IN (
        SELECT d.id FROM documents d JOIN contents c ON c.sha256 = d.sha256 WHERE c.id = OLD.content_id
    );
END;

-- Which documents can be found by which words. A document that changed, or whose content was told anew, loses its row,
-- which takes it out of every answer, and gets a new one. Words are folded and told apart before they come here, so
-- that the server's own idea of a language does not matter; weights are title (A), authors (B), names (C), text (D).

CREATE TABLE search_rows (
    document_id bigint NOT NULL PRIMARY KEY,
    content_id bigint,
    words tsvector NOT NULL
);
CREATE INDEX search_words ON search_rows USING gin (words);

-- Documents up to this one were indexed; the words were folded in this way.
CREATE TABLE search_state (
    one bigint NOT NULL PRIMARY KEY CHECK (one = 1),
    last_id bigint NOT NULL,
    form text COLLATE "C" NOT NULL
);
INSERT INTO search_state VALUES (1, 0, '');

-- Of those up to it, the ones that are to be indexed anew.
CREATE TABLE search_due (document_id bigint NOT NULL PRIMARY KEY);

CREATE FUNCTION search_documents() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
BEGIN
    SELECT last_id INTO last FROM search_state;
    IF last = 0 THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO search_due SELECT id FROM new_rows WHERE id <= last ORDER BY id ON CONFLICT DO NOTHING;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM search_rows r USING old_rows o WHERE r.document_id = o.id;
        DELETE FROM search_due d USING old_rows o WHERE d.document_id = o.id;
    ELSE
        WITH changed AS (
            SELECT n.id FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE n.id <= last AND (
                o.artifact_id <> n.artifact_id OR o.source_url <> n.source_url OR o.resolver <> n.resolver
                OR o.variant <> n.variant OR o.sha256 <> n.sha256 OR o.metadata <> n.metadata
            )
        ), gone AS (
            DELETE FROM search_rows r USING changed c WHERE r.document_id = c.id
        )
        INSERT INTO search_due SELECT id FROM changed ORDER BY id ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER search_document_back AFTER INSERT ON documents REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION search_documents();
CREATE TRIGGER search_document_gone AFTER DELETE ON documents REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION search_documents();
CREATE TRIGGER search_document_changed AFTER UPDATE ON documents
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION search_documents();

CREATE FUNCTION search_contents() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH about AS (
        SELECT d.id FROM about_rows a JOIN documents d ON d.sha256 = a.sha256
        WHERE d.id <= (SELECT last_id FROM search_state)
    ), gone AS (
        DELETE FROM search_rows r USING about a WHERE r.document_id = a.id
    )
    INSERT INTO search_due SELECT DISTINCT id FROM about ORDER BY id ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER search_content_told AFTER INSERT ON contents REFERENCING NEW TABLE AS about_rows
    FOR EACH STATEMENT EXECUTE FUNCTION search_contents();
CREATE TRIGGER search_content_gone AFTER DELETE ON contents REFERENCING OLD TABLE AS about_rows
    FOR EACH STATEMENT EXECUTE FUNCTION search_contents();

CREATE FUNCTION search_texts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH about AS (
        SELECT d.id FROM old_rows o JOIN contents c ON c.id = o.content_id JOIN documents d ON d.sha256 = c.sha256
        WHERE d.id <= (SELECT last_id FROM search_state)
    ), gone AS (
        DELETE FROM search_rows r USING about a WHERE r.document_id = a.id
    )
    INSERT INTO search_due SELECT DISTINCT id FROM about ORDER BY id ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER search_text_gone AFTER DELETE ON content_texts REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION search_texts();

-- What is inside blobs, as extractors told it: one row for each blob that was looked into, whatever came of it.

CREATE TABLE contents (
    -- A blob that is looked into again gets a new number, so that whoever keeps the texts can follow.
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    sha256 BLOB NOT NULL UNIQUE REFERENCES blobs (sha256) ON DELETE CASCADE,
    extractor TEXT NOT NULL CHECK (extractor <> ''),
    version INTEGER NOT NULL CHECK (version >= 0),
    -- Why nothing could be told; empty where something was.
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    media_type TEXT NOT NULL CHECK (media_type <> ''),
    title TEXT,
    authors TEXT NOT NULL CHECK (json_valid(authors)),
    language TEXT,
    detected_language TEXT,
    page_count INTEGER CHECK (page_count >= 0),
    created_us INTEGER,
    modified_us INTEGER,
    encrypted INTEGER NOT NULL CHECK (encrypted = 0 OR encrypted = 1),
    text_chars INTEGER NOT NULL CHECK (text_chars >= 0),
    warnings TEXT NOT NULL CHECK (json_valid(warnings)),
    preview TEXT NOT NULL,
    schema TEXT CHECK (schema IS NULL OR json_valid(schema)),
    more TEXT NOT NULL CHECK (json_valid(more)),
    extracted_us INTEGER NOT NULL
) STRICT;
CREATE INDEX contents_by_extractor ON contents (extractor, version);

-- Compressed (zlib), and apart, so that whoever reads the facts does not read the texts.
CREATE TABLE content_texts (
    content_id INTEGER NOT NULL PRIMARY KEY REFERENCES contents (id) ON DELETE CASCADE,
    text BLOB NOT NULL
) STRICT;

CREATE TRIGGER contents_purged AFTER UPDATE OF state ON blobs WHEN NEW.state = 'purged' BEGIN
    DELETE FROM contents WHERE sha256 = NEW.sha256;
END;

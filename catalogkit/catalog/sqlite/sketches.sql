-- Sketches of texts: half a kilobyte that tells which other texts are worth comparing with one.

CREATE TABLE sketches (
    content_id INTEGER NOT NULL PRIMARY KEY REFERENCES contents (id) ON DELETE CASCADE,
    version TEXT NOT NULL CHECK (version <> ''),
    shingles INTEGER NOT NULL CHECK (shingles >= 0),
    numbers BLOB NOT NULL,
    -- Why a text is not compared with others; empty where it is.
    why_not TEXT NOT NULL
) STRICT;

-- What it takes to undo a step that copied, linked or dropped bytes.

ALTER TABLE journal ADD COLUMN from_store_id INTEGER;
ALTER TABLE journal ADD COLUMN from_key TEXT;
ALTER TABLE journal ADD COLUMN effect TEXT NOT NULL DEFAULT '';

-- A plan lets go of all it kept at once.
CREATE INDEX roots_by_name ON roots (kind, name);

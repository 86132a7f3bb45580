-- The last document that was new when an intent was written: beside the last change it tells which versions came after
-- it, whatever clocks say.

ALTER TABLE intents ADD COLUMN last_id bigint NOT NULL DEFAULT 0;
UPDATE intents SET last_id = (SELECT coalesce(max(id), 0) FROM documents);

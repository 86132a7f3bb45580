-- How far the history of documents had come when an intent was written: a document that was forgotten after that stays
-- forgotten, however late its ingest is completed.

ALTER TABLE intents ADD COLUMN changes bigint NOT NULL DEFAULT 0;
UPDATE intents SET changes = (SELECT coalesce(max(hid), 0) FROM documents_history);

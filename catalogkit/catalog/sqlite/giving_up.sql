-- Why a plan that was begun is not to be finished; nothing for all others.

ALTER TABLE plans ADD COLUMN given_up TEXT NOT NULL DEFAULT '';

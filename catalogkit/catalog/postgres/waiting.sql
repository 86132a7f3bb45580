-- Steps that wait for something that takes hours, such as bytes out of an archive, are their own kind of undecided: the
-- row says since when, and until about when.
ALTER TABLE journal DROP CONSTRAINT journal_outcome_check;
ALTER TABLE journal ADD CONSTRAINT journal_outcome_check CHECK (outcome IN ('done', 'skipped', 'failed', 'waiting'));
ALTER TABLE journal ADD COLUMN until_us bigint;

-- Steps that wait for something that takes hours, such as bytes out of an archive, are their own kind of undecided: the
-- row says since when, and until about when. SQLite cannot change what a column may hold, so the table is made anew.

CREATE TABLE journal_anew (
    plan_id TEXT NOT NULL REFERENCES plans (id),
    unit INTEGER NOT NULL,
    step INTEGER NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'skipped', 'failed', 'waiting')),
    why TEXT NOT NULL,
    sha256 BLOB,
    document_id INTEGER,
    store_id INTEGER,
    key TEXT,
    bytes INTEGER NOT NULL DEFAULT 0,
    at_us INTEGER NOT NULL,
    from_store_id INTEGER,
    from_key TEXT,
    effect TEXT NOT NULL DEFAULT '',
    until_us INTEGER,
    PRIMARY KEY (plan_id, unit, step)
) STRICT, WITHOUT ROWID;

INSERT INTO journal_anew
SELECT plan_id, unit, step, kind, outcome, why, sha256, document_id, store_id, key, bytes, at_us, from_store_id, from_key,
    effect, NULL FROM journal ORDER BY plan_id, unit, step;

DROP TABLE journal;

ALTER TABLE journal_anew RENAME TO journal;

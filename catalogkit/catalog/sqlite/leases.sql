-- Who is at which piece of work, and until when that counts.
CREATE TABLE leases (
    work TEXT NOT NULL,
    item TEXT NOT NULL,
    owner TEXT NOT NULL,
    until_us INTEGER NOT NULL,
    PRIMARY KEY (work, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_owner ON leases (owner);

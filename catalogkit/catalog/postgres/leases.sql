-- Who is at which piece of work, and until when that counts.
CREATE TABLE leases (
    work text COLLATE "C" NOT NULL,
    item text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    until_us bigint NOT NULL,
    PRIMARY KEY (work, item)
);
CREATE INDEX leases_by_owner ON leases (owner);

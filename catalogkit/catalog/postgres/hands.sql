-- Who is about to remove bytes. A row is there only while a transaction that removes some is under way, or after one
-- whose session ended before it did: then its program may be at it still, and nobody writes until that is over.
CREATE TABLE hands (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    owner text COLLATE "C" NOT NULL,
    until_us bigint NOT NULL
);

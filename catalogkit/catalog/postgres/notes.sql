-- What else a catalog is told, such as where its collection's stores are.
CREATE TABLE notes (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    text text COLLATE "C" NOT NULL
);

-- How much had happened to a site's copies when it said what it has of a content: of two words of one site the one with the
-- higher number counts, whatever its clock did between them.
ALTER TABLE elsewhere ADD COLUMN stand INTEGER NOT NULL DEFAULT -1;

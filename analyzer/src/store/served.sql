-- What our side serves has rows of its own, and flows say who opened them.

-- Booked without that.
UPDATE source SET stale = 1;

-- 0 visited, 1 local, 2 served, 3 transit.
ALTER TABLE rollup RENAME COLUMN local TO traffic;
ALTER TABLE page_rollup RENAME COLUMN local TO traffic;
ALTER TABLE carried RENAME COLUMN local TO traffic;

-- Protocol (1 byte), port (2), address (4 or 16) of a service of our own; then neither name nor address is set.
ALTER TABLE host ADD COLUMN service BLOB;
CREATE UNIQUE INDEX host_service ON host (service);

ALTER TABLE carried ADD COLUMN opened INTEGER NOT NULL DEFAULT 0;           -- 0 unknown, 1 the client, 2 the server
ALTER TABLE carried ADD COLUMN name_from_server INTEGER NOT NULL DEFAULT 0;
ALTER TABLE carried ADD COLUMN name_relayed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE carried ADD COLUMN interface INTEGER NOT NULL DEFAULT 0;

-- Which recorder wrote a segment, in which run, and its place among all of that recorder; null where the format does not say it.
ALTER TABLE source ADD COLUMN recorder BLOB;
ALTER TABLE source ADD COLUMN run BLOB;
ALTER TABLE source ADD COLUMN sequence INTEGER;

-- Identity of the packets of a capture, whatever file they were in; null where it is not known.
ALTER TABLE source ADD COLUMN content BLOB;
CREATE INDEX source_content ON source (content) WHERE content IS NOT NULL;

-- What this database is: the identity under which captures are kept as segments, and so on.
CREATE TABLE about (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO about (key, value) VALUES ('recorder', randomblob(16));

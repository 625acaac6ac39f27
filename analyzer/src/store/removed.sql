-- What was removed by the user's wish.

-- Whose sums are not kept, from one bucket to the first one after. No address stands here: a salted hash of it.
CREATE TABLE removal (
    wish INTEGER NOT NULL,               -- keys of one wish have one number
    from_s INTEGER NOT NULL,
    to_s INTEGER NOT NULL,
    family INTEGER NOT NULL,             -- 0: a hardware address; 4, 6: an address
    prefix INTEGER NOT NULL,             -- bits of the address that count
    key BLOB NOT NULL,                   -- SHA-256 of salt, family, prefix and address
    PRIMARY KEY (from_s, to_s, family, prefix, key)
) STRICT, WITHOUT ROWID;
INSERT INTO about (key, value) VALUES ('salt', randomblob(32));

-- What was removed, without whose it was and where it went: bills still count it.
CREATE TABLE removed (
    bucket INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    interface TEXT NOT NULL,
    vlan INTEGER NOT NULL,               -- 0 for none
    traffic INTEGER NOT NULL,
    up_bytes INTEGER NOT NULL,
    down_bytes INTEGER NOT NULL,
    up_packets INTEGER NOT NULL,
    down_packets INTEGER NOT NULL,
    PRIMARY KEY (bucket, source, interface, vlan, traffic)
) STRICT, WITHOUT ROWID;
CREATE INDEX removed_source ON removed (source);

-- Segments that captures were kept as, and that hold what was removed: files that are to go.
CREATE TABLE doomed (
    path TEXT NOT NULL,
    segment BLOB NOT NULL,
    PRIMARY KEY (path, segment)
) STRICT, WITHOUT ROWID;

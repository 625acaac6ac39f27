-- Everything here can be made again from the segments (facts stay in files); nothing here is edited by hand.
-- Times: *_ns are nanoseconds, bucket is Unix seconds, both UTC. Bytes are IP bytes.

CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    identity BLOB NOT NULL UNIQUE,       -- segment UUID (16 bytes), or SHA-256 of a capture file (32 bytes)
    kind TEXT NOT NULL,                  -- segment, capture
    path TEXT NOT NULL,                  -- where it was read from, for people
    kept TEXT,                           -- segment file that a capture was kept as
    kept_segment BLOB UNIQUE,            -- its UUID: the same source, should it be given as a segment
    interface TEXT NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    ended TEXT NOT NULL,                 -- sealed, open, torn, damaged; capture: complete, cut
    len_bytes INTEGER NOT NULL,          -- of the file, as far as it was read
    records INTEGER NOT NULL
) STRICT;

CREATE TABLE host (
    id INTEGER PRIMARY KEY,
    name TEXT UNIQUE,                    -- presentation form; exactly one of name and address is set
    address BLOB UNIQUE
) STRICT;

CREATE TABLE endpoint (
    id INTEGER PRIMARY KEY,
    address BLOB NOT NULL,               -- 4 or 16 bytes
    mac BLOB NOT NULL,                   -- 6 bytes, or none
    UNIQUE (address, mac)
) STRICT;

CREATE TABLE candidate_set (
    id INTEGER PRIMARY KEY,
    hosts TEXT NOT NULL UNIQUE           -- host ids in rising order, joined by commas
) STRICT;

-- Sums of 15 minutes. They are kept by source, so that a source can be read again (an open segment that has grown) and
-- replaces exactly what it gave before.
CREATE TABLE rollup (
    bucket INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    host INTEGER NOT NULL REFERENCES host (id),
    endpoint INTEGER NOT NULL REFERENCES endpoint (id),
    evidence INTEGER NOT NULL,
    local INTEGER NOT NULL,
    candidates INTEGER NOT NULL,         -- candidate_set, 0 for none
    blind INTEGER NOT NULL,              -- why there is no name, 0 for none
    up_bytes INTEGER NOT NULL,
    down_bytes INTEGER NOT NULL,
    up_packets INTEGER NOT NULL,
    down_packets INTEGER NOT NULL,
    PRIMARY KEY (bucket, source, host, endpoint, evidence, local, candidates, blind)
) STRICT, WITHOUT ROWID;


-- What is not usage of a flow: the rest of the ledger.
CREATE TABLE bucket_count (
    bucket INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    counter INTEGER NOT NULL,
    detail INTEGER NOT NULL,
    packets INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (bucket, source, counter, detail)
) STRICT, WITHOUT ROWID;

CREATE TABLE gap (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    from_ns INTEGER NOT NULL,
    to_ns INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;

-- When a source first and last gave a name for an address: what attribution knows when the next source begins.
CREATE TABLE answer (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    address BLOB NOT NULL,
    asker BLOB NOT NULL,                 -- address (4 or 16 bytes), hardware address (6), or none: a name inside a flow
    host TEXT NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    PRIMARY KEY (source, address, asker, host)
) STRICT, WITHOUT ROWID;

-- For replacing a source.
CREATE INDEX rollup_source ON rollup (source);
CREATE INDEX bucket_count_source ON bucket_count (source);
CREATE INDEX gap_source ON gap (source);

-- What booking again needs: attribution is a pure function of the facts, and this is what it knows of facts that are not
-- read again.

-- 1: facts that came later may change what is booked here; the next ingest books it again.
ALTER TABLE source ADD COLUMN stale INTEGER NOT NULL DEFAULT 0;
-- Booked by older rules, without what the tables below hold.
UPDATE source SET stale = 1;

-- Flows that began in an earlier source and go on in this one, with where they are booked.
CREATE TABLE carried (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,             -- of the flow, within the run of this source
    origin BLOB NOT NULL,                -- identity of the source in which it began
    client BLOB NOT NULL,
    client_port INTEGER NOT NULL,
    server BLOB NOT NULL,
    server_port INTEGER NOT NULL,
    proto INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    begin_seen INTEGER NOT NULL,
    mac BLOB NOT NULL,                   -- 6 bytes, or none
    start_ns INTEGER NOT NULL,
    name_kind INTEGER NOT NULL,          -- of the name inside the flow, 0 for none
    name TEXT NOT NULL,
    host TEXT NOT NULL,                  -- where it is booked; none: on the server's address
    evidence INTEGER NOT NULL,
    local INTEGER NOT NULL,
    candidates TEXT NOT NULL,            -- names, one a line
    PRIMARY KEY (source, number)
) STRICT, WITHOUT ROWID;

-- Networks of the addresses that a hardware address stood for: many make it a router's.
CREATE TABLE met (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    mac BLOB NOT NULL,
    network BLOB NOT NULL,
    PRIMARY KEY (source, mac, network)
) STRICT, WITHOUT ROWID;

-- Sources that the user has pruned: they are not ingested again.
CREATE TABLE pruned (
    identity BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

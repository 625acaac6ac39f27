-- Where bytes were seen: sums are kept by interface and VLAN as well.

-- Booked without that: until they are booked again, rows have interface 0, which is their source's own.
UPDATE source SET stale = 1;

CREATE TABLE interface (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    vlan INTEGER NOT NULL,               -- id of the outermost tag, 0 for none
    UNIQUE (name, vlan)
) STRICT;

ALTER TABLE rollup RENAME TO rollup_before;
CREATE TABLE rollup (
    bucket INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    host INTEGER NOT NULL REFERENCES host (id),
    endpoint INTEGER NOT NULL REFERENCES endpoint (id),
    evidence INTEGER NOT NULL,
    traffic INTEGER NOT NULL,
    candidates INTEGER NOT NULL,         -- candidate_set, 0 for none
    blind INTEGER NOT NULL,              -- why there is no name, 0 for none
    interface INTEGER NOT NULL,
    up_bytes INTEGER NOT NULL,
    down_bytes INTEGER NOT NULL,
    up_packets INTEGER NOT NULL,
    down_packets INTEGER NOT NULL,
    PRIMARY KEY (bucket, source, host, endpoint, evidence, traffic, candidates, blind, interface)
) STRICT, WITHOUT ROWID;
INSERT INTO rollup SELECT bucket, source, host, endpoint, evidence, traffic, candidates, blind, 0,
    up_bytes, down_bytes, up_packets, down_packets FROM rollup_before;
DROP TABLE rollup_before;
CREATE INDEX rollup_source ON rollup (source);

ALTER TABLE page_rollup RENAME TO page_rollup_before;
CREATE TABLE page_rollup (
    bucket INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    host INTEGER NOT NULL REFERENCES host (id),
    endpoint INTEGER NOT NULL REFERENCES endpoint (id),
    evidence INTEGER NOT NULL,
    traffic INTEGER NOT NULL,
    candidates INTEGER NOT NULL,
    blind INTEGER NOT NULL,
    interface INTEGER NOT NULL,
    page INTEGER NOT NULL REFERENCES host (id),  -- host of the page's document
    sureness INTEGER NOT NULL,
    rival INTEGER NOT NULL,              -- host: the page that could have been it as well, 0 for none
    up_bytes INTEGER NOT NULL,
    down_bytes INTEGER NOT NULL,
    up_packets INTEGER NOT NULL,
    down_packets INTEGER NOT NULL,
    PRIMARY KEY (bucket, source, host, endpoint, evidence, traffic, candidates, blind, interface, page, sureness, rival)
) STRICT, WITHOUT ROWID;
INSERT INTO page_rollup SELECT bucket, source, host, endpoint, evidence, traffic, candidates, blind, 0,
    page, sureness, rival, up_bytes, down_bytes, up_packets, down_packets FROM page_rollup_before;
DROP TABLE page_rollup_before;
CREATE INDEX page_rollup_source ON page_rollup (source);

ALTER TABLE carried ADD COLUMN vlan INTEGER NOT NULL DEFAULT 0;

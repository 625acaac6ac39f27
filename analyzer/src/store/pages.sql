-- First party: which page pulled bytes in, beside the strict sums and never instead of them.

-- Booked without pages.
UPDATE source SET stale = 1;

-- Parts of rows of `rollup` (the same key up to blind), by the page that pulled them in.
CREATE TABLE page_rollup (
    bucket INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    host INTEGER NOT NULL REFERENCES host (id),
    endpoint INTEGER NOT NULL REFERENCES endpoint (id),
    evidence INTEGER NOT NULL,
    local INTEGER NOT NULL,
    candidates INTEGER NOT NULL,
    blind INTEGER NOT NULL,
    page INTEGER NOT NULL REFERENCES host (id),  -- host of the page's document
    sureness INTEGER NOT NULL,
    rival INTEGER NOT NULL,              -- host: the page that could have been it as well, 0 for none
    up_bytes INTEGER NOT NULL,
    down_bytes INTEGER NOT NULL,
    up_packets INTEGER NOT NULL,
    down_packets INTEGER NOT NULL,
    PRIMARY KEY (bucket, source, host, endpoint, evidence, local, candidates, blind, page, sureness, rival)
) STRICT, WITHOUT ROWID;

-- What a source taught about pages: what is known when the next source begins. Weights are in thousandths.
CREATE TABLE habit (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    name TEXT NOT NULL,                  -- of a host (bursts, context) or a site (visits)
    bursts INTEGER NOT NULL,
    context INTEGER NOT NULL,
    visits INTEGER NOT NULL,
    document TEXT NOT NULL,              -- host of the latest visit, or none
    PRIMARY KEY (source, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE habit_pull (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    page TEXT NOT NULL,
    site TEXT NOT NULL,
    weight INTEGER NOT NULL,
    PRIMARY KEY (source, page, site)
) STRICT, WITHOUT ROWID;

CREATE INDEX page_rollup_source ON page_rollup (source);

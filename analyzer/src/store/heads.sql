-- Names that lead to others, and services of addresses.

-- Booked without what the table below holds, and with names inside flows that stood for all services of an address. What such
-- sources taught stays until they are booked again; an asker of no bytes then counts for the web.
UPDATE source SET stale = 1;

-- When a source first and last gave a name of another site as what leads to `target` (CNAME records).
CREATE TABLE head (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    target TEXT NOT NULL,
    asker BLOB NOT NULL,                 -- as in `answer`
    head TEXT NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    PRIMARY KEY (source, target, asker, head)
) STRICT, WITHOUT ROWID;

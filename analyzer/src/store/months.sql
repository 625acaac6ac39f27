-- Months that are put away: their sums are in files beside the database, and no longer here.

CREATE TABLE closed (
    month INTEGER NOT NULL,              -- years from year 0 times twelve, and the months before it
    recorder BLOB NOT NULL,
    part TEXT NOT NULL,                  -- rows, pages, ledger
    generation INTEGER NOT NULL,
    file TEXT NOT NULL,                  -- its name in the folder of the month and the recorder
    sha256 BLOB NOT NULL,
    len_bytes INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    up_bytes INTEGER NOT NULL,
    down_bytes INTEGER NOT NULL,
    up_packets INTEGER NOT NULL,
    down_packets INTEGER NOT NULL,
    PRIMARY KEY (month, recorder, part)
) STRICT, WITHOUT ROWID;

-- Whose sums they are. Without a cascade on purpose: a source cannot go, or be booked again, as long as one of its months is
-- put away.
CREATE TABLE closed_source (
    month INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES source (id),
    PRIMARY KEY (month, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX closed_source_source ON closed_source (source);

-- Who has sums in them: all endpoints together tell which of them are one device.
CREATE TABLE closed_endpoint (
    month INTEGER NOT NULL,
    endpoint INTEGER NOT NULL REFERENCES endpoint (id),
    PRIMARY KEY (month, endpoint)
) STRICT, WITHOUT ROWID;
CREATE INDEX closed_endpoint_endpoint ON closed_endpoint (endpoint);

-- The number of the latest closing, in one row.
CREATE TABLE closing (
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO closing (generation) VALUES (0);

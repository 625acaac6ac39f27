-- What capture files were: known again when they have grown, and when others follow them.

ALTER TABLE source ADD COLUMN file_len INTEGER;      -- bytes of the capture file; null for segments, and where it is not known
ALTER TABLE source ADD COLUMN packets INTEGER;       -- packets of the capture; null likewise
ALTER TABLE source ADD COLUMN chain_captures INTEGER; -- captures that were read by one meter, up to this one
ALTER TABLE source ADD COLUMN chain BLOB;            -- stands for their packets

-- 1: the user knows better: bytes of this source count whatever other sources hold.
ALTER TABLE source ADD COLUMN allow_overlap INTEGER NOT NULL DEFAULT 0;

-- What a source holds that another one holds as well, which is where it counts: in no row of the sums.
CREATE TABLE overlap (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    bucket INTEGER NOT NULL,
    name TEXT NOT NULL,                  -- of the source, for people
    other TEXT NOT NULL,                 -- of the one that counts
    packets INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (source, bucket, name, other)
) STRICT, WITHOUT ROWID;
CREATE INDEX overlap_bucket ON overlap (bucket);

-- Checksums of what reports read: a sum of hashes over the rows of a source in a bucket, with what they point to.
CREATE TABLE checked (
    bucket INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    sum INTEGER NOT NULL,
    PRIMARY KEY (bucket, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX checked_source ON checked (source);
-- 1: the source has checksums; those of an older version have none until they are booked again.
ALTER TABLE source ADD COLUMN summed INTEGER NOT NULL DEFAULT 0;

-- Checksums of what stands beside the sums (crate::store::sealed). Nothing is booked again.

-- Of a source: what it is and when it recorded; what it heard devices call themselves; what is
-- known of it when later sources are booked.
CREATE TABLE sealed_source (
    source INTEGER PRIMARY KEY REFERENCES source (id) ON DELETE CASCADE,
    about INTEGER NOT NULL,
    names INTEGER NOT NULL,
    learnt INTEGER NOT NULL
) STRICT;

-- Of tables that are nobody's alone.
CREATE TABLE sealed_table (
    name TEXT PRIMARY KEY,
    sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

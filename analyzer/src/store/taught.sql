-- What sources taught, packed: a row each cost more than all else that is written of a source.

-- Names that were given for addresses, and names of other sites that were given as what leads to a
-- name (CNAME records): who asked, for what, which name, when first and when last. As `answer` and
-- `head` had them, which this takes in (crate::store::taught).
CREATE TABLE taught (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    kind INTEGER NOT NULL,               -- 0: names of addresses, 1: names that lead to others
    first_ns INTEGER NOT NULL,           -- of all that are in it
    last_ns INTEGER NOT NULL,
    rows BLOB NOT NULL                   -- crate::store::taught::pack
) STRICT;

CREATE INDEX taught_source ON taught (source, kind);

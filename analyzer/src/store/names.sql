-- What a source heard devices call themselves: by which endpoint, how (the kind of a name in the segment format), and when
-- last.
CREATE TABLE endpoint_name (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    endpoint INTEGER NOT NULL REFERENCES endpoint (id),
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,                  -- presentation form
    last_ns INTEGER NOT NULL,
    PRIMARY KEY (source, endpoint, kind, name)
) STRICT, WITHOUT ROWID;

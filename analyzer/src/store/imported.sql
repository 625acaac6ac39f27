-- What other programs counted before: totals as they keep them, of which longer ones contain
-- shorter ones.

CREATE TABLE imported (
    program TEXT NOT NULL,
    interface TEXT NOT NULL,
    unit INTEGER NOT NULL,               -- crate::imported::Unit
    from_s INTEGER NOT NULL,
    to_s INTEGER NOT NULL,
    down_bytes INTEGER NOT NULL,
    up_bytes INTEGER NOT NULL,
    PRIMARY KEY (program, interface, unit, from_s)
) STRICT, WITHOUT ROWID;

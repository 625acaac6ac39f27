-- Reverse lookups that the user asked for (`report --resolve`): no fact and no part of the books, forgotten when they expire.
CREATE TABLE reverse_name (
    address BLOB PRIMARY KEY,            -- 4 or 16 bytes
    name TEXT NOT NULL,                  -- presentation form; empty: it has none
    expires_s INTEGER NOT NULL           -- Unix seconds
) STRICT, WITHOUT ROWID;

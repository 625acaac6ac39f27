-- When segments recorded, and which others are gone.

-- Booked without that.
UPDATE source SET stale = 1;

-- What a segment that was recorded live says of its time (crate::timeline::Recorded).
CREATE TABLE recorded (
    source INTEGER PRIMARY KEY REFERENCES source (id) ON DELETE CASCADE,
    recorder BLOB NOT NULL,
    run BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    segment BLOB NOT NULL,
    before BLOB NOT NULL,                -- the segment before it
    before_sealed INTEGER NOT NULL,
    boot BLOB NOT NULL,
    interface TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    to_ns INTEGER NOT NULL,
    ended TEXT NOT NULL,                 -- sealed, open, torn, damaged
    stop_requested INTEGER NOT NULL,
    run_before_to_ns INTEGER,            -- of the run before, if it says anything of that
    run_before_flags INTEGER,            -- 1 stop requested, 2 sealed, 4 machine started since, 8 ended by an error
    run_before_elapsed_ns INTEGER
) STRICT;

CREATE INDEX recorded_time ON recorded (recorder, start_ns, to_ns, sequence);
CREATE INDEX recorded_sequence ON recorded (recorder, sequence);

-- Segments that are gone, by who said it; of those that were pruned nobody who could be pruned.
CREATE TABLE gone (
    source INTEGER REFERENCES source (id) ON DELETE CASCADE,
    recorder BLOB NOT NULL,
    first INTEGER NOT NULL,
    segments INTEGER NOT NULL,
    why INTEGER NOT NULL                 -- crate::timeline::Why
) STRICT;

CREATE INDEX gone_recorder ON gone (recorder);
CREATE INDEX gone_source ON gone (source);

-- What counts for a time only, with the time at which it was learnt. Nothing is booked again: what
-- older versions learnt counts from the end of its source.

-- When an address of this network was seen last.
ALTER TABLE met ADD COLUMN last_ns INTEGER NOT NULL DEFAULT 0;
UPDATE met SET last_ns = (SELECT last_ns FROM source WHERE id = met.source);

ALTER TABLE habit RENAME TO habit_once;
CREATE TABLE habit (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    day INTEGER NOT NULL,                -- UTC days since 1970-01-01
    name TEXT NOT NULL,                  -- of a host (bursts, context) or a site (visits)
    bursts INTEGER NOT NULL,
    context INTEGER NOT NULL,
    visits INTEGER NOT NULL,
    document TEXT NOT NULL,              -- host of the latest visit, or none
    PRIMARY KEY (source, day, name)
) STRICT, WITHOUT ROWID;
INSERT INTO habit SELECT h.source, s.last_ns / 86400000000000, h.name, h.bursts, h.context, h.visits, h.document
    FROM habit_once h JOIN source s ON s.id = h.source;
DROP TABLE habit_once;

ALTER TABLE habit_pull RENAME TO habit_pull_once;
CREATE TABLE habit_pull (
    source INTEGER NOT NULL REFERENCES source (id) ON DELETE CASCADE,
    day INTEGER NOT NULL,
    page TEXT NOT NULL,
    site TEXT NOT NULL,
    weight INTEGER NOT NULL,
    PRIMARY KEY (source, day, page, site)
) STRICT, WITHOUT ROWID;
INSERT INTO habit_pull SELECT h.source, s.last_ns / 86400000000000, h.page, h.site, h.weight
    FROM habit_pull_once h JOIN source s ON s.id = h.source;
DROP TABLE habit_pull_once;

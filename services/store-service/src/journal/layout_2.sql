-- How many events a command led to; the last of them is `sequence`.
ALTER TABLE commands ADD COLUMN events INTEGER NOT NULL DEFAULT 1 CHECK (events > 0);

-- One row: the next command of the centre to read, committed with what those before it did.
CREATE TABLE inbox (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    cluster_id TEXT    NOT NULL,
    next       INTEGER NOT NULL
) STRICT;

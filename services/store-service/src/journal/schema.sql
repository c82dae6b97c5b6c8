-- One row: whose journal this is.
CREATE TABLE journal (
    id                INTEGER PRIMARY KEY CHECK (id = 1),
    store_id          TEXT    NOT NULL,
    epoch             INTEGER NOT NULL CHECK (epoch > 0),
    -- Acknowledged by the broker without a hole up to here. Behind the truth after a crash, never
    -- ahead of it: what is published twice names itself.
    published_through INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The truth. It is also the outbox: what stands behind published_through is still to be sent.
CREATE TABLE events (
    sequence    INTEGER PRIMARY KEY CHECK (sequence > 0),
    sku         TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    data        TEXT    NOT NULL,
    occurred_at INTEGER NOT NULL, -- milliseconds of UTC
    traceparent TEXT,
    cause       TEXT,
    hash        BLOB    NOT NULL CHECK (length(hash) = 32) -- over this row and the hash before it
) STRICT;

-- With the time, so that a history as of a time is found without reading the rows.
CREATE INDEX events_by_sku ON events (sku, sequence, occurred_at);

CREATE TRIGGER events_are_never_updated BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

-- What became of commands that were given an id, so that a repeat is answered and not executed.
CREATE TABLE commands (
    command_id  TEXT PRIMARY KEY,
    fingerprint BLOB NOT NULL, -- of the command, to tell a repeat from a reuse
    sequence    INTEGER,       -- the event it led to, or
    rejection   TEXT,          -- the answer it got
    CHECK ((sequence IS NULL) <> (rejection IS NULL))
) STRICT, WITHOUT ROWID;

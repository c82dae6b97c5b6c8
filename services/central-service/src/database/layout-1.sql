-- One row: the broker this view was built from.
CREATE TABLE source (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    cluster_id TEXT    NOT NULL
) STRICT;

CREATE TABLE stores (
    store     INTEGER PRIMARY KEY,
    store_id  TEXT    NOT NULL UNIQUE,
    -- As last reported by a heartbeat.
    epoch     INTEGER NOT NULL,
    head      INTEGER NOT NULL,
    head_hash TEXT    NOT NULL,
    digest    TEXT    NOT NULL
) STRICT;

-- The newest known state of every item.
CREATE TABLE levels (
    store       INTEGER NOT NULL REFERENCES stores (store),
    sku         TEXT    NOT NULL,
    epoch       INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    on_hand     INTEGER NOT NULL,
    reserved    INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL, -- milliseconds of UTC, by the store's clock
    PRIMARY KEY (store, sku)
) STRICT, WITHOUT ROWID;

-- Which events were applied: all through applied_through, and beyond it those with a bit in a chunk.
CREATE TABLE trackers (
    store           INTEGER NOT NULL REFERENCES stores (store),
    epoch           INTEGER NOT NULL,
    applied_through INTEGER NOT NULL,
    PRIMARY KEY (store, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE tracker_chunks (
    store INTEGER NOT NULL REFERENCES stores (store),
    epoch INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    bits  BLOB    NOT NULL,
    PRIMARY KEY (store, epoch, chunk)
) STRICT, WITHOUT ROWID;

-- The next record to read of every partition; committed with what the records before it did.
CREATE TABLE positions (
    topic     TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    next      INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- Records still to be published.
CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    topic   TEXT NOT NULL,
    key     BLOB NOT NULL,
    headers TEXT NOT NULL, -- JSON: [[name, [byte, …]], …]
    value   BLOB
) STRICT;

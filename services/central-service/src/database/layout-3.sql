-- What happened was not recorded before: the view is built anew from the topics, and the history with it.
DELETE FROM commitments;
DELETE FROM tracker_chunks;
DELETE FROM trackers;
DELETE FROM levels;
DELETE FROM stores;
DELETE FROM positions;

-- Every event that was new to this centre, in the order it applied them: positions have no gaps.
CREATE TABLE history (
    position    INTEGER PRIMARY KEY,
    store       INTEGER NOT NULL REFERENCES stores (store),
    sku         TEXT    NOT NULL,
    epoch       INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    type        TEXT    NOT NULL,
    occurred_at INTEGER NOT NULL, -- milliseconds of UTC, by the store's clock
    version     INTEGER,          -- the four are absent where nothing changed: a refusal
    delta       INTEGER,
    on_hand     INTEGER,
    reserved    INTEGER,
    cause       TEXT,
    traceparent TEXT,
    late        INTEGER NOT NULL CHECK (late IN (0, 1)), -- 1: a newer event of the item was known
    data        TEXT    NOT NULL  -- JSON
) STRICT;

-- Where an item's changes are, segment by segment of 32,768 positions. A segment is added at once, sorted,
-- when it is full: an index of all items would be written all over with every batch.
CREATE TABLE history_items (
    segment  INTEGER NOT NULL,
    store    INTEGER NOT NULL,
    sku      TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (segment, store, sku, position)
) STRICT, WITHOUT ROWID;

-- One row: positions mean something within one life only. A new one begins with the database, and where
-- the machine went down, since commits that were not on its disk yet may be lost with their positions.
CREATE TABLE history_life (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    life          TEXT    NOT NULL,
    machine_start TEXT    NOT NULL
) STRICT;
INSERT INTO history_life VALUES (1, lower(hex(randomblob(8))), '');

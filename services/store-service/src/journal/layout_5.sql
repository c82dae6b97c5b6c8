-- An index of all items is written all over with every commit. Instead each 1,024 events are sorted by item
-- when they are there, which only appends: an item's events are looked up in each segment, and those behind
-- the last one by a look through them.
DROP INDEX events_by_sku;
CREATE TABLE events_by_item (
    segment     INTEGER NOT NULL,
    sku         TEXT    NOT NULL,
    sequence    INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL, -- so that a history as of a time is found without reading the events
    PRIMARY KEY (segment, sku, sequence)
) STRICT, WITHOUT ROWID;

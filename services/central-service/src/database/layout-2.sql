-- What stores keep for reservations was not recorded before: the view is built anew from the topics.
DELETE FROM tracker_chunks;
DELETE FROM trackers;
DELETE FROM levels;
DELETE FROM stores;
DELETE FROM positions;

-- What stores keep for reservations of every centre, by their events.
CREATE TABLE commitments (
    store          INTEGER NOT NULL REFERENCES stores (store),
    sku            TEXT    NOT NULL,
    reservation_id TEXT    NOT NULL,
    attempt        INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL, -- milliseconds of UTC, by the clock of the reservation's centre
    units          INTEGER NOT NULL,
    ended          INTEGER NOT NULL CHECK (ended IN (0, 1)), -- 1: its end was heard before its beginning
    PRIMARY KEY (store, sku, reservation_id, attempt)
) STRICT, WITHOUT ROWID;

-- The ledger: this centre's own reservations, each with its lines, allocations and history.
CREATE TABLE reservations (
    reservation_id TEXT    NOT NULL PRIMARY KEY,
    order_id       TEXT    NOT NULL,
    state          TEXT    NOT NULL,
    final          INTEGER NOT NULL CHECK (final IN (0, 1)), -- 1: nothing more can happen to it
    document       TEXT    NOT NULL -- JSON, as on the reservations topic
) STRICT;
CREATE INDEX reservations_of_order ON reservations (order_id, reservation_id);
CREATE INDEX reservations_in_state ON reservations (state, reservation_id);
CREATE INDEX reservations_running ON reservations (reservation_id) WHERE final = 0;

-- What callers named by an idempotency key, so that a repeat is known.
CREATE TABLE requests (
    request     TEXT NOT NULL PRIMARY KEY,
    fingerprint BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Stock commands that were handed to this centre, and what their stores answered.
CREATE TABLE stock_commands (
    command_id TEXT    NOT NULL PRIMARY KEY,
    pending    INTEGER NOT NULL CHECK (pending IN (0, 1)),
    document   TEXT    NOT NULL -- JSON
) STRICT;
CREATE INDEX stock_commands_pending ON stock_commands (command_id) WHERE pending = 1;

-- The newest safety stock policy of each scope, the removed ones too.
CREATE TABLE safety_stocks (
    scope    TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL -- JSON, as on the policies topic
) STRICT, WITHOUT ROWID;

-- Records still to be published. Commands have a lane of their own: a customer waits for them.
DROP TABLE outbox;
CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    lane    INTEGER NOT NULL,
    topic   TEXT NOT NULL,
    key     BLOB NOT NULL,
    headers TEXT NOT NULL, -- JSON: [[name, value], …]; a character is a byte
    value   BLOB
) STRICT;
CREATE INDEX outbox_lanes ON outbox (lane, id);

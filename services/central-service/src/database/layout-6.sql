-- Who asked for what happened.
ALTER TABLE history ADD COLUMN principal TEXT;
-- Records that were not let in, so that they can be looked at, and let in once the rules have changed. The
-- newest are kept.
CREATE TABLE dead_letters (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    bytes          INTEGER NOT NULL,
    origin         TEXT    NOT NULL, -- topic/partition/offset, or the record's own id
    fingerprint    BLOB    NOT NULL, -- of key, headers and value: offsets begin anew with a topic
    cause          TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    quarantined_at INTEGER NOT NULL, -- milliseconds of UTC
    redriven_at    INTEGER,          -- the same, when somebody tried last
    outcome        TEXT,             -- what came of that
    outcome_reason TEXT,
    key            BLOB    NOT NULL,
    headers        TEXT    NOT NULL, -- as in the outbox
    value          BLOB,
    UNIQUE (origin, fingerprint)
) STRICT;

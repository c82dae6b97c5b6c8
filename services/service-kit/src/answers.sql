-- Answers that callers' named requests got. The oldest go first.
CREATE TABLE answers (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT    NOT NULL UNIQUE,
    fingerprint BLOB    NOT NULL, -- of the request, to tell a repeat from a reuse
    status      INTEGER NOT NULL,
    location    TEXT,
    body        TEXT    NOT NULL, -- JSON
    answered_at INTEGER NOT NULL  -- milliseconds of UTC
) STRICT;
CREATE INDEX answers_by_age ON answers (answered_at);

-- Names run out: what is here already has its time from now on.
ALTER TABLE requests ADD COLUMN asked_at INTEGER NOT NULL DEFAULT 0; -- milliseconds of UTC
UPDATE requests SET asked_at = unixepoch() * 1000;
CREATE INDEX requests_by_age ON requests (asked_at);

ALTER TABLE stock_commands ADD COLUMN answered_at INTEGER; -- the same; NULL while it has no answer
UPDATE stock_commands SET answered_at = unixepoch() * 1000 WHERE pending = 0;
CREATE INDEX stock_commands_by_age ON stock_commands (answered_at) WHERE answered_at IS NOT NULL;

-- Each event keeps the life of the journal that it was written in.
ALTER TABLE events ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1 CHECK (epoch > 0);
-- What lies up to here is in no journal any more: 0, unless this one was refilled from a snapshot.
ALTER TABLE journal ADD COLUMN begins_behind INTEGER NOT NULL DEFAULT 0 CHECK (begins_behind >= 0);
-- The folder the journal was last written in: the same file in another one is a copy.
ALTER TABLE journal ADD COLUMN home TEXT;

-- Each event keeps who asked for it.
ALTER TABLE events ADD COLUMN principal TEXT;
-- When a command was answered, in milliseconds of UTC: its name is forgotten some time after. NULL where
-- that is not known, or where the centre's topic may tell the command again: such a name is kept.
ALTER TABLE commands ADD COLUMN answered_at INTEGER;
CREATE INDEX commands_by_age ON commands (answered_at) WHERE answered_at IS NOT NULL;

-- Each event keeps who asked for it.
ALTER TABLE events ADD COLUMN principal TEXT;

-- Who asked for what happened.
ALTER TABLE history ADD COLUMN principal TEXT;

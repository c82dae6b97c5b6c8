-- The lives of a store's journal, as it last reported: JSON, as on the heartbeats topic; NULL while there
-- was only one.
ALTER TABLE stores ADD COLUMN lineage TEXT;

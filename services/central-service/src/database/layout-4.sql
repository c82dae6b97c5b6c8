-- What was last said of each store's selling online, also where that is on again.
CREATE TABLE selling (
    store_id TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL -- JSON, as on the policies topic
) STRICT, WITHOUT ROWID;

-- An older version passed over records of this kind: the policies are read again.
DELETE FROM positions WHERE topic LIKE '%inventory.policies.v1';

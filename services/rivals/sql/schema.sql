-- The least that keeps the same promise for one store: a level for each item, and a ledger in which a
-- repeated request is found by its key. No foreign key, since the update has found the item already.
CREATE TABLE stock (
    sku text PRIMARY KEY,
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL DEFAULT 0,
    CHECK (reserved BETWEEN 0 AND on_hand)
-- Half of each page stays free, so that a new version of a row finds room beside the old one and no index
-- changes.
) WITH (fillfactor = 50);

CREATE TABLE reservation (
    idempotency_key text PRIMARY KEY,
    order_id text NOT NULL,
    sku text NOT NULL,
    quantity bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A source of changes and its copy, for the copy by polling. They are in one database, which spares the poll a
-- connection to another.
CREATE TABLE source (sku text PRIMARY KEY, on_hand bigint NOT NULL, version bigint NOT NULL);
CREATE INDEX source_version ON source (version);
CREATE TABLE copy (sku text PRIMARY KEY, on_hand bigint NOT NULL, version bigint NOT NULL);

INSERT INTO stock (sku, on_hand) SELECT 'ITEM-' || n, 1000000000000 FROM generate_series(0, 9999) AS n;
INSERT INTO source (sku, on_hand, version) SELECT sku, on_hand, 0 FROM stock;
INSERT INTO copy (sku, on_hand, version) SELECT sku, on_hand, version FROM source;

-- A reservation as one statement, which is one transaction: the row is locked, judged and written, and the
-- ledger with it. One trip, the best that PostgreSQL offers.
\set item random(0, :items - 1)
\set key random(1, 1000000000000000000)
WITH taken AS (
    UPDATE stock SET reserved = reserved + 1
    WHERE sku = 'ITEM-' || :item::text AND on_hand - reserved >= 1
    RETURNING sku
)
INSERT INTO reservation (idempotency_key, order_id, sku, quantity)
SELECT 'key-' || :key::text, 'order-' || :key::text, sku, 1 FROM taken;

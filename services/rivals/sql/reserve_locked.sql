-- The same as most programs write it: lock, look, write, write, commit. The row stays locked for five trips.
\set item random(0, :items - 1)
\set key random(1, 1000000000000000000)
BEGIN;
SELECT on_hand - reserved AS available FROM stock WHERE sku = 'ITEM-' || :item::text FOR UPDATE;
UPDATE stock SET reserved = reserved + 1 WHERE sku = 'ITEM-' || :item::text;
INSERT INTO reservation (idempotency_key, order_id, sku, quantity)
VALUES ('key-' || :key::text, 'order-' || :key::text, 'ITEM-' || :item::text, 1);
COMMIT;

-- One item, by its primary key.
\set item random(0, :items - 1)
SELECT on_hand, reserved FROM stock WHERE sku = 'ITEM-' || :item::text;

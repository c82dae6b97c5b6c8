//! What happens in a shop, and how it gets onto the broker.

use std::sync::Arc;

use event_log::EventLog;
use fastrand::Rng;
use inventory_core::allocations::{Ending, end, evolve_allocations, reserve};
use shared_events::Allocation;
use shared_events::reservation::{Binding, ReleaseReason};

use crate::support::{Shop, publish};

pub(super) const ITEMS: [&str; 4] = ["A", "B", "C", "D"];

/// What a shop keeps of an item, by its journal.
pub(super) fn kept(shop: &Shop, item: &str) -> Vec<Allocation> {
    let mut kept = Vec::new();
    for event in shop.journal.iter().filter(|event| event.sku.as_str() == item) {
        evolve_allocations(&mut kept, &event.event);
    }
    kept
}

pub(super) fn sell(random: &mut Rng, shop: &mut Shop) {
    for _ in 0..random.usize(1..=4) {
        let item = ITEMS[random.usize(0..ITEMS.len())];
        let stock = shop.item(item);
        let open = kept(shop, item);
        match (random.u8(0..4), random.choice(&open)) {
            (0, _) if open.len() < 10 && stock.on_hand > 10 => {
                // The same for all copies: what differs is who wrote it.
                let id = format!("elsewhere.{item}-{}", shop.journal.len());
                let wanted = [(stock, allocation(&id, shop))];
                for (_, event) in reserve(&wanted, shop.heartbeat().sent_at) {
                    shop.say(item, None, event);
                }
            }
            (1, Some(one)) => {
                let event = end(&stock, one, Ending::Released(ReleaseReason::Cancelled));
                shop.say(item, None, event);
            }
            _ => shop.count(item, random.i64(20..100)),
        }
    }
}

fn allocation(id: &str, shop: &Shop) -> Allocation {
    Allocation {
        reservation_id: id.parse().expect("an id"),
        order_id: "order".parse().expect("an id"),
        attempt: 1,
        line: 1,
        lines: 1,
        quantity: 1,
        line_quantity: 1,
        expires_at: shop.heartbeat().sent_at.plus_millis(3_600_000),
        binding: Binding::Any,
    }
}

pub(super) fn publish_some(
    random: &mut Rng,
    log: &Arc<dyn EventLog>,
    shop: &Shop,
    from: usize,
    to: usize,
) {
    let mut events: Vec<_> = shop.journal[from..to].iter().collect();
    if random.u8(0..4) == 0 {
        random.shuffle(&mut events);
    }
    events.retain(|_| random.u8(0..8) > 0);
    publish(log.as_ref(), events);
}

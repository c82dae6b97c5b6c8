//! Events of made-up stores, straight to the topics: what a centre reads when it has much to read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use event_log::{EventLog, Publication, Publisher};
use inventory_core::{Digest, StockItem};
use shared_events::event::{StockAdjusted, StockReplaced};
use shared_events::topic::Topics;
use shared_events::wire::{encode_event, encode_heartbeat};
use shared_events::{
    Epoch, EventId, Heartbeat, RecordedEvent, Sequence, Sku, StockEvent, StoreId, Timestamp,
    Version,
};
use tokio_util::sync::CancellationToken;

use super::chain::{field, item};
use super::process::Process;

const AT_ONCE: u64 = 5_000;
/// Far from running out.
const UNITS: i64 = 1_000_000_000;
const APPLIED_WITHIN: Duration = Duration::from_secs(1_800);
/// As stores do it.
const HEARTBEATS_EVERY: Duration = Duration::from_secs(1);

/// Stores whose items take turns: the first event of each item counts it, the others sell one of it.
#[derive(Debug)]
pub(super) struct Events {
    stores: Vec<Store>,
    /// Of each store.
    items: u64,
    /// Of all stores together.
    written: u64,
}

#[derive(Debug)]
struct Store {
    id: StoreId,
    head: u64,
    digest: Digest,
}

impl Events {
    /// Stores by a common beginning of their names, each with so many items.
    pub(super) fn new(name: &str, stores: u64, items: u64) -> Self {
        let id = |number| StoreId::parse(&format!("{name}-{number}")).ok();
        let store = |id| Store { id, head: 0, digest: Digest::default() };
        Self { stores: (0..stores).filter_map(id).map(store).collect(), items, written: 0 }
    }

    /// The newest sequence of each store.
    fn heads(&self) -> BTreeMap<&str, u64> {
        self.stores.iter().map(|store| (store.id.as_str(), store.head)).collect()
    }

    fn next(&mut self) -> anyhow::Result<RecordedEvent> {
        let turn = usize::try_from(self.written)? % self.stores.len();
        self.written += 1;
        let store = self.stores.get_mut(turn).context("a store")?;
        let (number, round) = (store.head % self.items, store.head / self.items);
        store.head += 1;
        let sku = Sku::parse(&item(number)).map_err(anyhow::Error::msg)?;
        let (before, after) = (level(round)?, level(round + 1)?);
        store.digest = store.digest.replace(&sku, &before, &after);
        let StockItem { on_hand, reserved, version } = after;
        let (delta, reason, reference) = (on_hand - before.on_hand, None, None);
        let event = if round == 0 {
            let replaced = StockReplaced { version, delta, on_hand, reserved, reason, reference };
            StockEvent::Replaced(replaced)
        } else {
            let discrepancy = 0;
            let adjusted =
                StockAdjusted { version, delta, on_hand, reserved, discrepancy, reason, reference };
            StockEvent::Adjusted(adjusted)
        };
        let sequence = Sequence::new(store.head);
        Ok(RecordedEvent {
            id: EventId { store: store.id.clone(), epoch: Epoch::new(1), sequence },
            sku,
            occurred_at: now()?,
            cause: None,
            principal: None,
            traceparent: None,
            event,
        })
    }

    /// What each store says of itself, true to what was written.
    pub(super) fn heartbeats(&self, topics: &Topics) -> anyhow::Result<Vec<Publication>> {
        let topic = topics.heartbeats().name;
        let heartbeat = |store: &Store| {
            let head = Sequence::new(store.head);
            let record = encode_heartbeat(&Heartbeat {
                store_id: store.id.clone(),
                epoch: Epoch::new(1),
                head,
                head_hash: "0".repeat(64),
                published_through: head,
                digest: store.digest.to_string(),
                sent_at: now()?,
                location: None,
                lineage: None,
                opening: false,
            });
            Ok(Publication { topic: topic.clone(), record })
        };
        self.stores.iter().map(heartbeat).collect()
    }

    fn publish(
        &mut self,
        publisher: &mut dyn Publisher,
        topic: &str,
        count: u64,
    ) -> anyhow::Result<()> {
        let batch: Vec<Publication> = (0..count)
            .map(|_| {
                let record = encode_event(&self.next()?);
                anyhow::Ok(Publication { topic: topic.to_owned(), record })
            })
            .collect::<Result<_, _>>()?;
        send(publisher, &batch)
    }

    /// So many more events, as fast as the broker takes them.
    pub(super) fn publish_all(
        &mut self,
        log: &dyn EventLog,
        topics: &Topics,
        count: u64,
    ) -> anyhow::Result<()> {
        log.ensure_topics(&topics.shared())?;
        let (mut publisher, topic) = (log.publisher()?, topics.stock_events().name);
        let mut left = count;
        while left > 0 {
            let some = left.min(AT_ONCE);
            self.publish(publisher.as_mut(), &topic, some)?;
            left -= some;
        }
        send(publisher.as_mut(), &self.heartbeats(topics)?)
    }

    /// Events at so many a second, until it is enough.
    pub(super) fn publish_paced(
        &mut self,
        log: &dyn EventLog,
        topics: &Topics,
        per_second: f64,
        enough: &dyn Fn() -> bool,
    ) -> anyhow::Result<()> {
        log.ensure_topics(&topics.shared())?;
        let (mut publisher, topic) = (log.publisher()?, topics.stock_events().name);
        let batch = Duration::from_millis(20);
        let count = Duration::from_secs_f64(per_second * batch.as_secs_f64() / 1e3).as_millis();
        let (count, mut due) = (u64::try_from(count)?, Instant::now());
        let mut heartbeats_due = due;
        while !enough() {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due += batch;
            self.publish(publisher.as_mut(), &topic, count)?;
            if Instant::now() >= heartbeats_due {
                heartbeats_due = Instant::now() + HEARTBEATS_EVERY;
                send(publisher.as_mut(), &self.heartbeats(topics)?)?;
            }
        }
        send(publisher.as_mut(), &self.heartbeats(topics)?)
    }
}

fn send(publisher: &mut dyn Publisher, batch: &[Publication]) -> anyhow::Result<()> {
    let published = publisher.publish(batch, &CancellationToken::new());
    published.error.map_or(Ok(()), |error| Err(error.into()))
}

/// An item after so many events.
fn level(events: u64) -> anyhow::Result<StockItem> {
    let Some(sold) = events.checked_sub(1) else { return Ok(StockItem::default()) };
    let on_hand = UNITS - i64::try_from(sold)?;
    Ok(StockItem { on_hand, reserved: 0, version: Version::new(events) })
}

fn now() -> anyhow::Result<Timestamp> {
    Timestamp::from_unix_millis(service_kit::clock::unix_millis()).context("now is a time")
}

/// Waits until a centre has applied all of them.
pub(super) async fn shown(events: &Events, centre: &Process) -> anyhow::Result<()> {
    let heads = events.heads();
    let all = |answer: &str| {
        let stores = field(answer, "stores");
        let applied = |store: &serde_json::Value| {
            let head = heads.get(store.get("storeId")?.as_str()?)?;
            (store.get("appliedThrough")?.as_u64()? >= *head).then_some(())
        };
        let there = stores.as_array().map_or(0, |all| all.iter().filter_map(applied).count());
        there == heads.len()
    };
    centre.wait_for("/api/stores", APPLIED_WITHIN, all).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_take_turns_and_their_items_too() {
        let mut events = Events::new("S", 2, 2);
        let said: Vec<String> = (0..6)
            .map(|_| events.next().unwrap())
            .map(|event| format!("{} {}", event.id, event.sku))
            .collect();
        let expected = [
            "S-0/1/1 ITEM-0",
            "S-1/1/1 ITEM-0",
            "S-0/1/2 ITEM-1",
            "S-1/1/2 ITEM-1",
            "S-0/1/3 ITEM-0",
            "S-1/1/3 ITEM-0",
        ];
        assert_eq!(said, expected);
        assert_eq!(events.heads(), BTreeMap::from([("S-0", 3), ("S-1", 3)]));
        events.next().unwrap();
        assert_eq!(events.heads(), BTreeMap::from([("S-0", 4), ("S-1", 3)]));
    }
}

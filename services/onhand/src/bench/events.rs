//! Events of made-up stores, straight to the topics: what a centre reads when it has much to read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use event_log::{EventLog, Publication, Publisher};
use shared_events::event::{StockAdjusted, StockReplaced};
use shared_events::topic::Topics;
use shared_events::wire::encode_event;
use shared_events::{
    Epoch, EventId, RecordedEvent, Sequence, Sku, StockEvent, StoreId, Timestamp, Version,
};
use tokio_util::sync::CancellationToken;

use super::chain::field;
use super::process::Process;

const AT_ONCE: u64 = 5_000;
/// Far from running out.
const UNITS: u64 = 1_000_000_000;
const APPLIED_WITHIN: Duration = Duration::from_secs(1_800);

/// Stores whose items take turns: the first event of each item counts it, the others sell one of it.
#[derive(Debug)]
pub(super) struct Events {
    stores: Vec<StoreId>,
    /// Of each store.
    items: u64,
    /// Of all stores together.
    written: u64,
}

impl Events {
    /// Stores by a common beginning of their names, each with so many items.
    pub(super) fn new(name: &str, stores: u64, items: u64) -> Self {
        let named = |number| StoreId::parse(&format!("{name}-{number}")).ok();
        Self { stores: (0..stores).filter_map(named).collect(), items, written: 0 }
    }

    /// The newest sequence of each store.
    fn heads(&self) -> BTreeMap<&str, u64> {
        let stores = self.stores.len() as u64;
        let head = |place: u64| (self.written + stores - 1 - place) / stores;
        self.stores.iter().zip(0..).map(|(store, place)| (store.as_str(), head(place))).collect()
    }

    fn next(&mut self) -> anyhow::Result<RecordedEvent> {
        let stores = self.stores.len() as u64;
        let (place, turn) = (self.written % stores, self.written / stores);
        self.written += 1;
        let (number, round) = (turn % self.items, turn / self.items);
        let version = Version::new(round + 1);
        let (units, sold) = (i64::try_from(UNITS)?, i64::try_from(round)?);
        let event = if round == 0 {
            let (on_hand, reason) = (units, None);
            let delta = units;
            let replaced =
                StockReplaced { version, delta, on_hand, reserved: 0, reason, reference: None };
            StockEvent::Replaced(replaced)
        } else {
            StockEvent::Adjusted(StockAdjusted {
                version,
                delta: -1,
                on_hand: units - sold,
                reserved: 0,
                discrepancy: 0,
                reason: None,
                reference: None,
            })
        };
        let store = self.stores.get(usize::try_from(place)?).context("a store")?.clone();
        Ok(RecordedEvent {
            id: EventId { store, epoch: Epoch::new(1), sequence: Sequence::new(turn + 1) },
            sku: Sku::parse(&super::chain::item(number)).map_err(anyhow::Error::msg)?,
            occurred_at: Timestamp::from_unix_millis(service_kit::clock::unix_millis())
                .context("now is a time")?,
            cause: None,
            principal: None,
            traceparent: None,
            event,
        })
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
        let published = publisher.publish(&batch, &CancellationToken::new());
        published.error.map_or(Ok(()), |error| Err(error.into()))
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
        Ok(())
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
        while !enough() {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due += batch;
            self.publish(publisher.as_mut(), &topic, count)?;
        }
        Ok(())
    }
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

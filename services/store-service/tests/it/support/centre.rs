//! A centre that asks the store by its topic and reads what the store says.

use std::collections::BTreeMap;
use std::sync::Arc;

use event_log::{EventLog, Publication};
use shared_events::command::CommandEnvelope;
use shared_events::reservation::{
    Binding, FulfilReservation, ReleaseReason, ReleaseReservation, ReserveStock, WantedLine,
};
use shared_events::topic::TopicSpec;
use shared_events::wire::{OutgoingRecord, encode_command};
use shared_events::{EventId, RecordedEvent, StoreCommand, Timestamp};
use test_support::eventually;
use tokio_util::sync::CancellationToken;

use super::{DEADLINE, Topic, store_id, topics};

/// The other end of a store's topics.
#[derive(Clone)]
pub(crate) struct Centre {
    log: Arc<dyn EventLog>,
}

impl Centre {
    pub(crate) fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log }
    }

    /// Writes a command onto the store's topic.
    pub(crate) fn send(&self, id: &str, command: StoreCommand) {
        let envelope = CommandEnvelope {
            id: id.parse().unwrap(),
            store: store_id(),
            issued_at: in_seconds(0),
            principal: None,
            traceparent: None,
            command,
        };
        self.publish(Publication {
            topic: topics().commands(&store_id()).name,
            record: encode_command(&envelope),
        });
    }

    /// Writes a record onto any topic.
    pub(crate) fn publish_to(&self, topic: &TopicSpec, record: OutgoingRecord) {
        self.publish(Publication { topic: topic.name.clone(), record });
    }

    pub(crate) fn publish(&self, publication: Publication) {
        self.log.ensure_topics(&[topics().commands(&store_id())]).unwrap();
        let mut publisher = self.log.publisher().unwrap();
        let published = publisher.publish(&[publication], &CancellationToken::new());
        assert!(published.error.is_none(), "{published:?}");
    }

    /// Asks for units under the command id `reservation:attempt`, for an hour.
    pub(crate) fn reserve(&self, reservation: &str, wanted: &[(&str, i64)]) {
        self.send(&format!("{reservation}:1"), StoreCommand::Reserve(ask(reservation, wanted)));
    }

    pub(crate) fn release(&self, reservation: &str, skus: &[&str]) {
        let release = ReleaseReservation {
            reservation_id: reservation.parse().unwrap(),
            attempt: 1,
            skus: skus.iter().map(|sku| sku.parse().unwrap()).collect(),
            reason: ReleaseReason::Cancelled,
        };
        self.send(&format!("{reservation}:1:release"), StoreCommand::Release(release));
    }

    pub(crate) fn fulfil(&self, reservation: &str, skus: &[&str]) {
        let fulfil = FulfilReservation {
            reservation_id: reservation.parse().unwrap(),
            attempt: 1,
            skus: skus.iter().map(|sku| sku.parse().unwrap()).collect(),
        };
        self.send(&format!("{reservation}:1:fulfil"), StoreCommand::Fulfil(fulfil));
    }

    /// All events so far, each once, in the order of the journal.
    pub(crate) fn events(&self) -> Vec<RecordedEvent> {
        let events = Topic::read(self.log.as_ref(), &topics().stock_events()).events();
        let by_id: BTreeMap<EventId, RecordedEvent> =
            events.into_iter().map(|event| (event.id.clone(), event)).collect();
        by_id.into_values().collect()
    }

    /// How often an event was published so far.
    pub(crate) fn copies(&self, event: &str) -> usize {
        let events = Topic::read(self.log.as_ref(), &topics().stock_events()).events();
        events.iter().filter(|published| published.id.to_string() == event).count()
    }

    /// Waits until an event is published again.
    pub(crate) async fn more_copies(&self, event: &'static str, than: usize) {
        let centre = self.clone();
        let more = move || (centre.copies(event) > than).then_some(());
        let wait = move || eventually("it is published again", DEADLINE, more);
        tokio::task::spawn_blocking(wait).await.unwrap();
    }

    /// Waits for the events that answer a command.
    pub(crate) async fn answer(&self, id: &str) -> Vec<RecordedEvent> {
        let (centre, id) = (self.clone(), id.to_owned());
        let wait = move || {
            eventually("the store answers", DEADLINE, || {
                let mut events = centre.events();
                events.retain(|event| event.cause.as_ref().is_some_and(|it| it.as_str() == id));
                (!events.is_empty()).then_some(events)
            })
        };
        tokio::task::spawn_blocking(wait).await.unwrap()
    }
}

/// One ask for all lines of a reservation.
pub(crate) fn ask(reservation: &str, wanted: &[(&str, i64)]) -> ReserveStock {
    let lines = u32::try_from(wanted.len()).unwrap();
    let line = |(line, (sku, quantity)): (u32, &(&str, i64))| WantedLine {
        line,
        sku: sku.parse().unwrap(),
        quantity: *quantity,
        line_quantity: *quantity,
    };
    ReserveStock {
        reservation_id: reservation.parse().unwrap(),
        order_id: "order-1".parse().unwrap(),
        attempt: 1,
        lines,
        expires_at: in_seconds(3_600),
        binding: Binding::Any,
        wanted: (1..).zip(wanted).map(line).collect(),
    }
}

/// A moment from now.
pub(crate) fn in_seconds(seconds: i64) -> Timestamp {
    let now_ms = service_kit::clock::unix_millis();
    Timestamp::from_unix_millis(now_ms + seconds * 1_000).unwrap()
}

//! A centre that does nothing but tell stores what it has seen of their journals.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use event_log::{EventLog, Position};
use shared_events::command::JournalWitnessed;
use shared_events::wire::decode_heartbeat;
use shared_events::{Epoch, Heartbeat, Lineage, Sequence, StoreCommand};
use tokio_util::sync::CancellationToken;

use super::{Centre, Topic, topics};

/// Answers every store that opens its journal, until it is dropped.
pub(crate) struct Witness {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    /// Tells what lies on the topics.
    pub(crate) fn start(log: impl EventLog + 'static) -> Self {
        let log: Arc<dyn EventLog> = Arc::new(log);
        let (stop, centre) = (CancellationToken::new(), Centre::new(Arc::clone(&log)));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            log.ensure_topics(&[topics().heartbeats(), topics().stock_events()]).unwrap();
            let topic = topics().heartbeats();
            let next = log.extents(&topic).unwrap()[0].high;
            let at = Position { topic: topic.name, partition: 0, next };
            let mut subscriber = log.subscriber(&[at]).unwrap();
            while !stopped.is_cancelled() {
                let mut asked = false;
                let mut receive = |received: event_log::Received<'_>| {
                    asked |= decode_heartbeat(&received.record).unwrap().opening;
                };
                subscriber.poll(100, Duration::from_millis(20), &mut receive).unwrap();
                if asked {
                    let told = StoreCommand::JournalWitnessed(seen(log.as_ref()));
                    centre.send("witnessed", told);
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

/// What a centre knows that has read both topics to their ends: the newest heartbeat, hellos included, or
/// the newest event, whose heartbeat never came.
pub(crate) fn seen(log: &dyn EventLog) -> JournalWitnessed {
    let heartbeats = Topic::read(log, &topics().heartbeats()).heartbeats();
    let at = |heartbeat: &Heartbeat| (heartbeat.epoch, heartbeat.head);
    let newest =
        heartbeats.into_iter().reduce(|one, next| if at(&next) < at(&one) { one } else { next });
    let events = Topic::read(log, &topics().stock_events()).events();
    let beyond = events.iter().map(|event| (event.id.epoch, event.id.sequence)).max();
    let (epoch, head) = newest.as_ref().map_or((Epoch::ZERO, Sequence::ZERO), at);
    let lineage: Option<Lineage> = newest.as_ref().and_then(|newest| newest.lineage.clone());
    match beyond {
        Some((later, beyond)) if (later, beyond) > (epoch, head) => {
            let lineage = lineage.filter(|_| later == epoch);
            JournalWitnessed { epoch: later, head: beyond, head_hash: String::new(), lineage }
        }
        _ => {
            let head_hash = newest.map(|newest| newest.head_hash).unwrap_or_default();
            JournalWitnessed { epoch, head, head_hash, lineage }
        }
    }
}

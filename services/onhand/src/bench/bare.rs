//! The limit of a reservation: the same two hops over the broker and two commits, with nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use event_log::{EventLog, Position, Publication, Publisher, Subscriber};
use service_kit::sqlite::{self, Durability, Schema};
use shared_events::topic::TopicSpec;
use shared_events::wire::OutgoingRecord;
use tokio_util::sync::CancellationToken;

use super::figures::Durations;

const SCHEMA: Schema = Schema {
    application_id: 0x4f6e_6862,
    layouts: &["CREATE TABLE rows (id INTEGER PRIMARY KEY, data TEXT NOT NULL) STRICT;"],
};
/// What a command or an event weighs.
const RECORD: [u8; 400] = [b'x'; 400];
/// Trips before any counts: connections, caches.
const WARM_UP: usize = 20;

/// Round trips for so long: commit, hop, commit, hop, as a request to a store and its answer take.
pub(super) fn round_trips(
    log: &dyn EventLog,
    topic: &TopicSpec,
    folder: &Path,
    time: Duration,
) -> anyhow::Result<Durations> {
    log.ensure_topics(std::slice::from_ref(topic))?;
    let (mut there, mut back) = (Hop::open(log, topic)?, Hop::open(log, topic)?);
    let mut centre = Disk::open(&folder.join("bare-centre.db"))?;
    let mut store = Disk::open(&folder.join("bare-store.db"))?;
    let (mut trips, mut number) = (Vec::new(), 0);
    let mut until = Instant::now() + time;
    while Instant::now() < until {
        let started = Instant::now();
        centre.commit()?;
        there.take()?;
        store.commit()?;
        back.take()?;
        number += 1;
        if number > WARM_UP {
            trips.push(started.elapsed());
        } else {
            until = Instant::now() + time;
        }
    }
    Ok(Durations::new(trips))
}

/// One way over the broker.
struct Hop {
    publisher: Box<dyn Publisher>,
    subscriber: Box<dyn Subscriber>,
    publication: Publication,
}

impl Hop {
    /// A way of its own: a key that tells its records from those of the other one.
    fn open(log: &dyn EventLog, topic: &TopicSpec) -> anyhow::Result<Self> {
        let extents = log.extents(topic)?;
        let positions: Vec<Position> = extents
            .iter()
            .zip(0..)
            .map(|(extent, partition)| Position {
                topic: topic.name.clone(),
                partition,
                next: extent.high,
            })
            .collect();
        let key = format!("hop-{}", fastrand::u64(..)).into_bytes();
        let record = OutgoingRecord { key, headers: Vec::new(), value: Some(RECORD.to_vec()) };
        Ok(Self {
            publisher: log.publisher()?,
            subscriber: log.subscriber(&positions)?,
            publication: Publication { topic: topic.name.clone(), record },
        })
    }

    fn take(&mut self) -> anyhow::Result<()> {
        let sent = std::slice::from_ref(&self.publication);
        if let Some(error) = self.publisher.publish(sent, &CancellationToken::new()).error {
            return Err(error.into());
        }
        let key = self.publication.record.key.clone();
        let mut arrived = false;
        while !arrived {
            self.subscriber.poll(16, Duration::from_millis(100), &mut |received| {
                arrived |= received.record.key == Some(&key);
            })?;
        }
        Ok(())
    }
}

/// One database, written as the services write theirs.
struct Disk(rusqlite::Connection);

impl Disk {
    fn open(file: &Path) -> anyhow::Result<Self> {
        Ok(Self(sqlite::open(file, SCHEMA, Durability::EveryCommit)?))
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        let data = std::str::from_utf8(&RECORD).context("a record is text")?;
        self.0.execute("INSERT INTO rows (data) VALUES (?1)", [data])?;
        Ok(())
    }
}

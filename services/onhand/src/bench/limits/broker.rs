//! What the broker gives: one hop, and a bare drain of a topic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use event_log::{EventLog, Offset, Position, Publication, Publisher, Subscriber};
use hdrhistogram::Histogram;
use shared_events::topic::TopicSpec;
use shared_events::wire::OutgoingRecord;
use tokio_util::sync::CancellationToken;

use crate::bench::load::{count, histogram};

/// What a command or an event weighs, headers included.
const WEIGHT: usize = 400;
/// A record that does not come within this time does not come.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// One way over the broker, on a topic that nobody else writes to.
pub(in crate::bench) struct Hop {
    publisher: Box<dyn Publisher>,
    subscriber: Box<dyn Subscriber>,
    publication: Publication,
}

impl Hop {
    pub(in crate::bench) fn open(log: &dyn EventLog, topic: &TopicSpec) -> anyhow::Result<Self> {
        log.ensure_topics(std::slice::from_ref(topic))?;
        let at = Position { topic: topic.name.clone(), partition: 0, next: Offset(0) };
        let value = Some(vec![b'x'; WEIGHT]);
        let record = OutgoingRecord { key: b"bare".to_vec(), headers: Vec::new(), value };
        let mut hop = Self {
            publisher: log.publisher()?,
            subscriber: log.subscriber(&[at])?,
            publication: Publication { topic: topic.name.clone(), record },
        };
        // Connections, before anything counts.
        for _ in 0..20 {
            hop.take()?;
        }
        Ok(hop)
    }

    /// One record there.
    pub(in crate::bench) fn take(&mut self) -> anyhow::Result<()> {
        publish(self.publisher.as_mut(), std::slice::from_ref(&self.publication))?;
        let until = Instant::now() + LOST_AFTER;
        while self.subscriber.poll(1, Duration::from_millis(100), &mut |_| {})? == 0 {
            ensure!(Instant::now() < until, "a record does not come back from the broker");
        }
        Ok(())
    }

    /// As many as go for so long, in batches of every size there may be.
    pub(in crate::bench) fn many(mut self, time: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        for size in [1, 16, 128].into_iter().cycle() {
            let batch = vec![self.publication.clone(); size];
            publish(self.publisher.as_mut(), &batch)?;
            self.subscriber.poll(size, Duration::from_millis(1), &mut |_| {})?;
            if started.elapsed() > time {
                break;
            }
        }
        Ok(())
    }

    /// Records at so many a second for so long, each timed from the moment it was due.
    pub(in crate::bench) fn paced(
        self,
        per_second: f64,
        time: Duration,
    ) -> anyhow::Result<(Histogram<u64>, Self)> {
        let Self { mut publisher, mut subscriber, publication } = self;
        let started = Instant::now();
        let every = Duration::from_secs_f64(1.0 / per_second);
        let due = move |number: u32| started + every * number;
        let sending = std::thread::spawn(move || {
            let mut number = 0;
            while due(number) < started + time {
                std::thread::sleep(due(number).saturating_duration_since(Instant::now()));
                // What came due meanwhile goes with it.
                let mut batch = Vec::new();
                while due(number) <= Instant::now().min(started + time) {
                    batch.push(publication.clone());
                    number += 1;
                }
                publish(publisher.as_mut(), &batch)?;
            }
            anyhow::Ok((publisher, publication, number))
        });
        let (mut latencies, mut came, mut last) = (histogram(), 0_u32, Instant::now());
        let mut sent = None;
        let mut sending = Some(sending);
        while sent.as_ref().is_none_or(|(_, _, number)| came < *number) {
            if let Some(ended) = sending.take_if(|sending| sending.is_finished()) {
                sent = Some(ended.join().map_err(|_| anyhow!("the sender panicked"))??);
            }
            subscriber.poll(64, Duration::from_millis(20), &mut |_| {
                count(&mut latencies, Instant::now().saturating_duration_since(due(came)));
                (came, last) = (came + 1, Instant::now());
            })?;
            ensure!(last.elapsed() < LOST_AFTER, "records do not come back from the broker");
        }
        let (publisher, publication, _) = sent.context("everything was sent")?;
        Ok((latencies, Self { publisher, subscriber, publication }))
    }
}

fn publish(publisher: &mut dyn Publisher, batch: &[Publication]) -> anyhow::Result<()> {
    let published = publisher.publish(batch, &CancellationToken::new());
    published.error.map_or(Ok(()), |error| Err(error.into()))
}

/// Records a second when a topic is read from its beginning to its end, and nothing is done with them.
pub(in crate::bench) fn drain(log: &Arc<impl EventLog>, topic: &TopicSpec) -> anyhow::Result<f64> {
    let extents = log.extents(topic)?;
    let positions: Vec<Position> = (0..)
        .zip(&extents)
        .map(|(partition, extent)| Position {
            topic: topic.name.clone(),
            partition,
            next: extent.low,
        })
        .collect();
    let records: i64 = extents.iter().map(|extent| extent.high.0 - extent.low.0).sum();
    let started = Instant::now();
    let mut subscriber = log.subscriber(&positions)?;
    let (mut came, mut last) = (0_i64, Instant::now());
    while came < records {
        let polled = subscriber.poll(1_000, Duration::from_millis(100), &mut |_| {})?;
        came += i64::try_from(polled).context("count records")?;
        last = if polled > 0 { Instant::now() } else { last };
        ensure!(last.elapsed() < LOST_AFTER, "records do not come from the broker");
    }
    Ok(records as f64 / started.elapsed().as_secs_f64())
}

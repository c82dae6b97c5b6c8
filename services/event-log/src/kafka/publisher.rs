//! Ordered publishing with an exact account of what was acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{KafkaConfig, translate};
use crate::port::{Error, Publication, Published, Publisher};

/// How long the thread that takes reports waits at a time: it spins through the last millisecond.
const REPORTS_FOR: Duration = Duration::from_millis(500);
/// How often a wait for acknowledgements looks whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(50);
/// First rest while the client's queue is full; it doubles up to [`CANCEL_CHECK`].
const QUEUE_FULL_REST: Duration = Duration::from_millis(1);

/// A client that publishes, for one publisher or for many: each account is its own.
// Not `ThreadedProducer`: its thread polls for 100 ms at a time, and spins through the last of them.
pub(super) struct Producer {
    client: Arc<BaseProducer<Reports>>,
    /// Ends the thread that takes the reports.
    ended: Arc<AtomicBool>,
}

impl Producer {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, Error> {
        let client = config.producer().create_with_context(Reports);
        let client: BaseProducer<Reports> =
            client.map_err(|error| translate(&config.brokers, &error))?;
        let (client, ended) = (Arc::new(client), Arc::new(AtomicBool::new(false)));
        let producer = Self { client: Arc::clone(&client), ended: Arc::clone(&ended) };
        let reports = move || {
            while !ended.load(Ordering::Relaxed) {
                client.poll(REPORTS_FOR);
            }
        };
        let thread = std::thread::Builder::new().name("reports".to_owned()).spawn(reports);
        thread.map_err(|error| Error::Client(format!("start a thread: {error}")))?;
        Ok(producer)
    }

    /// Whether it publishes nothing any more, for nobody.
    pub(super) fn is_broken(&self) -> bool {
        self.client.client().fatal_error().is_some()
    }
}

impl Drop for Producer {
    /// What is left is not sent any more: the next producer begins behind what was acknowledged. The thread
    /// takes the reports of that, and the client goes with it.
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.client.purge(PurgeConfig::default().queue().inflight());
    }
}

/// Publishes in order, with a producer that may be others' as well.
pub(super) struct KafkaPublisher {
    pub(super) brokers: String,
    pub(super) producer: Arc<Producer>,
}

/// Takes delivery reports, on the producer's thread, to the batch they are about.
struct Reports;

/// The records of one call, until the last of them is reported or nobody waits any more.
#[derive(Default)]
struct Batch {
    account: Mutex<Account>,
    arrived: Condvar,
}

#[derive(Default)]
struct Account {
    /// One slot a record, by its place in the batch.
    done: Vec<bool>,
    /// Records acknowledged from the front without a hole.
    prefix: usize,
    failure: Option<KafkaError>,
}

/// Which record a report is about.
struct Place {
    batch: Arc<Batch>,
    index: usize,
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        // librdkafka goes on by itself; a fatal error also fails the delivery reports.
        warn!(%error, reason, "the broker client reports an error");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Place>;

    fn delivery(&self, result: &DeliveryResult<'_>, place: Box<Place>) {
        place.batch.report(place.index, result.as_ref().err().map(|(error, _)| error));
    }
}

impl Batch {
    fn of(records: usize) -> Arc<Self> {
        let account = Account { done: vec![false; records], ..Account::default() };
        Arc::new(Self { account: Mutex::new(account), arrived: Condvar::new() })
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, index: usize, failure: Option<&KafkaError>) {
        let mut account = self.account();
        match failure {
            None => {
                if let Some(slot) = account.done.get_mut(index) {
                    *slot = true;
                }
                while account.done.get(account.prefix) == Some(&true) {
                    account.prefix += 1;
                }
            }
            Some(error) => {
                account.failure.get_or_insert_with(|| error.clone());
            }
        }
        if account.failure.is_some() || account.prefix == account.done.len() {
            self.arrived.notify_one();
        }
    }

    fn wait(&self, brokers: &str, cancel: &CancellationToken) -> Published {
        let mut account = self.account();
        loop {
            if account.prefix == account.done.len() {
                return Published { acknowledged: account.prefix, error: None };
            }
            let error = match &account.failure {
                Some(failure) => Some(translate(brokers, failure)),
                None => cancel.is_cancelled().then_some(Error::Cancelled),
            };
            if error.is_some() {
                return Published { acknowledged: account.prefix, error };
            }
            account = self
                .arrived
                .wait_timeout(account, CANCEL_CHECK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl KafkaPublisher {
    /// Hands one record to librdkafka, waiting while its queue is full.
    fn enqueue(
        &self,
        batch: &Arc<Batch>,
        index: usize,
        publication: &Publication,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let record = &publication.record;
        let mut rest = QUEUE_FULL_REST;
        loop {
            let place = Box::new(Place { batch: Arc::clone(batch), index });
            let mut outgoing = BaseRecord::with_opaque_to(&publication.topic, place)
                .key(record.key.as_slice())
                .headers(headers(&record.headers));
            if let Some(value) = &record.value {
                outgoing = outgoing.payload(value.as_slice());
            }
            match self.producer.client.send(outgoing) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    if cancel.is_cancelled() {
                        return Err(Error::Cancelled);
                    }
                    std::thread::sleep(rest);
                    rest = (rest * 2).min(CANCEL_CHECK);
                }
                Err((error, _)) => return Err(translate(&self.brokers, &error)),
            }
        }
    }
}

impl Publisher for KafkaPublisher {
    fn publish(&mut self, records: &[Publication], cancel: &CancellationToken) -> Published {
        let batch = Batch::of(records.len());
        for (index, publication) in records.iter().enumerate() {
            if let Err(error) = self.enqueue(&batch, index, publication, cancel) {
                // What is on its way goes on; only what comes from here on was not sent.
                batch.account().done.truncate(index);
                let published = batch.wait(&self.brokers, cancel);
                return Published { error: published.error.or(Some(error)), ..published };
            }
        }
        batch.wait(&self.brokers, cancel)
    }
}

fn headers(headers: &[(String, Vec<u8>)]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (key, value)| {
        all.insert(Header { key, value: Some(value) })
    })
}

//! Ordered publishing with an exact account of what was acknowledged.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{KafkaConfig, translate};
use crate::port::{Error, Publication, Published, Publisher};

/// How often a wait for acknowledgements looks whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(50);

pub(super) struct KafkaPublisher {
    brokers: String,
    // Not `BaseProducer`: its `poll` runs to its deadline even when a report has come.
    producer: ThreadedProducer<Reports>,
}

/// Delivery reports of the current batch, filled by librdkafka's event thread.
#[derive(Default)]
struct Reports {
    batch: Mutex<Batch>,
    arrived: Condvar,
}

#[derive(Default)]
struct Batch {
    /// One slot a record, by its place in the batch.
    done: Vec<bool>,
    /// Records acknowledged from the front without a hole.
    prefix: usize,
    failure: Option<KafkaError>,
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        // librdkafka goes on by itself; a fatal error also fails the delivery reports.
        warn!(%error, reason, "the broker client reports an error");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => {
                if let Some(slot) = batch.done.get_mut(index) {
                    *slot = true;
                }
                while batch.done.get(batch.prefix) == Some(&true) {
                    batch.prefix += 1;
                }
            }
            Err((error, _)) => {
                batch.failure.get_or_insert_with(|| error.clone());
            }
        }
        if batch.failure.is_some() || batch.prefix == batch.done.len() {
            self.arrived.notify_one();
        }
    }
}

impl KafkaPublisher {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, Error> {
        let producer = config
            .producer()
            .create_with_context(Reports::default())
            .map_err(|error| translate(&config.brokers, &error))?;
        Ok(Self { brokers: config.brokers.clone(), producer })
    }

    fn reports(&self) -> &Reports {
        self.producer.client().context()
    }

    /// Hands one record to librdkafka, waiting while its queue is full.
    fn enqueue(
        &self,
        index: usize,
        publication: &Publication,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let record = &publication.record;
        loop {
            let mut outgoing = BaseRecord::with_opaque_to(&publication.topic, index)
                .key(record.key.as_slice())
                .headers(headers(&record.headers));
            if let Some(value) = &record.value {
                outgoing = outgoing.payload(value.as_slice());
            }
            match self.producer.send(outgoing) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    if cancel.is_cancelled() {
                        return Err(Error::Cancelled);
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(translate(&self.brokers, &error)),
            }
        }
    }

    fn wait(&self, cancel: &CancellationToken) -> Published {
        let reports = self.reports();
        let mut batch = reports.batch.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if batch.prefix == batch.done.len() {
                return Published { acknowledged: batch.prefix, error: None };
            }
            let error = match &batch.failure {
                Some(failure) => Some(translate(&self.brokers, failure)),
                None => cancel.is_cancelled().then_some(Error::Cancelled),
            };
            if error.is_some() {
                return Published { acknowledged: batch.prefix, error };
            }
            batch = reports
                .arrived
                .wait_timeout(batch, CANCEL_CHECK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Publisher for KafkaPublisher {
    fn publish(&mut self, records: &[Publication], cancel: &CancellationToken) -> Published {
        *self.reports().batch.lock().unwrap_or_else(PoisonError::into_inner) =
            Batch { done: vec![false; records.len()], ..Batch::default() };
        for (index, publication) in records.iter().enumerate() {
            if let Err(error) = self.enqueue(index, publication, cancel) {
                // What is on its way goes on; only what comes from here on was not sent.
                self.reports()
                    .batch
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .done
                    .truncate(index);
                let published = self.wait(cancel);
                return Published { error: published.error.or(Some(error)), ..published };
            }
        }
        self.wait(cancel)
    }
}

fn headers(headers: &[(String, Vec<u8>)]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (key, value)| {
        all.insert(Header { key, value: Some(value) })
    })
}

//! Reading assigned partitions from given offsets.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset as KafkaOffset, Timestamp, TopicPartitionList};
use shared_events::wire::IncomingRecord;
use tracing::{debug, warn};

use super::translate;
use crate::port::{Error, Offset, Position, Received, Subscriber};

/// How long the end of a partition is waited for.
pub(super) const END_WITHIN: Duration = Duration::from_secs(1);

pub(super) struct KafkaSubscriber {
    brokers: String,
    consumer: BaseConsumer,
}

impl KafkaSubscriber {
    pub(super) fn new(
        brokers: &str,
        config: &ClientConfig,
        positions: &[Position],
    ) -> Result<Self, Error> {
        let failed = |error: KafkaError| translate(brokers, &error);
        let consumer: BaseConsumer = config.create().map_err(failed)?;
        consumer.assign(&list(positions).map_err(failed)?).map_err(failed)?;
        Ok(Self { brokers: brokers.to_owned(), consumer })
    }
}

/// Positions as the client takes them.
pub(super) fn list(positions: &[Position]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for Position { topic, partition, next } in positions {
        list.add_partition_offset(topic, *partition, KafkaOffset::Offset(next.0))?;
    }
    Ok(list)
}

impl Subscriber for KafkaSubscriber {
    fn poll(
        &mut self,
        max_records: usize,
        timeout: Duration,
        receive: &mut dyn FnMut(Received<'_>),
    ) -> Result<usize, Error> {
        let taken = take(|wait| self.consumer.poll(wait), max_records, timeout, receive);
        taken.map_err(|error| translate(&self.brokers, &error))
    }

    fn end(&mut self, topic: &str, partition: i32) -> Result<Offset, Error> {
        let asked = self.consumer.fetch_watermarks(topic, partition, END_WITHIN);
        let (_, high) = asked.map_err(|error| translate(&self.brokers, &error))?;
        Ok(Offset(high))
    }
}

/// Takes what is there from a client's queue, waiting for the first.
pub(super) fn take<'a>(
    next: impl Fn(Duration) -> Option<KafkaResult<BorrowedMessage<'a>>>,
    max_records: usize,
    timeout: Duration,
    receive: &mut dyn FnMut(Received<'_>),
) -> KafkaResult<usize> {
    let mut count = 0;
    let mut wait = timeout;
    while count < max_records {
        match next(wait) {
            None => break,
            Some(Ok(message)) => {
                deliver(&message, receive);
                count += 1;
            }
            // A batch that does not match its checksum: the client goes on behind it. Its records
            // are missed and asked for, where stopping here would stop the partition for ever.
            Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::BadMessage))) => {
                warn!("the broker holds a corrupt batch; its records are skipped");
            }
            // An error must not hide the records that came before it.
            Some(Err(error)) if is_transient(&error) => {
                debug!(%error, "the broker is away; the client reconnects by itself");
                break;
            }
            Some(Err(error)) => return Err(error),
        }
        wait = Duration::ZERO;
    }
    Ok(count)
}

fn deliver(message: &BorrowedMessage<'_>, receive: &mut dyn FnMut(Received<'_>)) {
    // rdkafka panics on a header name that is not UTF-8. Whoever can write to the topic must not be
    // able to stop the reader: such a record is handed on without headers, and nobody can decode it.
    let headers = catch_unwind(AssertUnwindSafe(|| headers(message))).unwrap_or_else(|_panic| {
        warn!(
            topic = message.topic(),
            partition = message.partition(),
            offset = message.offset(),
            "the record has a header name that is not UTF-8"
        );
        Vec::new()
    });
    receive(Received {
        topic: message.topic(),
        partition: message.partition(),
        offset: Offset(message.offset()),
        appended_at_ms: match message.timestamp() {
            Timestamp::LogAppendTime(at) => Some(at),
            Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
        },
        record: IncomingRecord { key: message.key(), headers: &headers, value: message.payload() },
    });
}

fn headers<'a>(message: &'a BorrowedMessage<'_>) -> Vec<(&'a str, &'a [u8])> {
    message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect()
    })
}

/// Errors after which librdkafka goes on by itself.
const fn is_transient(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error,
        KafkaError::MessageConsumption(
            Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::LeaderNotAvailable
                | Code::NetworkException
                | Code::NotCoordinator
                | Code::NotLeaderForPartition
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::Resolve
        )
    )
}

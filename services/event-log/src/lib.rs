//! The broker port, and the only crate that names a Kafka client.
//!
//! [`EventLog`] is the port: create topics, publish in order, read from a position. [`KafkaLog`] is
//! the real thing; [`MockBroker`] runs librdkafka's in-process broker for it to talk to;
//! [`MemoryLog`] redelivers, delays and interleaves on purpose. One contract suite
//! (`tests/contract`) holds all three to the same promises, and [`KafkaLog::shared`] as well: clients that
//! many in one process share.
//!
//! The port blocks: its callers are threads of their own beside a blocking database.

mod ask;
mod kafka;
mod memory;
mod mock_broker;
mod murmur2;
mod port;
pub mod signature;
mod signed;
mod stalls;

pub use ask::ask;
pub use kafka::{KafkaConfig, KafkaLog, TopicStatus};
pub use memory::{Chaos, MemoryLog};
pub use mock_broker::MockBroker;
pub use murmur2::partition;
pub use port::{
    Error, EventLog, Extent, Offset, Position, Publication, Published, Publisher, Received,
    Subscriber,
};
pub use signature::RecordKey;
pub use signed::{RecordKeys, SignedLog, Speaker, Unverified};
pub use stalls::Stalls;

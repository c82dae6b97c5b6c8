//! The wire contract between stores and the centre, and nothing else.
//!
//! Reading order: [`ids`], [`position`] and [`lineage`] name things, [`event`], [`command`] and [`heartbeat`] are
//! what is said, [`reservation`] and [`rejection`] belong to both, [`ledger`] is what a centre tells of
//! its reservations, [`policy`] what the chain has decided, [`topic`] is where it is said, [`wire`] is
//! how it looks as a broker record (`CloudEvents` 1.0, Kafka binary mode). No broker, database or
//! runtime is known here.

pub mod command;
pub mod event;
pub mod heartbeat;
pub mod ids;
pub mod ledger;
pub mod lineage;
pub mod location;
pub mod policy;
pub mod position;
pub mod quantity;
pub mod rejection;
pub mod reservation;
pub mod text;
pub mod timestamp;
pub mod topic;
pub mod wire;

pub use command::{AdjustStock, OnShortfall, ReplaceStock, StockCommand, StoreCommand};
pub use event::{Levels, RecordedEvent, StockAdjusted, StockEvent, StockReplaced};
pub use heartbeat::Heartbeat;
pub use ids::{CentreId, CommandId, OrderId, ReservationId, Sku, StoreId, Subject};
pub use lineage::{InvalidLineage, Life, Lineage};
pub use location::Location;
pub use position::{Epoch, EventId, Sequence, Version};
pub use quantity::{Delta, MAX_UNITS, Quantity};
pub use rejection::Rejection;
pub use reservation::Allocation;
pub use text::Text;
pub use timestamp::Timestamp;

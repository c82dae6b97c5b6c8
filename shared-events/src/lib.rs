//! The wire contract between stores and the centre, and nothing else.
//!
//! Reading order: [`ids`] and [`position`] name things, [`event`], [`command`] and [`heartbeat`] are
//! what is said, [`topic`] is where it is said, [`wire`] is how it looks as a broker record
//! (`CloudEvents` 1.0, Kafka binary mode). No broker, database or runtime is known here.

pub mod command;
pub mod event;
pub mod heartbeat;
pub mod ids;
pub mod position;
pub mod quantity;
pub mod text;
pub mod timestamp;
pub mod topic;
pub mod wire;

pub use command::{AdjustStock, OnShortfall, ReplaceStock, StockCommand, StoreCommand};
pub use event::{RecordedEvent, StockAdjusted, StockEvent, StockReplaced};
pub use heartbeat::Heartbeat;
pub use ids::{CommandId, Sku, StoreId};
pub use position::{Epoch, EventId, Sequence, Version};
pub use quantity::{Delta, MAX_UNITS, Quantity};
pub use text::Text;
pub use timestamp::Timestamp;

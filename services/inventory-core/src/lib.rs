//! The rules of stock, apart from every disk, network, clock and thread.
//!
//! The store's rules: [`stock_item`] decides commands and evolves state, [`allocations`] is what it
//! keeps for customers. The centre's: [`saga`] is a reservation's life, [`sourcing`] chooses whom to
//! ask, [`availability`] is what may be promised, with [`safety_stock`] kept back, where [`selling`] is
//! on; [`sequence_tracker`] is how it knows that it has everything, [`freshness`] is what it may claim
//! about it, [`digest`] is how two sides compare a shelf, also when one is ahead ([`digest_trail`]),
//! [`witness`] how a journal learns that its end is missing. [`as_of`] is how both are asked about the past.
#![deny(clippy::wildcard_enum_match_arm, clippy::arithmetic_side_effects)]

pub mod allocations;
pub mod as_of;
pub mod availability;
pub mod digest;
pub mod digest_trail;
pub mod freshness;
pub mod safety_stock;
pub mod saga;
pub mod selling;
pub mod sequence_tracker;
pub mod sourcing;
pub mod stock_item;
pub mod witness;

pub use as_of::AsOf;
pub use availability::{StalenessBuffer, Terms, available};
pub use digest::Digest;
pub use digest_trail::DigestTrail;
pub use freshness::{Freshness, FreshnessBounds, Observed, Verdict};
pub use sequence_tracker::SequenceTracker;
pub use stock_item::{StockItem, decide, evolve};

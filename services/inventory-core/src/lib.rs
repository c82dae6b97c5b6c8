//! The rules of stock, apart from every disk, network, clock and thread.
//!
//! Reading order: [`stock_item`] decides commands and evolves state, [`allocations`] is what it keeps
//! for customers, [`availability`] is what may be promised, [`sequence_tracker`] is how the centre
//! knows that it has everything, [`freshness`] is what it may claim about it, [`digest`] is how two
//! sides compare a shelf.
#![deny(clippy::wildcard_enum_match_arm, clippy::arithmetic_side_effects)]

pub mod allocations;
pub mod availability;
pub mod digest;
pub mod freshness;
pub mod sequence_tracker;
pub mod stock_item;

pub use availability::available;
pub use digest::Digest;
pub use freshness::{Freshness, FreshnessBounds};
pub use sequence_tracker::SequenceTracker;
pub use stock_item::{StockItem, decide, evolve};

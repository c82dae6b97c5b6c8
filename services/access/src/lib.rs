//! Who asks, and what they may: the one place that decides it for stores and the centre.
//!
//! [`principal`] is what a request's token says of its sender.

pub mod principal;

pub use principal::{Principal, Scope, Stores};

//! What tests share: a real broker, waiting for conditions, names of their own. Never in a release.

mod broker;
mod folder;
pub mod otlp;
mod wait;

pub use broker::{AWAY, kafka, unique_prefix};
pub use folder::folder;
pub use wait::{eventually, eventually_async};

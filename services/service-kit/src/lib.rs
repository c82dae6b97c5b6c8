//! Process plumbing that stores and the centre share; it knows nothing about stock.
//!
//! [`problem`] is the one place that names HTTP statuses, [`extract`] reads requests strictly,
//! [`described`] is what all operations answer alike, [`http`] is what all routers answer alike, [`server`] serves one with bounds, [`health`] and [`metrics`] are what operators ask,
//! [`key_file`] reads secret keys, [`fingerprint`] names requests, [`answers`] keeps what operators' named requests got, [`sqlite`] opens databases with settings that keep promises, [`retry`] is the only user of the backoff crate, [`circuit_breaker`]
//! leaves out who does not answer, [`threads`] keeps a service whole, [`trace`] tells how work came to
//! be and where it led, [`telemetry`] and [`shutdown`] frame a process.

pub mod answers;
pub mod circuit_breaker;
pub mod clock;
pub mod described;
pub mod extract;
pub mod fingerprint;
pub mod folder;
pub mod health;
pub mod http;
pub mod key_file;
pub mod metrics;
pub mod problem;
pub mod retry;
pub mod server;
pub mod shutdown;
pub mod sqlite;
pub mod telemetry;
pub mod threads;
pub mod trace;
pub mod watched;

pub use problem::{ErrorCode, Problem};

//! The centre's view of all stores: built from their events, disposable, and honest about its age.
//!
//! ```text
//!  broker ──▶ intake ──Batch──▶ projector ──one txn──▶ database (SQLite): levels, trackers, positions
//!             decodes            one thread                 │
//!                                    │ after COMMIT         └─ outbox ──▶ outbound ──▶ broker:
//!                                    ▼                                    replay requests, dead letters
//!                                read model (memory) ◀── api ◀── HTTP
//! ```
//! Effect and position are committed together, so neither can be there without the other; delete the
//! database and all of it comes back from the topic. Reading order: [`intake`], [`projection`] (what a
//! batch does), [`projector`] (the thread that does it), [`read_model`], [`gaps`], [`outbound`],
//! [`api`], [`app`].

pub mod api;
pub mod app;
pub mod config;
pub mod database;
pub mod gaps;
pub mod intake;
pub mod metrics;
pub mod outbound;
pub mod projection;
pub mod projector;
pub mod read_model;
pub mod store;

pub use app::App;
pub use config::Config;

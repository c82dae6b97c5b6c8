//! The authority for one store's stock.
//!
//! ```text
//!  till, back office ──HTTP──▶ api ──▶ writer ──one txn──▶ journal (SQLite)
//!                               │        │ commit             │
//!                               ▼        ▼                    ▼
//!                             shelf ◀─ shelf, outbox ──▶ relay ──▶ broker: events, heartbeats
//!                                          ▲
//!                                 replay ──┘◀── commands ◀── broker: this store's commands
//! ```
//! Reading order: [`writer`] is the heart, [`journal`] is what it writes, [`shelf`] what everyone
//! reads, [`outbox`] and [`relay`] carry it away, [`commands`] listens to the centre, [`api`] is the
//! door, [`app`] puts it together.

pub mod api;
pub mod app;
pub mod commands;
pub mod config;
pub mod journal;
pub mod metrics;
pub mod outbox;
pub mod relay;
pub mod shelf;
pub mod writer;

pub use app::App;
pub use config::Config;

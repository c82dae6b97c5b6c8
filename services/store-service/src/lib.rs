//! The authority for one store's stock.
//!
//! ```text
//!  till, back office ──HTTP──▶ api ──▶ writer ──one txn──▶ journal (SQLite)
//!                               │        │ commit             │
//!                               ▼        ▼                    ▼
//!                             shelf ◀─ shelf, outbox ──▶ relay ──▶ broker: events, heartbeats
//!                                          ▲
//!                                 replay ──┤
//!                        writer ◀── ask ───┴── commands ◀── broker: this store's commands
//! ```
//! Reading order: [`opening`] makes sure that the journal is whole before it is written, [`writer`] is the heart, [`decisions`] what it decides, [`journal`] is what it writes, [`shelf`] what everyone
//! reads, [`outbox`] and [`relay`] carry it away, [`commands`]
//! listens to the centre, [`expiry`] lets go of what nobody fetched, [`api`] is the
//! door, [`app`] puts it together, [`several`] puts several behind one door.

pub mod api;
pub mod app;
mod clock;
pub mod commands;
pub mod config;
pub mod decisions;
pub mod expiry;
pub mod journal;
pub mod metrics;
pub mod opening;
pub mod outbox;
pub mod recovery;
pub mod relay;
pub mod several;
pub mod shelf;
pub mod standing;
pub mod writer;

pub use app::App;
pub use config::Config;
pub use several::Several;

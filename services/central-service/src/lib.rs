//! The centre's view of all stores: built from their events, disposable, and honest about its age.
//!
//! ```text
//!  broker ──▶ intake ──Batch──▶ projector ──one txn──▶ database (SQLite): levels, trackers, positions,
//!             decodes            one thread             │   commitments, reservations, history
//!                                  ▲ │ ledger           │
//!        api ───────Ask────────────┘ │                  └─ outbox ──▶ outbound ──▶ broker: commands,
//!         ▲                          ▼ after COMMIT         reservations, policies, dead letters
//!         └── HTTP ──────── read model (memory)
//! ```
//! Effect and position are committed together, so neither can be there without the other; delete the
//! database and what stores have confirmed comes back from the topics. Reading order: [`intake`],
//! [`admission`] and [`letters`] (what is let in, and what is not), [`projection`] (what a batch does), [`ledger`] (reservations), [`projector`] (the thread that does
//! both), [`resync`] (a store's whole journal against what is shown), [`read_model`] and [`commitments`]
//! (what queries see), [`history`] with [`feed`] (those who follow it) and [`past`] (how it stood),
//! [`gaps`], [`outbound`], [`api`], [`app`].

pub mod admission;
pub mod api;
pub mod app;
pub mod arrivals;
mod clock;
pub mod commitments;
pub mod config;
pub mod database;
mod effects;
pub mod feed;
pub mod gaps;
pub mod history;
pub mod intake;
pub mod ledger;
pub mod letters;
pub mod metrics;
pub mod outbound;
pub mod past;
pub mod projection;
pub mod projector;
pub mod read_model;
pub mod rebuild;
mod repairs;
pub mod resync;
pub mod store;
mod unsaved;
mod watch;

pub use app::App;
pub use config::Config;

//! Faults on purpose, on real processes and a real broker. Each drill prints what it did and saw; then
//! every promise is checked.
//!
//! `scripts/recovery-drills` runs them all.

mod bits;
mod central;
mod clocks;
mod cut;
mod drill;
mod frozen;
mod lives;
mod pages;
mod quiet;
mod topics;
mod watch;

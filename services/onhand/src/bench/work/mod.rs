//! What is measured, one kind of work a file.

pub(super) mod query;
pub(super) mod rebuild;
pub(super) mod reserve;
pub(super) mod scale;
pub(super) mod stream;
pub(super) mod visible;
pub(super) mod write;
mod year;

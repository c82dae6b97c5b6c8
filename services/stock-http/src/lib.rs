//! The HTTP contract that stores and the centre share: `replace` and `adjust`, their answers and
//! refusals, an item's history, a journal's lives, the headers both read alike, and how both do an operator's named request once. A caller may send one body to either.

pub mod answer;
pub mod command;
pub mod headers;
pub mod history;
pub mod lineage;
pub mod once;

pub use answer::{Accepted, rejected};
pub use command::{AdjustBody, ParsedCommand, ReplaceBody};
pub use history::ItemEvent;

//! The HTTP contract that stores and the centre share: `replace` and `adjust`, their answers and
//! refusals, an item's history, a journal's lives, and the headers both read alike. A caller may send one body to either.

pub mod answer;
pub mod command;
pub mod headers;
pub mod history;
pub mod lineage;

pub use answer::{Accepted, rejected};
pub use command::{AdjustBody, ParsedCommand, ReplaceBody};
pub use history::ItemEvent;

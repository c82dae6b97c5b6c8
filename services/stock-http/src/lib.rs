//! The HTTP contract that stores and the centre share: `replace` and `adjust`, their answers and
//! refusals, and the headers both read alike. A caller may send one body to either.

pub mod answer;
pub mod command;
pub mod headers;

pub use answer::{Accepted, rejected};
pub use command::{AdjustBody, ParsedCommand, ReplaceBody};

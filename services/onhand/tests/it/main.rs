//! Whole processes on a real broker: killed, restarted, cut off, and then held to every promise.

mod chain;
mod command_line;
mod faults;
mod load;
mod process;
mod quick_start;
mod topic_loss;

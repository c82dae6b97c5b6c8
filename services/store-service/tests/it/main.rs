//! The store as its callers, its disk and its broker see it: one binary, real SQLite, real HTTP.

#[cfg(test)]
mod away;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod bad_requests;
#[cfg(test)]
mod batch;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod heartbeat;
#[cfg(test)]
mod history;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod reservations;
#[cfg(test)]
mod restored;
#[cfg(test)]
mod segments;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod staff;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod support;
#[cfg(test)]
mod topic_commands;
#[cfg(test)]
mod unwitnessed;

//! The centre against a broker in memory and a real database.

#[cfg(test)]
mod as_of;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod convergence;
#[cfg(test)]
mod database;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod freshness;
#[cfg(test)]
mod gaps;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod lineage;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod lost_promises;
#[cfg(test)]
mod order;
#[cfg(test)]
mod outbound;
#[cfg(test)]
mod positions;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod resync;
#[cfg(test)]
mod selling;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod staleness;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sync;

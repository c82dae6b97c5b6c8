//! What customers, staff and the ledger go through together: real services, real databases, in one
//! process over a broker in memory.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod happy;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod shop;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod trouble;

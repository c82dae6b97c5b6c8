//! The saga of a reservation as its spec tells it: given what was asked and heard, when time passes or a
//! caller comes, then this goes out to stores and that is where it stands.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod breaks;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod rebuilt;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod shops;
#[cfg(test)]
mod sourcing;
#[cfg(test)]
mod support;
#[cfg(test)]
mod surprises;
#[cfg(test)]
mod then;
#[cfg(test)]
mod time;
#[cfg(test)]
mod together;
#[cfg(test)]
mod words;

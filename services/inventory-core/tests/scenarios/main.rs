//! The rules of stock as a merchandiser would tell them: given what happened, when this is asked
//! for, then that follows.

#[cfg(test)]
mod broken_promises;
#[cfg(test)]
mod levels;
#[cfg(test)]
mod reservations;
#[cfg(test)]
mod support;

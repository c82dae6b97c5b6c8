//! Tokens that a set of keys has verified, so that the next request need not pay for the signature again.
//!
//! It is part of the keys, and goes with them: what a key verified that is taken out is looked at anew. A
//! token counts here for as long as it says itself, and is known by a hash of all its bytes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::principal::{Principal, Stores};
use crate::tokens::LEEWAY_SECONDS;

/// Tokens of a generation. Two generations are kept, some 40 MiB at the most.
const MAX_TOKENS: usize = 16_384;
/// Who is bound to more stores is verified each time: it would take the room of hundreds.
const MAX_STORES: usize = 16;

/// A token's name: nothing can be told from it.
pub(crate) type Name = [u8; 32];

/// Tokens and whose they are. When the young are many they become the old ones, which are forgotten then
/// unless somebody used them.
#[derive(Debug, Default)]
pub(crate) struct Verified(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Name, Principal>,
    old: HashMap<Name, Principal>,
}

impl Verified {
    pub(crate) fn name(token: &str) -> Name {
        blake3::hash(token.as_bytes()).into()
    }

    /// Whose a token is, where it was verified and its time is not over.
    pub(crate) fn find(&self, name: &Name, now_seconds: u64) -> Option<Principal> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let principal = match generations.young.get(name) {
            Some(young) => young.clone(),
            None => {
                let old = generations.old.remove(name)?;
                generations.add(*name, old.clone());
                old
            }
        };
        let until = principal.until?.saturating_add(LEEWAY_SECONDS);
        (now_seconds <= until).then_some(principal)
    }

    /// Remembers a token that was verified, unless that takes much room.
    pub(crate) fn add(&self, name: Name, principal: Principal) {
        if matches!(&principal.stores, Stores::Only(stores) if stores.len() > MAX_STORES) {
            return;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(name, principal);
    }
}

impl Generations {
    fn add(&mut self, name: Name, principal: Principal) {
        if self.young.len() >= MAX_TOKENS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name, principal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(until: u64) -> Principal {
        Principal { until: Some(until), ..Principal::nobody() }
    }

    #[test]
    fn a_token_counts_until_its_time_is_over_by_any_clock_that_is_believed() {
        let verified = Verified::default();
        let name = Verified::name("token");
        assert_eq!(verified.find(&name, 0), None);
        verified.add(name, until(1_000));
        for (now, found) in [(0, true), (1_000, true), (1_030, true), (1_031, false)] {
            assert_eq!(verified.find(&name, now).is_some(), found, "{now}");
        }
        assert_eq!(verified.find(&Verified::name("token2"), 0), None);
    }

    #[test]
    fn who_is_bound_to_many_stores_is_not_kept() {
        let verified = Verified::default();
        for (stores, kept) in [(MAX_STORES, true), (MAX_STORES + 1, false)] {
            let bound = (0..stores).map(|number| format!("S{number}").parse().unwrap()).collect();
            let name = Verified::name(&stores.to_string());
            verified.add(name, Principal { stores: Stores::Only(bound), ..until(1_000) });
            assert_eq!(verified.find(&name, 0).is_some(), kept, "{stores} stores");
        }
    }

    #[test]
    fn no_more_are_kept_than_two_generations_and_those_in_use_stay() {
        let verified = Verified::default();
        let name = |number: usize| Verified::name(&number.to_string());
        let used = name(0);
        verified.add(used, until(1_000));
        for number in 1..5 * MAX_TOKENS {
            verified.add(name(number), until(1_000));
            if number % MAX_TOKENS == 0 {
                assert!(verified.find(&used, 0).is_some(), "it is used again and again");
            }
        }
        let generations = verified.0.lock().unwrap();
        let kept = generations.young.len() + generations.old.len();
        assert!(kept <= 2 * MAX_TOKENS, "{kept}");
        drop(generations);
        assert_eq!(verified.find(&name(1), 0), None);
    }
}

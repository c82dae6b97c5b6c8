//! A reservation's story: given what was asked and heard, when time passes or a caller comes, then these
//! commands go out and that is where it stands.

use std::collections::BTreeMap;

use inventory_core::saga::requests::{self, Illegal};
use inventory_core::saga::{self, Timing, Wish};
use shared_events::ledger::{Reservation, Shortfall, Transition};
use shared_events::reservation::WantedLine;
use shared_events::{RecordedEvent, Sku, StoreCommand, StoreId, Timestamp};

use crate::words::{Word, describe, says_so, transition_number};

/// As in production: three seconds to answer an ask, then twice that, and two minutes of grace on either
/// side of the store's clock.
pub(crate) const TIMING: Timing = Timing { step_ms: 3_000, resend_ms: 6_000, lapse_ms: 240_000 };
/// Milliseconds a reservation is kept.
pub(crate) const TTL: u64 = 900_000;

/// When everything begins.
pub(crate) fn noon() -> Timestamp {
    Timestamp::from_unix_millis(1_795_262_400_000).expect("in range")
}

pub(crate) fn sku(name: &str) -> Sku {
    name.parse().expect("valid")
}

pub(crate) fn store(name: &str) -> StoreId {
    name.parse().expect("valid")
}

/// A reservation with its clock, and what stores were told.
#[derive(Debug, Clone)]
pub(crate) struct Saga {
    pub(crate) it: Reservation,
    pub(crate) now: Timestamp,
    pub(crate) told: BTreeMap<u32, (StoreId, StoreCommand)>,
    /// What a ledger knew before it was lost.
    pub(crate) before: Option<Reservation>,
    /// Whether stores say only what a store can say.
    pub(crate) sane_stores: bool,
    pub(crate) sequence: u64,
}

/// Asked for by a caller who takes parts from several stores.
pub(crate) fn given(lines: &[(&str, i64)]) -> Saga {
    Saga::new(lines, true)
}

/// Asked for by a caller who wants everything from one store.
pub(crate) fn given_together(lines: &[(&str, i64)]) -> Saga {
    Saga::new(lines, false)
}

impl Saga {
    fn new(lines: &[(&str, i64)], allow_split: bool) -> Self {
        let wish = Wish {
            order_id: "web-1".parse().expect("valid"),
            lines: lines.iter().map(|(name, units)| (sku(name), *units)).collect(),
            store_id: None,
            near: None,
            allow_split,
            expires_at: noon().plus_millis(TTL),
            traceparent: None,
            owner: None,
        };
        Self::of(saga::begin("c1.r1".parse().expect("valid"), wish, noon()), noon())
    }

    pub(crate) fn of(it: Reservation, now: Timestamp) -> Self {
        Self { it, now, told: BTreeMap::new(), before: None, sane_stores: true, sequence: 0 }
    }

    /// The ledger is lost, a minute ago, and hears all this again.
    #[track_caller]
    pub(crate) fn lost(&self, events: &[RecordedEvent]) -> Self {
        let now = self.now.plus_millis(60_000);
        let first = events.first().expect("something is heard");
        let mut lost = Self::of(saga::rebuild(first, now).expect("about a reservation"), now);
        (lost.before, lost.sane_stores) = (Some(self.it.clone()), self.sane_stores);
        lost.sequence = events.iter().map(|event| event.id.sequence.get()).max().unwrap_or(0);
        for event in events {
            if let Some(answer) = saga::answer(&lost.it, event) {
                lost.apply(answer);
            }
        }
        lost
    }

    /// Applies a transition and checks what holds for every one: the record grows, a number is given
    /// once and in order, and a command is the same each time it is sent.
    #[track_caller]
    pub(crate) fn apply(&mut self, transition: Transition) {
        let (revision, again) =
            (self.it.revision, matches!(transition, Transition::SentAgain { .. }));
        let number = transition_number(&transition);
        saga::evolve(&mut self.it, transition.clone(), self.now);
        assert!(self.it.revision > revision, "each change is newer");
        let Some(number) = number else { return };
        let command = saga::command(&self.it, number).expect("a store is told something");
        if again && self.sane_stores {
            assert_eq!(self.told.get(&number), Some(&command), "a repeat is a repeat");
        } else if !again {
            assert!(says_so(&command, &transition), "{command:?} for {transition:?}");
            let last = self.told.keys().next_back().copied().unwrap_or_default();
            assert!(number > last, "command {number} came behind {last}");
            self.told.insert(number, command);
        }
    }

    /// A store is asked for units.
    #[track_caller]
    pub(crate) fn asked(mut self, name: &str, units: &[(&str, i64)]) -> Self {
        let wanted = units.iter().map(|(name, units)| self.wanted(name, *units)).collect();
        let ask = requests::ask(&self.it, store(name), wanted, self.now, &TIMING);
        self.apply(ask);
        self
    }

    pub(crate) fn wanted(&self, name: &str, quantity: i64) -> WantedLine {
        let line = self.it.lines.iter().find(|line| line.sku.as_str() == name);
        let line = line.expect("such a line");
        let (number, whole) = (line.line, line.quantity);
        WantedLine { line: number, sku: sku(name), quantity, line_quantity: whole }
    }

    /// The store says something that is news.
    #[track_caller]
    pub(crate) fn hears(mut self, word: Word) -> Self {
        self.sequence += 1;
        let event = word.recorded(self.before.as_ref().unwrap_or(&self.it), self.sequence);
        let answer = saga::answer(&self.it, &event).expect("that is news");
        self.apply(answer);
        assert_eq!(saga::answer(&self.it, &event), None, "and once only");
        self
    }

    /// The store says something that is known, or older than what is known.
    #[track_caller]
    pub(crate) fn ignores(self, word: Word) -> Self {
        let event = word.recorded(&self.it, self.sequence);
        assert_eq!(saga::answer(&self.it, &event), None);
        self
    }

    /// Time passes, and nobody looks.
    pub(crate) fn later(mut self, millis: u64) -> Self {
        self.now = self.now.plus_millis(millis);
        self
    }

    /// So many milliseconds after it began.
    pub(crate) fn at(mut self, millis: u64) -> Self {
        self.now = noon().plus_millis(millis);
        self
    }

    /// Time passes until something is to be done.
    #[track_caller]
    pub(crate) fn when_due(mut self) -> Self {
        let due = saga::due(&self.it, &TIMING).expect("something is to be done some day");
        assert!(due > self.now, "all that was due was done");
        self.now = due;
        self
    }

    /// Exactly this is to be done by now.
    #[track_caller]
    pub(crate) fn acts(mut self, expected: &[&str]) -> Self {
        assert_eq!(self.settle(), expected);
        self
    }

    /// Whatever is to be done by now.
    #[track_caller]
    pub(crate) fn does_what_is_due(mut self) -> Self {
        self.settle();
        self
    }

    /// Does what is to be done by now, and says what that was.
    #[track_caller]
    pub(crate) fn settle(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        let most = self.it.allocations.len() * 3 + 3;
        while let Some(transition) = saga::next(&self.it, self.now, &TIMING) {
            done.push(describe(&transition));
            assert!(done.len() <= most, "it never comes to rest: {done:?}");
            self.apply(transition);
        }
        done
    }

    /// Nothing is to be done.
    #[track_caller]
    pub(crate) fn rests(self) -> Self {
        self.acts(&[])
    }

    /// No store has the rest.
    #[track_caller]
    pub(crate) fn unsourced(mut self, name: &str, requested: i64, available: i64) -> Self {
        let line = self.wanted(name, requested).line;
        let lines = vec![Shortfall { line, sku: sku(name), requested, available }];
        let told = requests::unsourced(&self.it, lines).expect("it was not told yet");
        self.apply(told);
        self
    }

    /// The customer does not want it any more, and is heard.
    #[track_caller]
    pub(crate) fn cancelled(mut self) -> Self {
        let cancel = requests::cancel(&self.it, self.now).expect("allowed").expect("a change");
        self.apply(cancel);
        self
    }

    /// Cancelling changes nothing more.
    #[track_caller]
    pub(crate) fn cancelled_again(self) -> Self {
        assert_eq!(requests::cancel(&self.it, self.now), Ok(None));
        self
    }

    #[track_caller]
    pub(crate) fn cancel_refused(self, expected: Illegal) -> Self {
        assert_eq!(requests::cancel(&self.it, self.now), Err(expected));
        self
    }

    /// The customer takes what is named, or all; stores are told so.
    #[track_caller]
    pub(crate) fn fulfilled(mut self, names: &[&str], expected: &[&str]) -> Self {
        let skus: Vec<Sku> = names.iter().map(|name| sku(name)).collect();
        let told = requests::fulfil(&self.it, &skus, self.now, &TIMING).expect("allowed");
        assert_eq!(told.iter().map(describe).collect::<Vec<_>>(), expected);
        for transition in told {
            self.apply(transition);
        }
        self
    }

    #[track_caller]
    pub(crate) fn fulfil_refused(self, names: &[&str], expected: Illegal) -> Self {
        let skus: Vec<Sku> = names.iter().map(|name| sku(name)).collect();
        assert_eq!(requests::fulfil(&self.it, &skus, self.now, &TIMING), Err(expected));
        self
    }
}

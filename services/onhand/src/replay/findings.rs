//! What a comparison of centre, stores and file found.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::HumanCount;
use serde::Deserialize;
use shared_events::{Sku, StoreId};

use super::pairs::{Pair, Pairs};

/// Differences that are shown; more do not help to find the first cause.
const DIFFERENCES_SHOWN: usize = 20;

/// How a proof ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No difference.
    Proved,
    /// Differences, or nothing to compare.
    Refuted,
    /// Told to stop before the end.
    Stopped,
}

/// All items a service knows of a store.
pub(super) type Items = HashMap<Sku, Level>;

/// One item; one never seen counts as 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Level {
    pub(super) quantity: i64,
    pub(super) version: u64,
}

/// Counts of a comparison, and the first differences.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// All items were new when this run opened them, and it was not answered before: versions can be
    /// told in advance.
    versions_known: bool,
    items_new: bool,
    pairs: u64,
    unopened: u64,
    events_accepted: u64,
    events_at_centre: u64,
    differences: u64,
    shown: Vec<String>,
}

impl Findings {
    pub(super) fn new<'a>(mut pairs: impl Iterator<Item = &'a Pair> + Clone) -> Self {
        let first = |pair: &Pair| pair.opened.is_none_or(|opened| opened.version == 1);
        let items_new = pairs.clone().all(first);
        let repeated = pairs.any(|pair| pair.repeated);
        Self { items_new, versions_known: items_new && !repeated, ..Self::default() }
    }

    /// Compares the items of one store.
    pub(super) fn compare(&mut self, name: &StoreId, pairs: &Pairs, store: &Items, centre: &Items) {
        for (sku, pair) in pairs {
            let Some(expected) = pair.expected() else {
                self.unopened += 1;
                continue;
            };
            let level = |items: &Items| items.get(sku).copied().unwrap_or_default();
            let (at_store, at_centre) = (level(store), level(centre));
            self.pairs += 1;
            self.events_accepted += pair.events();
            self.events_at_centre += at_centre.version;
            if at_store != at_centre || at_store.quantity != expected || !self.fits(pair, at_store)
            {
                self.differ(name, sku, pair, at_store, at_centre);
            }
        }
    }

    const fn fits(&self, pair: &Pair, level: Level) -> bool {
        !self.versions_known || level.version == pair.events()
    }

    fn differ(&mut self, name: &StoreId, sku: &Sku, pair: &Pair, store: Level, centre: Level) {
        self.differences += 1;
        if self.shown.len() < DIFFERENCES_SHOWN {
            let expected = pair.expected().unwrap_or_default();
            let events = if self.versions_known {
                format!(" after {} events", pair.events())
            } else {
                String::new()
            };
            self.shown.push(format!(
                "  {name}/{sku}: expected {expected}{events}, the store has {} after {}, the centre {} \
                 after {}",
                store.quantity, store.version, centre.quantity, centre.version
            ));
        }
    }

    /// The verdict and its reasons.
    pub(super) fn verdict(self, waited: Duration, compared: Duration) -> (Verdict, Vec<String>) {
        let pairs = HumanCount(self.pairs);
        let mut lines = Vec::new();
        let verdict = if self.pairs == 0 {
            lines.push("not proved: no item was opened, so there is nothing to compare".to_owned());
            Verdict::Refuted
        } else if self.differences == 0 {
            lines.push(format!(
                "proved: {pairs} pairs: centre = store = opening \u{2212} sold; 0 differences"
            ));
            Verdict::Proved
        } else {
            lines.push(format!(
                "not proved: {} of {pairs} pairs differ; the first of them:",
                HumanCount(self.differences)
            ));
            lines.extend(self.shown.iter().cloned());
            Verdict::Refuted
        };
        lines.push(self.events());
        if self.unopened > 0 {
            let pairs = HumanCount(self.unopened);
            lines.push(format!("left out: {pairs} pairs, their opening was not accepted"));
        }
        lines.push(format!(
            "waited {waited:.1?} for the centre to catch up, compared in {compared:.1?}"
        ));
        (verdict, lines)
    }

    /// Levels that all end at 0 prove little; events tell that there was something to get wrong.
    fn events(&self) -> String {
        let at_centre = HumanCount(self.events_at_centre);
        let accepted = HumanCount(self.events_accepted);
        if self.events_at_centre == self.events_accepted {
            return format!(
                "events: the centre applied {at_centre} for them, all that were accepted"
            );
        }
        let why = if !self.items_new {
            "; not comparable: items had events before this run"
        } else if !self.versions_known {
            "; not comparable: this run was answered before, and others came since"
        } else {
            ""
        };
        format!("events: the centre applied {at_centre} for them, {accepted} were accepted{why}")
    }
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;

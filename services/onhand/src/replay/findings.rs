//! What a comparison of centre, stores and file found.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::HumanCount;
use serde::Deserialize;
use shared_events::{Sku, StoreId};

use super::pairs::Pairs;

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
    pairs: u64,
    unopened: u64,
    /// Events the items had before they were opened.
    events_before: u64,
    events_accepted: u64,
    /// Events of others behind those of a run that was answered before.
    events_since: u64,
    events_at_centre: u64,
    differences: u64,
    shown: Vec<String>,
}

impl Findings {
    /// Compares the items of one store.
    pub(super) fn compare(&mut self, name: &StoreId, pairs: &Pairs, store: &Items, centre: &Items) {
        for (sku, pair) in pairs {
            let (Some(expected), Some(opened)) = (pair.expected(), pair.opened) else {
                self.unopened += 1;
                continue;
            };
            let level = |items: &Items| items.get(sku).copied().unwrap_or_default();
            let (at_store, at_centre) = (level(store), level(centre));
            self.pairs += 1;
            self.events_before += opened.saturating_sub(1);
            self.events_accepted += pair.sales.saturating_add(1);
            self.events_at_centre += at_centre.version;
            // The levels alone would not tell a sale that was doubled and undone. Of a run that is
            // told again it is no wonder when others came since.
            let version = opened.saturating_add(pair.sales);
            let since = at_store.version.saturating_sub(version);
            if pair.repeated {
                self.events_since += since;
            }
            let accounted = at_store.version >= version && (since == 0 || pair.repeated);
            if at_store != at_centre || at_store.quantity != expected || !accounted {
                self.differences += 1;
                if self.shown.len() < DIFFERENCES_SHOWN {
                    self.shown.push(format!(
                        "  {name}/{sku}: expected {expected} after {version} events, the store has \
                         {} after {}, the centre {} after {}",
                        at_store.quantity, at_store.version, at_centre.quantity, at_centre.version
                    ));
                }
            }
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
        let [at_centre, before, accepted, since] =
            [self.events_at_centre, self.events_before, self.events_accepted, self.events_since]
                .map(HumanCount);
        let mut text = format!(
            "events: the centre applied {at_centre} for them; {before} were accepted before this \
             run, {accepted} in it"
        );
        if self.events_since > 0 {
            text.push_str(&format!(", {since} of others since"));
        }
        text
    }
}

#[cfg(test)]
mod tests;

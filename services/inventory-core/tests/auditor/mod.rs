//! An auditor who keeps the book of one item in plain sums and shares no code with the rules.

use shared_events::{
    AdjustStock, Delta, MAX_UNITS, OnShortfall, Quantity, Rejection, ReplaceStock, Sku,
    StockCommand, Text, Version,
};

mod visit;

pub(crate) use visit::{audit_ask, audit_change, leaves_the_shop};

/// A command as a caller would say it, `seen` relative to the true version.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The count, or the difference and what to do on a shortfall.
    pub(crate) change: Result<i64, (i64, OnShortfall)>,
    pub(crate) seen: Option<i64>,
    pub(crate) reason: Option<Text>,
}

impl Asked {
    pub(crate) fn command(&self, current: Version) -> StockCommand {
        let sku: Sku = "ABC-1".parse().expect("valid");
        let expected_version =
            self.seen.map(|off| Version::new(current.get().saturating_add_signed(off)));
        let (reason, reference) = (self.reason.clone(), self.reason.clone());
        match self.change {
            Ok(count) => StockCommand::Replace(ReplaceStock {
                sku,
                quantity: Quantity::new(count).expect("in bounds"),
                expected_version,
                reason,
                reference,
            }),
            Err((delta, on_shortfall)) => StockCommand::Adjust(AdjustStock {
                sku,
                delta: Delta::new(delta).expect("in bounds"),
                expected_version,
                on_shortfall,
                reason,
                reference,
            }),
        }
    }
}

/// The book of one item. Its numbers are wide enough to be added without care.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    pub(crate) shelf: i128,
    /// To whom so many units are promised, oldest first.
    pub(crate) promises: Vec<Promise>,
    pub(crate) changes: i128,
    pub(crate) walked_out: i128,
}

/// A number that names an ask, and its units.
pub(crate) type Promise = (u32, i128);

/// Why the auditor would refuse, as numbers.
#[derive(Debug, PartialEq)]
pub(crate) enum No {
    Version { seen: i128, now: i128 },
    Short { wanted: i128, free: i128, shelf: i128 },
    Full { shelf: i128, more: i128 },
}

impl Book {
    pub(crate) fn promised(&self) -> i128 {
        self.promises.iter().map(|(_, units)| units).sum()
    }

    pub(crate) fn free(&self) -> i128 {
        self.shelf - self.promised()
    }

    /// Does as asked, and says which promises had to give way.
    pub(crate) fn apply(&mut self, asked: &Asked) -> Result<Vec<Promise>, No> {
        let seen = asked.seen.map(|off| (self.changes + i128::from(off)).max(0));
        if seen.is_some_and(|seen| seen != self.changes) {
            return Err(No::Version { seen: seen.unwrap_or_default(), now: self.changes });
        }
        let free = self.free();
        let full = i128::from(MAX_UNITS);
        match asked.change {
            Ok(count) => self.shelf = count.into(),
            Err((delta, choice)) => {
                let after = self.shelf + i128::from(delta);
                let floor = match choice {
                    OnShortfall::Reject => self.shelf - free,
                    OnShortfall::BreakReservations => 0,
                    OnShortfall::RecordDiscrepancy => i128::MIN,
                };
                if after > full {
                    return Err(No::Full { shelf: self.shelf, more: delta.into() });
                }
                if delta < 0 && after < floor {
                    return Err(No::Short { wanted: -i128::from(delta), free, shelf: self.shelf });
                }
                self.walked_out += if after < 0 { -after } else { 0 };
                self.shelf = after.max(0);
            }
        }
        let given_way = self.serve_the_oldest();
        self.changes += 1 + i128::try_from(given_way.len()).expect("few");
        Ok(given_way)
    }

    /// Goes through the queue from its front as long as the shelf suffices for all so far; whoever
    /// stands behind is sent away, the last one first.
    fn serve_the_oldest(&mut self) -> Vec<Promise> {
        let mut left = self.shelf;
        let served = self.promises.iter().take_while(|(_, units)| {
            left -= units;
            left >= 0
        });
        let served = served.count();
        let mut sent_away = self.promises.split_off(served);
        sent_away.reverse();
        sent_away
    }

    pub(crate) fn keep(&mut self, promise: Promise) {
        self.promises.push(promise);
        self.changes += 1;
    }

    /// A promise ends, and its units leave the shop or stay.
    pub(crate) fn end(&mut self, name: u32, leaves: bool) {
        let at = self.promises.iter().position(|(kept, _)| *kept == name).expect("it is kept");
        let (_, units) = self.promises.remove(at);
        self.shelf -= if leaves { units } else { 0 };
        self.changes += 1;
    }
}

impl From<Rejection> for No {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::VersionConflict { expected, current } => {
                Self::Version { seen: expected.get().into(), now: current.get().into() }
            }
            Rejection::InsufficientStock { requested, available, on_hand } => Self::Short {
                wanted: requested.into(),
                free: available.into(),
                shelf: on_hand.into(),
            },
            Rejection::LevelOutOfRange { on_hand, delta } => {
                Self::Full { shelf: on_hand.into(), more: delta.into() }
            }
            Rejection::CommandIdReused => panic!("the rules know no command ids"),
        }
    }
}

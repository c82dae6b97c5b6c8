//! What the file says about each (store, SKU): the level to begin with, and what became of it.

use std::collections::BTreeMap;
use std::io::BufRead;

use csv::ByteRecord;
use shared_events::Sku;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::sale::Reader;
use super::source::Source;

/// The items of one store that the file mentions.
pub(super) type Pairs = BTreeMap<Sku, Pair>;

/// One item of one store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pair {
    /// Units that will be sold, hence the level to begin with.
    pub(super) opening: i64,
    /// The item's version when it was opened; `None` when that was not accepted.
    pub(super) opened: Option<u64>,
    /// Change of level by accepted lines, as the file has it.
    pub(super) net: i64,
    /// Accepted lines.
    pub(super) sales: u64,
    /// Whether an answer about it was a recorded one.
    pub(super) repeated: bool,
}

impl Pair {
    /// The level that must be left, if the item was opened by this run.
    pub(super) fn expected(&self) -> Option<i64> {
        self.opened.map(|_| self.opening.saturating_add(self.net))
    }
}

/// Sums per store and SKU what a file sells. Returns are no reason to begin with less: the sum stays
/// enough for any order of lines. `None` when told to stop.
///
/// # Errors
/// What the file system says.
pub(super) fn sum<R: BufRead>(
    mut source: Source<R>,
    reader: &Reader,
    stores: usize,
    progress: &Progress,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Vec<Pairs>>> {
    let mut pairs = vec![Pairs::new(); stores];
    let mut fields = ByteRecord::new();
    while let Some(line) = source.next(&mut fields)? {
        if progress.read(source.number(), source.bytes()) && stop.is_cancelled() {
            return Ok(None);
        }
        // Bad lines are told in the second pass; the header is one of them.
        if line.is_ok()
            && let Ok(reading) = reader.read(&fields)
            && reading.quantity != 0
            && let Some(pairs) = pairs.get_mut(reading.store)
        {
            let pair = pairs.entry(reading.sku).or_default();
            pair.opening = pair.opening.saturating_add(reading.quantity.max(0));
        }
    }
    Ok(Some(pairs))
}

#[cfg(test)]
mod tests {
    use super::super::sale::Layout;
    use super::*;

    #[test]
    fn the_opening_is_what_will_be_sold() {
        let text = "timestamp,storeId,sku,quantity\n\
            2026-11-21T09:30:00Z,A,x,3\n\
            2026-11-21T09:30:01Z,B,x,5\n\
            2026-11-21T09:30:02Z,A,x,-2\n\
            2026-11-21T09:30:03Z,A,x,4\n\
            2026-11-21T09:30:04Z,A,returned,-1\n\
            2026-11-21T09:30:05Z,A,nothing,0\n\
            2026-11-21T09:30:06Z,C,x,9\n\
            2026-11-21T09:30:07Z,A,x,nine\n";
        let header = ByteRecord::from(vec!["timestamp", "storeId", "sku", "quantity"]);
        let stores = ["A".parse().unwrap(), "B".parse().unwrap()];
        let reader = Reader::new(Layout::of(&header).unwrap(), stores.iter());
        let progress = Progress::new(0);
        let stop = CancellationToken::new();
        let source = Source::new(text.as_bytes());
        let pairs = sum(source, &reader, 2, &progress, &stop).unwrap().unwrap();
        let openings: Vec<Vec<_>> = pairs
            .iter()
            .map(|pairs| pairs.iter().map(|(sku, pair)| (sku.as_str(), pair.opening)).collect())
            .collect();
        assert_eq!(openings, [vec![("returned", 0), ("x", 7)], vec![("x", 5)]]);
    }
}

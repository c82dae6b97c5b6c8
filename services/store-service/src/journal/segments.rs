//! Where an item's events are: segments of the journal, each sorted by item.
//!
//! **Invariant:** a segment is added at once, by the transaction that appends its last event, so those that
//! are there have no hole and name exactly what the events are. What lies behind the last one is not sorted.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::{Range, RangeInclusive};

use rusqlite::{Connection, params};
use shared_events::{RecordedEvent, Sequence, Sku};

use super::read::{limit_of, signed};

/// Events of a segment: sorted within a millisecond, so that no sale waits for it.
pub(super) const SEGMENT: u64 = 1_024;
/// Made anew when the journal is opened, where it is missing.
pub(super) const TABLE: &str = "events_by_item";

/// Which of an item's events are meant.
pub(super) struct Wanted<'a> {
    pub(super) sku: &'a Sku,
    pub(super) sequences: RangeInclusive<u64>,
    /// In milliseconds of UTC, this one included.
    pub(super) until: i64,
}

/// Sorts the segment that ends with an event, if one does.
pub(super) fn appended(connection: &Connection, sequence: Sequence) -> rusqlite::Result<()> {
    let sequence = sequence.get();
    if sequence.is_multiple_of(SEGMENT) { add(connection, sequence / SEGMENT - 1) } else { Ok(()) }
}

/// Sorts what an older program left, or whoever emptied the table because it was damaged.
pub(super) fn catch_up(connection: &mut Connection, head: Sequence) -> rusqlite::Result<()> {
    let missing = sorted(connection)?..head.get() / SEGMENT;
    if missing.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for segment in missing {
        add(&transaction, segment)?;
    }
    transaction.commit()
}

fn add(connection: &Connection, segment: u64) -> rusqlite::Result<()> {
    let before = segment * SEGMENT;
    connection
        .prepare_cached(
            "INSERT INTO events_by_item SELECT ?1, sku, sequence, occurred_at FROM events
             WHERE sequence > ?2 AND sequence <= ?3 ORDER BY sku, sequence",
        )?
        .execute([segment, before, before + SEGMENT].map(signed))?;
    Ok(())
}

/// Segments that are sorted: all in front of this one.
fn sorted(connection: &Connection) -> rusqlite::Result<u64> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(segment) FROM events_by_item")?
        .query_row([], |row| row.get(0))?;
    Ok(last.map_or(0, |last| last.unsigned_abs() + 1))
}

/// The first events that are wanted, in order, at most so many.
pub(super) fn first(
    connection: &Connection,
    wanted: &Wanted<'_>,
    limit: usize,
) -> rusqlite::Result<Vec<Sequence>> {
    let sorted = sorted(connection)?;
    let parts = segments(wanted, sorted).map(Part::Segment).chain([Part::Behind(sorted)]);
    let mut found = Vec::new();
    for part in parts {
        let left = limit - found.len();
        if left == 0 {
            break;
        }
        found.extend(look(connection, part, wanted, "ASC", left)?);
    }
    Ok(found)
}

/// The last event that is wanted.
pub(super) fn last(
    connection: &Connection,
    wanted: &Wanted<'_>,
) -> rusqlite::Result<Option<Sequence>> {
    let sorted = sorted(connection)?;
    let older = segments(wanted, sorted).rev().map(Part::Segment);
    for part in [Part::Behind(sorted)].into_iter().chain(older) {
        let newest = look(connection, part, wanted, "DESC", 1)?.pop();
        if newest.is_some() {
            return Ok(newest);
        }
    }
    Ok(None)
}

/// The sorted segments in which what is wanted can be.
fn segments(wanted: &Wanted<'_>, sorted: u64) -> Range<u64> {
    let of = |sequence: u64| sequence.saturating_sub(1) / SEGMENT;
    of(*wanted.sequences.start())..sorted.min(of(*wanted.sequences.end()) + 1)
}

#[derive(Clone, Copy)]
enum Part {
    Segment(u64),
    /// What follows so many segments.
    Behind(u64),
}

fn look(
    connection: &Connection,
    part: Part,
    Wanted { sku, sequences, until }: &Wanted<'_>,
    order: &'static str,
    limit: usize,
) -> rusqlite::Result<Vec<Sequence>> {
    let (part, number) = match part {
        Part::Segment(segment) => ("events_by_item WHERE segment = ?1", segment),
        Part::Behind(segments) => ("events WHERE sequence > ?1", segments * SEGMENT),
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT sequence FROM {part}
         AND sku = ?2 AND sequence BETWEEN ?3 AND ?4 AND occurred_at <= ?5
         ORDER BY sequence {order} LIMIT ?6"
    ))?;
    let (from, through) = (signed(*sequences.start()), signed(*sequences.end()));
    statement
        .query_map(
            params![signed(number), sku.as_str(), from, through, until, limit_of(limit)],
            |row| Ok(Sequence::new(row.get::<_, i64>(0)?.unsigned_abs())),
        )?
        .collect()
}

/// What the events say that the segments must name, to hold the two against each other.
#[derive(Debug, Default)]
pub(super) struct Named(Vec<(u64, u64)>);

impl Named {
    /// Takes the next event.
    pub(super) fn take(&mut self, event: &RecordedEvent) {
        let sequence = event.id.sequence.get();
        let segment = sequence.saturating_sub(1) / SEGMENT;
        self.add(segment, event.sku.as_str(), sequence, event.occurred_at.unix_millis());
    }

    /// Adds to the sum of a segment, which is the same for each order of its rows.
    fn add(&mut self, segment: u64, sku: &str, sequence: u64, occurred_at: i64) {
        let mut hasher = DefaultHasher::new();
        (sku, sequence, occurred_at).hash(&mut hasher);
        let hash = hasher.finish();
        match self.0.last_mut() {
            Some((last, sum)) if *last == segment => *sum = sum.wrapping_add(hash),
            _ => self.0.push((segment, hash)),
        }
    }

    /// The first thing that is wrong with the segments, if these are the events up to `head`.
    pub(super) fn damage(
        mut self,
        connection: &Connection,
        head: Sequence,
    ) -> rusqlite::Result<Option<String>> {
        let mut sorted = Self::default();
        let mut statement = connection.prepare(
            "SELECT segment, sku, sequence, occurred_at FROM events_by_item ORDER BY segment",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (segment, sequence): (i64, i64) = (row.get(0)?, row.get(2)?);
            let sku = row.get_ref(1)?.as_str()?;
            sorted.add(segment.unsigned_abs(), sku, sequence.unsigned_abs(), row.get(3)?);
        }
        self.0.retain(|(segment, _)| *segment < head.get() / SEGMENT);
        let differs = |(at, sum): (usize, &(u64, u64))| self.0.get(at) != Some(sum);
        let wrong = sorted.0.iter().enumerate().find(|named| differs(*named));
        Ok(wrong
            .map(|(_, (segment, _))| format!("{TABLE} names other events in segment {segment}")))
    }
}

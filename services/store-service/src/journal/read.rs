//! Reading the journal: the walk at start, the relay's pages, an item's history.

use std::path::Path;

use event_log::Offset;
use inventory_core::{AsOf, StockItem, evolve};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use service_kit::sqlite;
use shared_events::{
    CommandId, Epoch, EventId, Lineage, RecordedEvent, Sequence, Sku, StockEvent, StoreId, Subject,
    Timestamp,
};

use super::chain::{ChainHash, ChainedRow};
use super::segments::{self, Wanted};
use super::{Error, Head, InboxPosition, SCHEMA, broken, unreadable};

/// Reads a journal beside its writer; sees what is committed.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    store: StoreId,
}

const COLUMNS: &str =
    "sequence, sku, type, data, occurred_at, traceparent, cause, epoch, principal";

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let connection = sqlite::open_read_only(path, SCHEMA)?;
        let store = state(&connection)?.store;
        Ok(Self { connection, store })
    }

    /// Events `from ..= through`, at most `limit`, in order.
    ///
    /// # Errors
    /// [`Error`].
    pub fn events(
        &self,
        from: Sequence,
        through: Sequence,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        between(&self.connection, &self.store, from, through, limit_of(limit))
    }

    /// The chain's hash at a sequence; `None` where the journal has no event of it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn hash_at(&self, sequence: Sequence) -> Result<Option<ChainHash>, Error> {
        hash_at(&self.connection, &self.store, sequence)
    }

    /// An item's events after a sequence and up to a point, at most `limit`, in order.
    ///
    /// # Errors
    /// [`Error`].
    pub fn history(
        &self,
        sku: &Sku,
        after: Sequence,
        as_of: Option<AsOf>,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error> {
        let last = self.last_sequence(sku, as_of)?;
        let sequences = after.next().get()..=last.get();
        let wanted = Wanted { sku, sequences, until: i64::MAX };
        let found = segments::first(&self.connection, &wanted, limit)?;
        found.into_iter().map(|sequence| event(&self.connection, &self.store, sequence)).collect()
    }

    /// An item's state at a point.
    ///
    /// # Errors
    /// [`Error`].
    pub fn item(&self, sku: &Sku, as_of: Option<AsOf>) -> Result<StockItem, Error> {
        let mut item = StockItem::default();
        let mut last = self.last_sequence(sku, as_of)?;
        while last > Sequence::ZERO {
            let recorded = event(&self.connection, &self.store, last)?;
            evolve(&mut item, &recorded.event);
            // Events carry absolute levels: the last one that has any says it all.
            if recorded.event.levels().is_some() {
                break;
            }
            let before = Sequence::new(last.get().saturating_sub(1));
            last = self.last_sequence(sku, Some(AsOf::Sequence(before)))?;
        }
        Ok(item)
    }

    /// When the first event after a sequence occurred, if there is one.
    ///
    /// # Errors
    /// [`Error`].
    pub fn occurred_after(&self, sequence: Sequence) -> Result<Option<Timestamp>, Error> {
        Ok(self.events(sequence.next(), Sequence::MAX, 1)?.first().map(|event| event.occurred_at))
    }

    /// Sequence of an item's last event at a point; 0 when it had none.
    fn last_sequence(&self, sku: &Sku, as_of: Option<AsOf>) -> Result<Sequence, Error> {
        let (through, until) = match as_of {
            None => (Sequence::MAX, i64::MAX),
            Some(AsOf::Sequence(sequence)) => (sequence, i64::MAX),
            Some(AsOf::Time(time)) => (Sequence::MAX, time.unix_millis()),
        };
        let wanted = Wanted { sku, sequences: 1..=through.get(), until };
        Ok(segments::last(&self.connection, &wanted)?.unwrap_or_default())
    }
}

/// Where reading the centre's commands goes on, when any were read.
pub(super) fn inbox(connection: &Connection) -> Result<Option<InboxPosition>, Error> {
    let position = connection
        .query_row("SELECT cluster_id, next FROM inbox", [], |row| {
            Ok(InboxPosition { cluster_id: row.get(0)?, next: Offset(row.get(1)?) })
        })
        .optional()?;
    Ok(position)
}

/// What a journal says of itself.
pub(super) struct State {
    pub(super) store: StoreId,
    pub(super) epoch: Epoch,
    /// Where the first event stands: behind this.
    pub(super) begins_behind: Sequence,
    /// What the broker had acknowledged when that was last saved.
    pub(super) published_through: Sequence,
    /// The folder it was last written in.
    pub(super) home: Option<String>,
}

pub(super) fn state(connection: &Connection) -> Result<State, Error> {
    let sql = "SELECT store_id, epoch, begins_behind, published_through, home FROM journal";
    let (store, epoch, begins_behind, published, home): (String, i64, i64, i64, _) = connection
        .query_row(sql, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
    let store = StoreId::parse(&store)
        .map_err(|error| broken(Sequence::ZERO, format!("its store: {error}")))?;
    Ok(State {
        store,
        epoch: Epoch::new(epoch.unsigned_abs()),
        begins_behind: Sequence::new(begins_behind.unsigned_abs()),
        published_through: Sequence::new(published.unsigned_abs()),
        home,
    })
}

/// The chain's hash at a sequence; where the journal begins, what its first event is built on.
pub(super) fn hash_at(
    connection: &Connection,
    store: &StoreId,
    sequence: Sequence,
) -> Result<Option<ChainHash>, Error> {
    let hash: Option<[u8; 32]> = connection
        .prepare_cached("SELECT hash FROM events WHERE sequence = ?1")?
        .query_row([signed(sequence.get())], |row| row.get(0))
        .optional()?;
    if hash.is_some() {
        return Ok(hash.map(ChainHash));
    }
    let begins: bool = connection
        .prepare_cached("SELECT begins_behind = ?1 FROM journal")?
        .query_row([signed(sequence.get())], |row| row.get(0))?;
    Ok((begins || sequence == Sequence::ZERO).then(|| ChainHash::genesis(store)))
}

/// Walks the whole chain, checking every link, and hands each event on.
pub(super) fn walk(
    connection: &Connection,
    state: &State,
    visit: &mut dyn FnMut(&RecordedEvent),
) -> Result<(Lineage, Head), Error> {
    let mut head = Head { sequence: state.begins_behind, hash: ChainHash::genesis(&state.store) };
    let mut lineage: Option<Lineage> = None;
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS}, hash FROM events ORDER BY sequence"))?;
    let mut rows = statement.query([])?;
    loop {
        let next = head.sequence.next();
        let unread = |error: rusqlite::Error| broken(next, error.to_string());
        let Some(row) = rows.next().map_err(unread)? else {
            break;
        };
        let raw = RawRow::read(row).map_err(unread)?;
        if raw.sequence != signed(next.get()) {
            return Err(broken(next, format!("missing; the journal goes on at {}", raw.sequence)));
        }
        let hash = head.hash.next(&raw.chained());
        let stored: [u8; 32] = row.get(9).map_err(unread)?;
        if hash.0 != stored {
            return Err(broken(next, "its hash does not cover what stands there"));
        }
        let epoch = Epoch::new(raw.epoch.unsigned_abs());
        let lineage = lineage.get_or_insert_with(|| Lineage::new(epoch, next));
        if epoch != lineage.current().epoch {
            let begun = lineage.begin(epoch, head.sequence);
            begun.map_err(|_invalid| broken(next, format!("epoch {epoch} is an earlier one")))?;
        }
        visit(&raw.decode(&state.store)?);
        head = Head { sequence: next, hash };
    }
    let first = || Lineage::new(state.epoch, state.begins_behind.next());
    let mut lineage = lineage.unwrap_or_else(first);
    if state.epoch != lineage.current().epoch {
        let begun = lineage.begin(state.epoch, head.sequence);
        begun.map_err(|_invalid| {
            broken(head.sequence, format!("epoch {} came before its events", state.epoch))
        })?;
    }
    Ok((lineage, head))
}

/// One event by its sequence.
pub(super) fn event(
    connection: &Connection,
    store: &StoreId,
    sequence: Sequence,
) -> Result<RecordedEvent, Error> {
    let found = between(connection, store, sequence, sequence, 1)?.pop();
    found.ok_or_else(|| broken(sequence, "missing"))
}

/// The events `first ..= last`.
pub(super) fn events(
    connection: &Connection,
    store: &StoreId,
    first: Sequence,
    last: Sequence,
) -> Result<Vec<RecordedEvent>, Error> {
    between(connection, store, first, last, i64::MAX)
}

fn between(
    connection: &Connection,
    store: &StoreId,
    first: Sequence,
    last: Sequence,
    limit: i64,
) -> Result<Vec<RecordedEvent>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM events WHERE sequence BETWEEN ?1 AND ?2 ORDER BY sequence LIMIT ?3"
    ))?;
    let rows = statement.query(params![signed(first.get()), signed(last.get()), limit])?;
    collect(rows, store)
}

fn collect(mut rows: rusqlite::Rows<'_>, store: &StoreId) -> Result<Vec<RecordedEvent>, Error> {
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(RawRow::read(row)?.decode(store)?);
    }
    Ok(events)
}

/// A row as SQLite holds it.
struct RawRow<'a> {
    sequence: i64,
    sku: &'a str,
    event_type: &'a str,
    data: &'a str,
    occurred_at: i64,
    traceparent: Option<&'a str>,
    cause: Option<&'a str>,
    epoch: i64,
    principal: Option<&'a str>,
}

impl<'a> RawRow<'a> {
    fn read(row: &'a Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            sequence: row.get(0)?,
            sku: row.get_ref(1)?.as_str()?,
            event_type: row.get_ref(2)?.as_str()?,
            data: row.get_ref(3)?.as_str()?,
            occurred_at: row.get(4)?,
            traceparent: row.get_ref(5)?.as_str_or_null()?,
            cause: row.get_ref(6)?.as_str_or_null()?,
            epoch: row.get(7)?,
            principal: row.get_ref(8)?.as_str_or_null()?,
        })
    }

    const fn chained(&self) -> ChainedRow<'a> {
        ChainedRow {
            epoch: self.epoch.unsigned_abs(),
            sequence: self.sequence.unsigned_abs(),
            occurred_at: self.occurred_at,
            sku: self.sku,
            event_type: self.event_type,
            data: self.data,
            traceparent: self.traceparent,
            cause: self.cause,
            principal: self.principal,
        }
    }

    fn decode(&self, store: &StoreId) -> Result<RecordedEvent, Error> {
        let sequence = Sequence::new(self.sequence.unsigned_abs());
        let invalid = |reason: String| broken(sequence, reason);
        Ok(RecordedEvent {
            id: EventId {
                store: store.clone(),
                epoch: Epoch::new(self.epoch.unsigned_abs()),
                sequence,
            },
            sku: Sku::parse(self.sku).map_err(|error| invalid(error.to_string()))?,
            occurred_at: Timestamp::from_unix_millis(self.occurred_at)
                .map_err(|error| invalid(error.to_string()))?,
            cause: self
                .cause
                .map(CommandId::parse)
                .transpose()
                .map_err(|error| invalid(error.to_string()))?,
            principal: self
                .principal
                .map(Subject::parse)
                .transpose()
                .map_err(|error| invalid(error.to_string()))?,
            traceparent: self.traceparent.map(str::to_owned),
            event: StockEvent::from_data(self.event_type, self.data.as_bytes())
                .map_err(|error| unreadable(sequence, &error))?,
        })
    }
}

/// Positions stay below 2⁵³, so they fit SQLite's signed integers.
pub(super) const fn signed(position: u64) -> i64 {
    position.cast_signed()
}

pub(super) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

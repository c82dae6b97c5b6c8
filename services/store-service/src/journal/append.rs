//! One transaction of the writer: events, the commands they answer, and the relay's cursor.

use rusqlite::{Transaction, TransactionBehavior, params};
use shared_events::{
    CommandId, EventId, RecordedEvent, Rejection, Sequence, Sku, StockEvent, Subject, Timestamp,
};

use super::chain::ChainedRow;
use super::read::{self, signed};
use super::{Error, Head, InboxPosition, Journal, segments};

/// How long the name of a command is remembered, in milliseconds: 30 days.
const REMEMBERED_MS: i64 = 30 * DAY_MS;
/// The same while there are very many: a day, which no repeat should need.
const REMEMBERED_MANY_MS: i64 = DAY_MS;
const MANY_NAMES: u64 = 5_000_000;
const DAY_MS: i64 = 86_400_000;

/// An event on its way into the journal.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The item.
    pub sku: Sku,
    /// What happened to it.
    pub event: StockEvent,
    /// The writer's clock.
    pub occurred_at: Timestamp,
    /// The command it answers.
    pub cause: Option<CommandId>,
    /// Who asked.
    pub principal: Option<Subject>,
    /// The request's trace.
    pub traceparent: Option<String>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It led to these events, in order. A command about reservations may find nothing left to do.
    Accepted(Vec<RecordedEvent>),
    /// It was refused.
    Rejected(Rejection),
}

/// A command that was answered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCommand {
    /// Fingerprint of the body it came with; not known of one that was read back from its events.
    pub fingerprint: Option<[u8; 16]>,
    /// The answer it got.
    pub verdict: Verdict,
}

/// An open transaction. Dropping it undoes everything.
#[derive(Debug)]
pub struct Append<'j> {
    pub(super) transaction: Transaction<'j>,
    identity: &'j super::Identity,
    pub(super) head: Head,
    committed_head: &'j mut Head,
    published_through: &'j mut Sequence,
    new_published_through: Option<Sequence>,
    names: &'j mut u64,
    names_added: u64,
    names_forgotten: u64,
}

impl<'j> Append<'j> {
    pub(super) fn begin(journal: &'j mut Journal) -> Result<Self, Error> {
        let transaction =
            journal.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Self {
            transaction,
            identity: &journal.identity,
            head: journal.head,
            committed_head: &mut journal.head,
            published_through: &mut journal.published_through,
            new_published_through: None,
            names: &mut journal.names,
            names_added: 0,
            names_forgotten: 0,
        })
    }

    /// The answer a command got before, this transaction included.
    ///
    /// # Errors
    /// [`Error`].
    pub fn recorded(&self, name: &str) -> Result<Option<RecordedCommand>, Error> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT fingerprint, sequence, events, rejection FROM commands WHERE command_id = ?1",
        )?;
        let mut rows = statement.query([name])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let fingerprint = <[u8; 16]>::try_from(row.get::<_, Vec<u8>>(0)?.as_slice()).ok();
        let rejection: Option<String> = row.get(3)?;
        let verdict = if let Some(rejection) = rejection {
            Verdict::Rejected(read_rejection(&rejection)?)
        } else {
            let (last, events): (i64, i64) = (row.get(1)?, row.get(2)?);
            let last = last.unsigned_abs();
            let first = last.saturating_sub(events.unsigned_abs()).saturating_add(1);
            let (first, last) = (Sequence::new(first), Sequence::new(last));
            Verdict::Accepted(read::events(&self.transaction, &self.identity.store, first, last)?)
        };
        Ok(Some(RecordedCommand { fingerprint, verdict }))
    }

    /// Appends an event at the end of the chain.
    ///
    /// # Errors
    /// [`Error`].
    pub fn event(&mut self, new: NewEvent) -> Result<RecordedEvent, Error> {
        let sequence = self.head.sequence.next();
        let (store, epoch) = (self.identity.store.clone(), self.identity.epoch());
        let recorded = RecordedEvent {
            id: EventId { store, epoch, sequence },
            sku: new.sku,
            occurred_at: new.occurred_at,
            cause: new.cause,
            principal: new.principal,
            traceparent: new.traceparent,
            event: new.event,
        };
        self.link(&recorded)?;
        Ok(recorded)
    }

    /// Links an event to the end of the chain.
    pub(super) fn link(&mut self, recorded: &RecordedEvent) -> Result<(), Error> {
        let EventId { epoch, sequence, .. } = recorded.id;
        let data = recorded.event.to_data();
        let cause = recorded.cause.as_ref().map(CommandId::as_str);
        let principal = recorded.principal.as_ref().map(Subject::as_str);
        let hash = self.head.hash.next(&ChainedRow {
            epoch: epoch.get(),
            sequence: sequence.get(),
            occurred_at: recorded.occurred_at.unix_millis(),
            sku: recorded.sku.as_str(),
            event_type: recorded.event.event_type(),
            data: &data,
            traceparent: recorded.traceparent.as_deref(),
            cause,
            principal,
        });
        self.transaction
            .prepare_cached(
                "INSERT INTO events
                 (sequence, sku, type, data, occurred_at, traceparent, cause, principal, epoch, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                signed(sequence.get()),
                recorded.sku.as_str(),
                recorded.event.event_type(),
                data,
                recorded.occurred_at.unix_millis(),
                recorded.traceparent,
                cause,
                principal,
                signed(epoch.get()),
                hash.0,
            ])?;
        segments::appended(&self.transaction, sequence)?;
        self.head = Head { sequence, hash };
        Ok(())
    }

    /// Remembers the answer to a command; for ever without the time it was given. One that found nothing
    /// to do has none: it may be asked again.
    ///
    /// # Errors
    /// [`Error`].
    pub fn command(
        &mut self,
        name: &str,
        fingerprint: [u8; 16],
        verdict: &Verdict,
        answered_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        let (last, events, rejection) = match verdict {
            Verdict::Accepted(events) => match events.last() {
                Some(last) => (Some(signed(last.id.sequence.get())), events.len(), None),
                None => return Ok(()),
            },
            Verdict::Rejected(rejection) => (None, 1, Some(write_rejection(rejection))),
        };
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        self.transaction
            .prepare_cached(
                "INSERT INTO commands
                 (command_id, fingerprint, sequence, events, rejection, answered_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                name,
                fingerprint,
                last,
                events,
                rejection,
                answered_at.map(Timestamp::unix_millis)
            ])?;
        self.names_added += 1;
        Ok(())
    }

    /// Forgets names of commands that are old enough by now, the oldest first and at most so many. Their
    /// events stay.
    ///
    /// # Errors
    /// [`Error`].
    pub fn forget(&mut self, now: Timestamp, most: usize) -> Result<(), Error> {
        let for_ms = if *self.names > MANY_NAMES { REMEMBERED_MANY_MS } else { REMEMBERED_MS };
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let forgotten = self
            .transaction
            .prepare_cached(
                "DELETE FROM commands WHERE command_id IN (
                    SELECT command_id FROM commands WHERE answered_at < ?1
                    ORDER BY answered_at LIMIT ?2)",
            )?
            .execute(params![now.unix_millis().saturating_sub(for_ms), most])?;
        self.names_forgotten = u64::try_from(forgotten).unwrap_or_default();
        Ok(())
    }

    /// Saves where reading the centre's commands goes on.
    ///
    /// # Errors
    /// [`Error`].
    pub fn inbox(&self, position: &InboxPosition) -> Result<(), Error> {
        self.transaction
            .prepare_cached(
                "INSERT INTO inbox (id, cluster_id, next) VALUES (1, ?1, ?2)
                 ON CONFLICT DO UPDATE SET cluster_id = excluded.cluster_id, next = excluded.next",
            )?
            .execute(params![position.cluster_id, position.next.0])?;
        Ok(())
    }

    /// Saves how far the relay came, when that changed.
    ///
    /// # Errors
    /// [`Error`].
    pub fn published_through(&mut self, sequence: Sequence) -> Result<(), Error> {
        if sequence != *self.published_through {
            self.save_cursor(sequence)?;
            self.new_published_through = Some(sequence);
        }
        Ok(())
    }

    /// Makes sure that the commit has to write something, which tells whether the disk has room.
    ///
    /// # Errors
    /// [`Error`].
    pub fn probe(&mut self) -> Result<(), Error> {
        let sequence = self.new_published_through.unwrap_or(*self.published_through);
        // There and back: SQLite does not write what stands there already.
        self.save_cursor(sequence.next())?;
        self.save_cursor(sequence)
    }

    fn save_cursor(&self, sequence: Sequence) -> Result<(), Error> {
        self.transaction
            .prepare_cached("UPDATE journal SET published_through = ?1")?
            .execute([signed(sequence.get())])?;
        Ok(())
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// [`Error::Full`]: nothing was written. [`Error::Sqlite`]: unknown whether it was; the process
    /// must end and read the journal anew.
    pub fn commit(self) -> Result<Head, Error> {
        self.transaction.commit()?;
        *self.committed_head = self.head;
        *self.names = (*self.names + self.names_added).saturating_sub(self.names_forgotten);
        if let Some(sequence) = self.new_published_through {
            *self.published_through = sequence;
        }
        Ok(self.head)
    }
}

pub(super) fn write_rejection(rejection: &Rejection) -> String {
    serde_json::to_string(rejection).expect("integers always serialise")
}

fn read_rejection(text: &str) -> Result<Rejection, Error> {
    serde_json::from_str(text)
        .map_err(|error| Error::Sqlite(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))
}

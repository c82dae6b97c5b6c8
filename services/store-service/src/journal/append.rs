//! One transaction of the writer: events, the commands they answer, and the relay's cursor.

use inventory_core::Rejection;
use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use shared_events::{
    CommandId, EventId, RecordedEvent, Sequence, Sku, StockEvent, Timestamp, Version,
};

use super::chain::ChainedRow;
use super::read::{self, signed};
use super::{Error, Head, Journal};

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
    /// The request's trace.
    pub traceparent: Option<String>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It led to this event.
    Accepted(Box<RecordedEvent>),
    /// It was refused.
    Rejected(Rejection),
}

/// A command that was answered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCommand {
    /// Fingerprint of the body it came with.
    pub fingerprint: [u8; 16],
    /// The answer it got.
    pub verdict: Verdict,
}

/// An open transaction. Dropping it undoes everything.
#[derive(Debug)]
pub struct Append<'j> {
    transaction: Transaction<'j>,
    identity: &'j super::Identity,
    head: Head,
    committed_head: &'j mut Head,
    published_through: &'j mut Sequence,
    new_published_through: Option<Sequence>,
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
        })
    }

    /// The answer a command got before, this transaction included.
    ///
    /// # Errors
    /// [`Error`].
    pub fn recorded(&self, id: &CommandId) -> Result<Option<RecordedCommand>, Error> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT fingerprint, sequence, rejection FROM commands WHERE command_id = ?1",
        )?;
        let row: Option<([u8; 16], Option<i64>, Option<String>)> = statement
            .query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((fingerprint, sequence, rejection)) = row else {
            return Ok(None);
        };
        let verdict = match (sequence, rejection) {
            (Some(sequence), _) => Verdict::Accepted(Box::new(read::event(
                &self.transaction,
                self.identity,
                Sequence::new(sequence.unsigned_abs()),
            )?)),
            (None, Some(rejection)) => Verdict::Rejected(read_rejection(&rejection)?),
            (None, None) => return Ok(None),
        };
        Ok(Some(RecordedCommand { fingerprint, verdict }))
    }

    /// Appends an event at the end of the chain.
    ///
    /// # Errors
    /// [`Error`].
    pub fn event(&mut self, new: NewEvent) -> Result<RecordedEvent, Error> {
        let sequence = self.head.sequence.next();
        let data = new.event.to_data();
        let hash = self.head.hash.next(&ChainedRow {
            epoch: self.identity.epoch.get(),
            sequence: sequence.get(),
            occurred_at: new.occurred_at.unix_millis(),
            sku: new.sku.as_str(),
            event_type: new.event.event_type(),
            data: &data,
            traceparent: new.traceparent.as_deref(),
            cause: new.cause.as_ref().map(CommandId::as_str),
        });
        self.transaction
            .prepare_cached(
                "INSERT INTO events
                 (sequence, sku, type, data, occurred_at, traceparent, cause, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                signed(sequence.get()),
                new.sku.as_str(),
                new.event.event_type(),
                data,
                new.occurred_at.unix_millis(),
                new.traceparent,
                new.cause.as_ref().map(CommandId::as_str),
                hash.0,
            ])?;
        self.head = Head { sequence, hash };
        let (store, epoch) = (self.identity.store.clone(), self.identity.epoch);
        Ok(RecordedEvent {
            id: EventId { store, epoch, sequence },
            sku: new.sku,
            occurred_at: new.occurred_at,
            cause: new.cause,
            traceparent: new.traceparent,
            event: new.event,
        })
    }

    /// Remembers the answer to a command.
    ///
    /// # Errors
    /// [`Error`].
    pub fn command(
        &mut self,
        id: &CommandId,
        fingerprint: [u8; 16],
        verdict: &Verdict,
    ) -> Result<(), Error> {
        let (sequence, rejection) = match verdict {
            Verdict::Accepted(event) => (Some(signed(event.id.sequence.get())), None),
            Verdict::Rejected(rejection) => (None, Some(write_rejection(rejection))),
        };
        self.transaction
            .prepare_cached(
                "INSERT INTO commands (command_id, fingerprint, sequence, rejection)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![id.as_str(), fingerprint, sequence, rejection])?;
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
        if let Some(sequence) = self.new_published_through {
            *self.published_through = sequence;
        }
        Ok(self.head)
    }
}

/// A rejection as it stands in the journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum StoredRejection {
    InsufficientStock { requested: i64, available: i64, on_hand: i64 },
    VersionConflict { expected: Version, current: Version },
    LevelOutOfRange { on_hand: i64, delta: i64 },
}

fn write_rejection(rejection: &Rejection) -> String {
    let stored = match *rejection {
        Rejection::InsufficientStock { requested, available, on_hand } => {
            StoredRejection::InsufficientStock { requested, available, on_hand }
        }
        Rejection::VersionConflict { expected, current } => {
            StoredRejection::VersionConflict { expected, current }
        }
        Rejection::LevelOutOfRange { on_hand, delta } => {
            StoredRejection::LevelOutOfRange { on_hand, delta }
        }
    };
    serde_json::to_string(&stored).expect("integers always serialise")
}

fn read_rejection(text: &str) -> Result<Rejection, Error> {
    let stored = serde_json::from_str(text)
        .map_err(|error| Error::Sqlite(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
    Ok(match stored {
        StoredRejection::InsufficientStock { requested, available, on_hand } => {
            Rejection::InsufficientStock { requested, available, on_hand }
        }
        StoredRejection::VersionConflict { expected, current } => {
            Rejection::VersionConflict { expected, current }
        }
        StoredRejection::LevelOutOfRange { on_hand, delta } => {
            Rejection::LevelOutOfRange { on_hand, delta }
        }
    })
}

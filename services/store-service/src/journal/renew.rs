//! A journal's new life, and events that come back to it.

use rusqlite::params;
use shared_events::{
    CommandId, Epoch, EventId, Lineage, RecordedEvent, Rejection, Sequence, StockEvent,
    reservation::StockCommandRefused,
};

use super::append::write_rejection;
use super::read::signed;
use super::{Append, Error, Journal, broken};
use crate::decisions::saga_name;

impl Journal {
    /// Begins a life behind the newest event, and notes the folder it is lived in. Durable when it
    /// returns.
    ///
    /// # Errors
    /// [`Error::Broken`] when the epoch is not a new one; else [`Error::Sqlite`] or [`Error::Full`].
    pub fn begin_life(&mut self, epoch: Epoch) -> Result<(), Error> {
        let mut lineage = self.identity.lineage.clone();
        let head = self.head.sequence;
        lineage
            .begin(epoch, head)
            .map_err(|_invalid| broken(head, format!("epoch {epoch} is not a new one")))?;
        self.connection.execute(
            "UPDATE journal SET epoch = ?1, home = ?2",
            params![signed(epoch.get()), self.lock.name()],
        )?;
        self.identity.lineage = lineage;
        self.moved = false;
        Ok(())
    }

    /// Notes that the life goes on in this folder.
    ///
    /// # Errors
    /// [`Error::Sqlite`] or [`Error::Full`].
    pub fn go_on(&mut self) -> Result<(), Error> {
        if self.moved {
            self.connection.execute("UPDATE journal SET home = ?1", [self.lock.name()])?;
            self.moved = false;
        }
        Ok(())
    }

    /// Starts the first transaction of an empty journal, which begins behind a sequence with it: what lies
    /// before is in no journal any more.
    ///
    /// # Errors
    /// [`Error::Broken`] when there are events already; else [`Error::Sqlite`] or [`Error::Full`].
    pub fn begin_behind(&mut self, sequence: Sequence) -> Result<Append<'_>, Error> {
        if self.head.sequence > Sequence::ZERO {
            return Err(broken(self.head.sequence, "only an empty journal can begin later"));
        }
        self.identity.lineage = Lineage::new(self.identity.epoch(), sequence.next());
        let mut append = self.append()?;
        let sql = "UPDATE journal SET begins_behind = ?1";
        append.transaction.execute(sql, [signed(sequence.get())])?;
        append.head.sequence = sequence;
        append.published_through(sequence)?;
        Ok(append)
    }

    /// Appends events of this journal that it has lost, in order, as they were published, with the
    /// answers that their commands got; an empty journal begins with the first of them. All or none.
    /// From now on the journal has moved: it must not go on in the life of those who wrote them.
    ///
    /// # Errors
    /// [`Error::Broken`] when they do not follow the newest event, or come from an earlier life;
    /// [`Error::Full`]; [`Error::Sqlite`].
    pub fn refill(&mut self, events: &[RecordedEvent]) -> Result<(), Error> {
        let Some(EventId { epoch, sequence: first, .. }) = events.first().map(|event| &event.id)
        else {
            return Ok(());
        };
        let (begun, before) = (self.identity.epoch(), self.head.sequence);
        let written = self.identity.lineage.written(before);
        let mut lineage = written.unwrap_or_else(|| Lineage::new(*epoch, *first));
        let mut append = if before == Sequence::ZERO && *first > before.next() {
            self.begin_behind(Sequence::new(first.get().saturating_sub(1)))?
        } else {
            self.append()?
        };
        for event in events {
            let before = append.head.sequence;
            if event.id.sequence != before.next() {
                return Err(broken(event.id.sequence, format!("it does not follow {before}")));
            }
            if event.id.epoch != lineage.current().epoch {
                lineage.begin(event.id.epoch, before).map_err(|_invalid| {
                    broken(event.id.sequence, "it comes from an earlier life")
                })?;
            }
            append.link(event)?;
            append.remember(event)?;
        }
        let head = append.head.sequence;
        append.published_through(head)?;
        let epoch = begun.max(lineage.current().epoch);
        append
            .transaction
            .execute("UPDATE journal SET epoch = ?1, home = NULL", [signed(epoch.get())])?;
        append.commit()?;
        if epoch > lineage.current().epoch {
            lineage.begin(epoch, head).map_err(|_invalid| broken(head, "its life has ended"))?;
        }
        self.identity.lineage = lineage;
        self.moved = true;
        Ok(())
    }
}

impl Append<'_> {
    /// Remembers the answer of the command behind an event, so that the command is not executed again.
    fn remember(&self, recorded: &RecordedEvent) -> Result<(), Error> {
        let Some(cause) = &recorded.cause else {
            return Ok(());
        };
        let own = |id: &CommandId| id.as_str().to_owned();
        match &recorded.event {
            StockEvent::CommandRefused(StockCommandRefused { rejection }) => {
                self.remember_rejection(&own(cause), rejection)
            }
            StockEvent::Replaced(_) | StockEvent::Adjusted(_) | StockEvent::Broken(_) => {
                self.remember_event(&own(cause), recorded)
            }
            StockEvent::Reserved(_) | StockEvent::ReservationRefused(_) => {
                self.remember_event(&saga_name(cause), recorded)
            }
            // The event does not tell whether the centre or the staff asked.
            StockEvent::Released(_) | StockEvent::Fulfilled(_) => {
                self.remember_event(&saga_name(cause), recorded)?;
                self.remember_event(&own(cause), recorded)
            }
        }
    }

    fn remember_event(&self, name: &str, recorded: &RecordedEvent) -> Result<(), Error> {
        self.transaction
            .prepare_cached(
                "INSERT INTO commands (command_id, fingerprint, sequence, events)
                 VALUES (?1, x'', ?2, 1)
                 ON CONFLICT DO UPDATE SET sequence = excluded.sequence, events = events + 1
                 WHERE sequence = excluded.sequence - 1",
            )?
            .execute(params![name, signed(recorded.id.sequence.get())])?;
        Ok(())
    }

    fn remember_rejection(&self, name: &str, rejection: &Rejection) -> Result<(), Error> {
        if *rejection == Rejection::CommandIdReused {
            return Ok(());
        }
        self.transaction
            .prepare_cached(
                "INSERT INTO commands (command_id, fingerprint, rejection) VALUES (?1, x'', ?2)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![name, write_rejection(rejection)])?;
        Ok(())
    }
}

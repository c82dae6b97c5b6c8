//! Asking the centres what they have seen of a journal.

use std::time::{Duration, Instant};

use event_log::{Error, Position, Publication, Received, Subscriber, ask as ask_broker};
use shared_events::Heartbeat;
use shared_events::command::{JournalWitnessed, StoreCommand};
use shared_events::wire::{decode_command, encode_heartbeat};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use super::Opening;

/// A centre that is still starting hears the next one.
pub(super) const ASK_EVERY: Duration = Duration::from_secs(1);
const POLL_FOR: Duration = Duration::from_millis(100);
const RECORDS_PER_POLL: usize = 100;

/// Asks until a centre answers or is cancelled. Only what is answered from now on counts.
///
/// # Errors
/// The broker's.
pub(super) fn ask(
    opening: &Opening,
    hello: &Heartbeat,
    bounded: &CancellationToken,
) -> Result<Option<JournalWitnessed>, Error> {
    let (commands, heartbeats) =
        (opening.topics.commands(&opening.store), opening.topics.heartbeats());
    let (mut subscriber, mut publisher) = ask_broker(&opening.log, bounded, {
        let heartbeats = heartbeats.clone();
        move |log| {
            log.ensure_topics(&[heartbeats, commands.clone()])?;
            let next = log.extents(&commands)?.first().map(|extent| extent.high);
            let at =
                Position { topic: commands.name, partition: 0, next: next.unwrap_or_default() };
            Ok((log.subscriber(&[at])?, log.publisher()?))
        }
    })?;
    let hello = [Publication { topic: heartbeats.name, record: encode_heartbeat(hello) }];
    let mut due = Instant::now();
    while !bounded.is_cancelled() {
        if Instant::now() >= due {
            due = Instant::now() + ASK_EVERY;
            publisher.publish(&hello, bounded).error.map_or(Ok(()), Err)?;
        }
        if let Some(seen) = heard(opening, subscriber.as_mut())? {
            return Ok(Some(seen));
        }
    }
    Ok(None)
}

fn heard(
    opening: &Opening,
    subscriber: &mut dyn Subscriber,
) -> Result<Option<JournalWitnessed>, Error> {
    let mut seen: Option<JournalWitnessed> = None;
    subscriber.poll(RECORDS_PER_POLL, POLL_FOR, &mut |received: Received<'_>| {
        // Whatever else is there waits for the inbox.
        if opening.log.authenticate(&received).is_ok()
            && let Ok(envelope) = decode_command(&received.record)
            && envelope.store == opening.store
            && let StoreCommand::JournalWitnessed(witnessed) = envelope.command
        {
            debug!(epoch = %witnessed.epoch, head = %witnessed.head, "a centre tells what it has seen");
            // Of several centres, the one that has seen most.
            let far = |seen: &JournalWitnessed| (seen.epoch, seen.head);
            seen = seen.take().filter(|seen| far(seen) >= far(&witnessed)).or(Some(witnessed));
        }
    })?;
    Ok(seen)
}

/// A token that is cancelled with another one, after some time, or when it is let go.
pub(super) fn cancelled_after(wait: Duration, cancel: &CancellationToken) -> DropGuard {
    let (bounded, deadline) = (cancel.child_token(), Instant::now() + wait);
    let timer = bounded.clone();
    std::thread::spawn(move || {
        while !timer.is_cancelled() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        timer.cancel();
    });
    bounded.drop_guard()
}

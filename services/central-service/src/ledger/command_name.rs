//! Which command a transition sends, and under what name.

use service_kit::fingerprint::fingerprint;
use shared_events::ledger::Transition;
use shared_events::{CommandId, ReservationId, StoreCommand};

/// A command's name. A store executes what has one name once, and refuses another content under it:
/// a ledger that was lost may give a number again, so the name tells the content, too. An ask has its
/// number alone, since no store may keep two of one number.
pub(super) fn command_id(id: &ReservationId, number: u32, command: &StoreCommand) -> CommandId {
    let content = match command {
        StoreCommand::Release(release) => Some(fingerprint(release)),
        StoreCommand::Fulfil(fulfil) => Some(fingerprint(fulfil)),
        StoreCommand::Reserve(_)
        | StoreCommand::ReplayEvents(_)
        | StoreCommand::JournalWitnessed(_)
        | StoreCommand::Stock(_) => None,
    };
    let content = content.map(u128::from_be_bytes).map(|content| format!(":{content:032x}"));
    let name = format!("{id}:{number}{}", content.unwrap_or_default());
    CommandId::parse(&name).expect("a reservation's id leaves room for digits")
}

/// The command a transition sends.
pub(super) const fn command_number(transition: &Transition) -> Option<u32> {
    match transition {
        Transition::Asked { attempt, .. } => Some(*attempt),
        Transition::Withdrawn { command, .. }
        | Transition::Releasing { command, .. }
        | Transition::Fulfilling { command, .. }
        | Transition::SentAgain { command, .. } => Some(*command),
        Transition::Requested
        | Transition::Rebuilt
        | Transition::Answered { .. }
        | Transition::Closed { .. }
        | Transition::Short { .. }
        | Transition::Lapsed { .. } => None,
    }
}

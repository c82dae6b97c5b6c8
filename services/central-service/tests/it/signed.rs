//! Stores that sign, and a centre that asks for it: what is not by the store it speaks for changes nothing.

use std::sync::Arc;

use central_service::admission::Cause;
use event_log::{EventLog, MemoryLog, RecordKey, RecordKeys, SignedLog, Speaker};
use shared_events::wire::{encode_event, encode_heartbeat};

use crate::support::{Centre, Shop, heartbeats, publish, raw, topics};

/// Everybody's key is named and made like its owner; a service signs with its own.
#[derive(Debug)]
struct Keys(Option<&'static str>);

fn key(owner: &str) -> Arc<RecordKey> {
    Arc::new(RecordKey::new(owner, owner.as_bytes()))
}

impl RecordKeys for Keys {
    fn signing(&self) -> Option<Arc<RecordKey>> {
        self.0.map(key)
    }

    fn verifying(&self, speaker: Speaker<'_>) -> Option<Vec<Arc<RecordKey>>> {
        match speaker {
            Speaker::Store(id) => Some(vec![key(id)]),
            Speaker::Centre(_) | Speaker::AnyCentre => None,
        }
    }
}

fn signing(log: &MemoryLog, owner: Option<&'static str>) -> Arc<dyn EventLog> {
    Arc::new(SignedLog::new(Arc::new(log.clone()), Arc::new(Keys(owner)), None))
}

#[test]
fn records_in_another_stores_name_are_put_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryLog::default();
    let (own, other, nobody) =
        (signing(&memory, Some("S1")), signing(&memory, Some("S2")), signing(&memory, None));
    let shop = Shop::stocked("S1", 3);
    let mut forger = shop.clone();
    forger.count("ITEM-0", 666);
    let forged = forger.journal.last().expect("it was just written");
    publish(own.as_ref(), &shop.journal);
    heartbeats(own.as_ref(), [shop.heartbeat()]);
    for liar in [&other, &nobody] {
        publish(liar.as_ref(), [forged]);
        heartbeats(liar.as_ref(), [forger.heartbeat()]);
    }
    // What was signed for one record does not hold for another.
    let mut altered = encode_event(&shop.journal[0]);
    publish(own.as_ref(), [&shop.journal[0]]);
    altered.headers.push(("x-key-id".to_owned(), b"S1".to_vec()));
    altered.headers.push(("x-signature".to_owned(), vec![b'0'; 64]));
    raw(nobody.as_ref(), &topics().stock_events(), [altered]);

    let log = signing(&memory, None);
    let mut centre = Centre::open(folder.path(), &log);
    let applied = centre.catch_up();
    assert_eq!((applied.events, applied.duplicates), (3, 1));
    assert_eq!(centre.metrics.dead_letters(Cause::Unverified), 5);
    assert_eq!(centre.on_hand(&shop.id, "ITEM-0"), Some(1));
    assert_eq!(centre.view(&shop.id).witness.head, shop.head());
    let reader = centre.reader.lock().expect("no panic");
    let letters = reader.letters(Some(Cause::Unverified), 0, 100).expect("it can be read");
    let mut reasons: Vec<_> = letters.into_iter().map(|letter| letter.reason).collect();
    reasons.sort();
    let foreign = "it is signed with key \"S2\", which is none of store S1";
    let unsigned = "it is not signed, and speaks for store S1";
    let misfit =
        "its signature with key \"S1\" does not fit: it was altered, or the secrets differ";
    assert_eq!(reasons, [unsigned, unsigned, foreign, foreign, misfit]);
}

#[test]
fn a_signature_goes_where_its_record_goes() {
    let memory = MemoryLog::default();
    let shop = Shop::stocked("S1", 1);
    heartbeats(signing(&memory, Some("S1")).as_ref(), [shop.heartbeat()]);
    let records = crate::support::records(&memory, &topics().heartbeats());
    let plain = encode_heartbeat(&shop.heartbeat());
    assert_eq!((&records[0].key, &records[0].value), (&plain.key, &plain.value));
    let (own, seal) = records[0].headers.split_at(plain.headers.len());
    assert_eq!(own, plain.headers);
    assert_eq!(seal[0], ("x-key-id".to_owned(), b"S1".to_vec()));
    assert_eq!((seal[1].0.as_str(), seal[1].1.len()), ("x-signature", 64));
}

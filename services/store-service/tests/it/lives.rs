//! Whatever is restored, copied, wiped or run twice: no event id ever names two events, and what was
//! published is in the journal that is opened, or counted as lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use event_log::{EventLog, MemoryLog, Publication};
use inventory_core::Digest;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use shared_events::wire::{encode_event, encode_heartbeat};
use shared_events::{
    EventId, Heartbeat, Lineage, RecordedEvent, Sequence, StockAdjusted, StockEvent, Timestamp,
    Version,
};
use store_service::journal::{Journal, NewEvent};
use store_service::opening::{Opened, Opening, Progress, Refilled, Unwitnessed};
use store_service::standing::Standing;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{Topic, Witness, copy_of, store_id, topics};

/// Disks of one shop, of which there should be one.
const DISKS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// Starts a disk's store, with a centre that answers or without one.
    Start {
        disk: usize,
        witnessed: bool,
    },
    Sell {
        disk: usize,
        events: u8,
    },
    /// Publishes so many of what waits, and says so.
    Publish {
        disk: usize,
        events: u8,
    },
    /// It was killed.
    Crash {
        disk: usize,
    },
    /// The first disk is copied.
    Keep,
    /// The copy that was kept replaces what is on a disk.
    PutBack {
        disk: usize,
    },
    Wipe {
        disk: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let disk = || prop_oneof![3 => Just(0_usize), 1 => 1..DISKS];
    let step = prop_oneof![
        4 => (disk(), prop::bool::weighted(0.7))
            .prop_map(|(disk, witnessed)| Step::Start { disk, witnessed }),
        6 => (disk(), 1..6_u8).prop_map(|(disk, events)| Step::Sell { disk, events }),
        6 => (disk(), 0..8_u8).prop_map(|(disk, events)| Step::Publish { disk, events }),
        3 => disk().prop_map(|disk| Step::Crash { disk }),
        2 => Just(Step::Keep),
        2 => disk().prop_map(|disk| Step::PutBack { disk }),
        1 => disk().prop_map(|disk| Step::Wipe { disk }),
    ];
    vec(step, 10..50)
}

struct World {
    log: MemoryLog,
    disks: TempDir,
    kept: Option<TempDir>,
    running: [Option<Journal>; DISKS],
    /// Everything that was ever published.
    published: BTreeMap<EventId, RecordedEvent>,
    sales: i64,
}

struct Nobody;

impl Refilled for Nobody {
    fn held_up(&mut self) {}
    fn take(&mut self, _event: &RecordedEvent) {}
    fn progress(&mut self, _progress: Progress) {}
}

impl World {
    fn new() -> Self {
        let log = MemoryLog::default();
        log.ensure_topics(&[topics().heartbeats(), topics().stock_events()]).unwrap();
        Self {
            log,
            disks: test_support::folder(),
            kept: None,
            running: [const { None }; DISKS],
            published: BTreeMap::new(),
            sales: 0,
        }
    }

    fn folder(&self, disk: usize) -> PathBuf {
        self.disks.path().join(disk.to_string())
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Start { disk, witnessed } if self.running[disk].is_none() => {
                let journal = self.open(disk, witnessed);
                self.running[disk] = Some(journal);
            }
            Step::Start { .. } => {}
            Step::Sell { disk, events } => self.sell(disk, events),
            Step::Publish { disk, events } => self.publish(disk, events),
            Step::Crash { disk } => self.running[disk] = None,
            Step::Keep => self.kept = Some(copy_of(&self.folder(0))),
            Step::PutBack { disk } => {
                self.running[disk] = None;
                let folder = self.folder(disk);
                fs::create_dir_all(&folder).unwrap();
                if let Some(kept) = &self.kept {
                    clear(&folder);
                    for entry in fs::read_dir(kept.path()).unwrap().map(Result::unwrap) {
                        // The lock stays the disk's own.
                        if entry.file_name() != "onhand.lock" {
                            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
                        }
                    }
                }
            }
            Step::Wipe { disk } => {
                self.running[disk] = None;
                let folder = self.folder(disk);
                fs::create_dir_all(&folder).unwrap();
                clear(&folder);
            }
        }
    }

    fn open(&self, disk: usize, witnessed: bool) -> Journal {
        let mut journal = Journal::open(&self.folder(disk), &store_id(), |_| {}).unwrap();
        let witness = witnessed.then(|| Witness::start(self.log.clone()));
        let wait = if witnessed { 3_600_000 } else { 1 };
        let opening = Opening {
            store: store_id(),
            log: Arc::new(self.log.clone()),
            topics: topics(),
            location: None,
            wait: Duration::from_millis(wait),
            unwitnessed: Unwitnessed::Serve,
        };
        let (standing, cancel) = (Standing::default(), CancellationToken::new());
        let opened =
            opening.open(&mut journal, Digest::default(), &standing, &mut Nobody, &cancel).unwrap();
        drop(witness);
        assert_eq!(opened.seen.is_some(), witnessed);
        self.nothing_is_missing(&journal, &opened);
        journal
    }

    /// What was seen is in the journal or counted, and what came back is what was published.
    fn nothing_is_missing(&self, journal: &Journal, opened: &Opened) {
        let reader = journal.reader().unwrap();
        let own = reader.events(Sequence::new(1), Sequence::MAX, usize::MAX).unwrap();
        for event in &own {
            let published = self.published.get(&event.id);
            assert!(published.is_none_or(|published| published == event), "{event:?}");
        }
        let Some(seen) = &opened.seen else { return };
        let lived = |lineage: &Lineage, sequence| lineage.epoch_of(Sequence::new(sequence));
        let had = |sequence: &u64| {
            let head = journal.head().sequence.get();
            let lineage = &journal.identity().lineage;
            *sequence <= head
                && lived(lineage, *sequence) == seen.lives().and_then(|its| lived(&its, *sequence))
        };
        let missing = (1..=seen.head.get()).filter(|sequence| !had(sequence)).count();
        assert_eq!(opened.lost, u64::try_from(missing).unwrap(), "{opened:?}");
    }

    fn sell(&mut self, disk: usize, events: u8) {
        let Some(journal) = &mut self.running[disk] else { return };
        let mut append = journal.append().unwrap();
        for _ in 0..events {
            self.sales += 1;
            append
                .event(NewEvent {
                    sku: "X".parse().unwrap(),
                    event: StockEvent::Adjusted(StockAdjusted {
                        version: Version::new(1),
                        delta: 1,
                        on_hand: self.sales,
                        reserved: 0,
                        discrepancy: 0,
                        reason: None,
                        reference: None,
                    }),
                    occurred_at: Timestamp::from_unix_millis(self.sales).unwrap(),
                    cause: None,
                    principal: None,
                    traceparent: None,
                })
                .unwrap();
        }
        append.commit().unwrap();
    }

    /// As the relay does: a heartbeat, events in order, and where it came to.
    fn publish(&mut self, disk: usize, events: u8) {
        let Some(journal) = &mut self.running[disk] else { return };
        let (identity, head) = (journal.identity().clone(), journal.head());
        let heartbeat = Heartbeat {
            store_id: store_id(),
            epoch: identity.epoch(),
            head: head.sequence,
            head_hash: head.hash.to_string(),
            published_through: journal.published_through(),
            digest: String::new(),
            sent_at: Timestamp::from_unix_millis(0).unwrap(),
            location: None,
            lineage: identity.told(),
            opening: false,
        };
        let mut records = vec![Publication {
            topic: topics().heartbeats().name,
            record: encode_heartbeat(&heartbeat),
        }];
        let from = journal.published_through().next();
        let waiting =
            journal.reader().unwrap().events(from, Sequence::MAX, usize::from(events)).unwrap();
        for event in &waiting {
            records.push(Publication {
                topic: topics().stock_events().name,
                record: encode_event(event),
            });
            let before = self.published.insert(event.id.clone(), event.clone());
            assert!(before.is_none_or(|before| before == *event), "{} names two events", event.id);
        }
        let mut publisher = self.log.publisher().unwrap();
        assert!(publisher.publish(&records, &CancellationToken::new()).error.is_none());
        if let Some(last) = waiting.last() {
            let mut append = journal.append().unwrap();
            append.published_through(last.id.sequence).unwrap();
            append.commit().unwrap();
        }
    }
}

fn clear(folder: &Path) {
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        if folder.join(name).exists() {
            fs::remove_file(folder.join(name)).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        max_shrink_iters: 200,
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_event_id_names_two_events_and_what_is_lost_is_counted(steps in steps()) {
        let mut world = World::new();
        // A blank disk knows that it is not the first one.
        for step in [
            Step::Start { disk: 0, witnessed: true },
            Step::Sell { disk: 0, events: 1 },
            Step::Publish { disk: 0, events: 1 },
        ] {
            world.take(&step);
        }
        for step in &steps {
            world.take(step);
        }
        let events = Topic::read(&world.log, &topics().stock_events()).events();
        for event in events {
            prop_assert_eq!(&world.published[&event.id], &event);
        }
    }
}

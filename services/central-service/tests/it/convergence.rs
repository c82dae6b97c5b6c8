//! Whatever the broker repeats, loses the acknowledgement of, delays and mixes, and whenever the
//! centre dies: in the end it knows exactly what the stores wrote, and has counted every event once.

use std::path::Path;
use std::sync::Arc;

use event_log::{Chaos, EventLog, MemoryLog};
use proptest::collection::vec;
use proptest::prelude::*;
use shared_events::RecordedEvent;

use crate::support::{Auditor, Centre, Picture, Shop, fold, heartbeats, publish};

const ITEMS: [&str; 5] = ["A", "B-2", "Ä/ö 3", "D%2F4", "ITEM-5"];
const SHOPS: [&str; 3] = ["S1", "s-2", "north.3"];

/// A whole run. The seed and the steps say all about it, so that what a failure prints repeats it.
#[derive(Debug, Clone)]
struct Plan {
    chaos: Chaos,
    steps: Vec<(usize, Step)>,
}

/// One thing that happens, to one shop where that makes sense.
#[derive(Debug, Clone)]
enum Step {
    /// "There are so many."
    Count(usize, i64),
    /// "So many came in", or went out.
    Change(usize, i64),
    /// The journal was restored.
    NewLife,
    /// The relay publishes the next so many events of the journal.
    Publish(usize),
    /// A part of the journal is published beside that, before its turn or again; from, how many, and
    /// in which order.
    Beside(usize, usize, u64),
    /// The relay sends a heartbeat.
    Heartbeat,
    /// The centre reads and applies.
    Read,
    /// The centre dies with a batch that was read, before or after it is applied.
    Die { applied: bool },
    /// The centre's folder is lost.
    LoseFolder,
}

fn step() -> impl Strategy<Value = Step> {
    let delta = (-9..=9_i64).prop_filter("a delta is not 0", |delta| *delta != 0);
    prop_oneof![
        3 => (0..ITEMS.len(), 0..20_i64).prop_map(|(item, units)| Step::Count(item, units)),
        9 => (0..ITEMS.len(), delta).prop_map(|(item, delta)| Step::Change(item, delta)),
        1 => Just(Step::NewLife),
        3 => (1..9_usize).prop_map(Step::Publish),
        3 => (0..99_usize, 1..9_usize, any::<u64>())
            .prop_map(|(from, count, order)| Step::Beside(from, count, order)),
        2 => Just(Step::Heartbeat),
        4 => Just(Step::Read),
        2 => any::<bool>().prop_map(|applied| Step::Die { applied }),
        1 => Just(Step::LoseFolder),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let chaos = (any::<u64>(), 0..40_u8, 0..30_u8, 0..40_u8, 0..40_u8).prop_map(
        |(seed, duplicate, lose_ack, redeliver, delay)| Chaos {
            seed,
            duplicate,
            lose_ack,
            redeliver,
            delay,
        },
    );
    (chaos, vec((0..SHOPS.len(), step()), 1..120)).prop_map(|(chaos, steps)| Plan { chaos, steps })
}

struct World {
    folder: tempfile::TempDir,
    log: Arc<dyn EventLog>,
    /// With how much of its journal each shop has published.
    shops: Vec<(Shop, usize)>,
    centre: Option<Centre>,
    /// As the last commit left it.
    committed: Picture,
    reads: u64,
    auditor: Auditor,
}

impl World {
    fn new(chaos: Chaos) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::with_chaos(chaos));
        let mut centre = Centre::open(folder.path(), &log);
        centre.listen();
        let committed = centre.picture();
        let shops = SHOPS.iter().map(|name| (Shop::new(name), 0)).collect();
        let (centre, auditor) = (Some(centre), Auditor::default());
        Self { folder, log, shops, centre, committed, reads: 0, auditor }
    }

    fn take(&mut self, shop: usize, step: &Step) {
        let log = self.log.as_ref();
        let (shop, published) = &mut self.shops[shop];
        match *step {
            Step::Count(item, units) => shop.count(ITEMS[item], units),
            Step::Change(item, units) => {
                shop.change(ITEMS[item], units);
            }
            Step::NewLife => shop.begin_new_life(),
            Step::Publish(count) => {
                let through = (*published + count).min(shop.journal.len());
                publish(log, &shop.journal[*published..through]);
                *published = through;
            }
            Step::Beside(from, count, order) => {
                let from = from % (shop.journal.len() + 1);
                let through = (from + count).min(shop.journal.len());
                let mut part: Vec<&RecordedEvent> = shop.journal[from..through].iter().collect();
                fastrand::Rng::with_seed(order).shuffle(&mut part);
                publish(log, part);
            }
            Step::Heartbeat => heartbeats(log, [shop.heartbeat()]),
            Step::Read => self.read(),
            Step::Die { applied } => self.die(applied),
            Step::LoseFolder => {
                self.centre = None;
                std::fs::remove_dir_all(self.folder.path()).expect("the folder can go");
                self.auditor = Auditor::default();
                self.centre = Some(Centre::open(self.folder.path(), &self.log));
                self.committed = self.centre().picture();
            }
        }
    }

    fn centre(&mut self) -> &mut Centre {
        self.centre.as_mut().expect("it runs")
    }

    fn read(&mut self) {
        let centre = self.centre.as_mut().expect("it runs");
        if let Some(batch) = centre.poll().expect("the broker works") {
            let expected = self.auditor.expect(&batch);
            assert_eq!(centre.apply(&batch), expected, "events, duplicates and rows of a batch");
            // What says nothing new waits for the next transaction, or for a moment to pass.
            self.reads += 1;
            if self.reads.is_multiple_of(2) {
                centre.save();
            }
            if !centre.projection.has_unsaved() {
                self.committed = centre.picture();
            }
        }
    }

    fn die(&mut self, applied: bool) {
        if applied {
            self.read();
        } else {
            drop(self.centre().poll().expect("the broker works"));
        }
        self.centre = None;
        self.centre = Some(Centre::open(self.folder.path(), &self.log));
        let reopened = self.centre().picture();
        assert_eq!(reopened, self.committed, "what was committed, and nothing else");
    }

    /// The shops publish the rest and report; the centre reads to the end.
    fn finish(&mut self) {
        for (shop, published) in &mut self.shops {
            publish(self.log.as_ref(), &shop.journal[*published..]);
        }
        self.centre().listen();
        for (shop, _) in &self.shops {
            heartbeats(self.log.as_ref(), [shop.heartbeat()]);
        }
        for _round in 0..10_000 {
            self.read();
            if self.centre().is_at_end() {
                return;
            }
        }
        panic!("the end was not reached in 10,000 polls");
    }

    fn check(&mut self) {
        let written: usize = self.shops.iter().map(|(shop, _)| shop.journal.len()).sum();
        assert_eq!(self.auditor.events(), written, "events new in the database's last life");
        let centre = self.centre.as_ref().expect("it runs");
        for (shop, _) in &self.shops {
            check_shop(centre, shop);
        }
    }
}

fn check_shop(centre: &Centre, shop: &Shop) {
    let (index, seen) = centre.model.store(&shop.id).expect("it sent a heartbeat");
    let view = &seen.view;
    let expected = fold(&shop.journal);
    for (sku, item) in &expected {
        let found = centre.model.level(index, sku).map(|level| level.item());
        assert_eq!(found.unwrap_or_default(), *item, "{} {sku}", shop.id);
    }
    let known = centre.picture().levels.into_keys().filter(|(id, _)| *id == shop.id).count();
    assert_eq!(known, expected.len(), "no item that the shop does not have");

    let heartbeat = shop.heartbeat();
    assert_eq!((view.witness.epoch, view.witness.head), (heartbeat.epoch, heartbeat.head));
    assert_eq!((view.applied_through, view.missing), (shop.head(), 0));
    assert_eq!(view.digest.to_string(), heartbeat.digest);
    assert_eq!(view.witness.digest, heartbeat.digest);
    assert_eq!(seen.freshness.name(), "fresh");
}

/// A centre that never was there before comes to the same from the topics alone.
fn check_newcomer(log: &Arc<dyn EventLog>, folder: &Path, expected: &Picture) {
    let mut newcomer = Centre::open(folder, log);
    newcomer.catch_up();
    let picture = newcomer.picture();
    assert_eq!(by_name(&picture), by_name(expected));
}

/// A picture without the order in which the stores were first heard of.
fn by_name(picture: &Picture) -> impl PartialEq + std::fmt::Debug {
    let levels: Vec<_> = picture
        .levels
        .iter()
        .map(|(key, level)| (key.clone(), level.epoch, level.sequence, level.item()))
        .collect();
    let mut stores = picture.stores.clone();
    stores.sort_by(|a, b| a.0.cmp(&b.0));
    (levels, stores)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_centre_ends_with_what_the_stores_wrote(plan in plan()) {
        let mut world = World::new(plan.chaos);
        for (shop, step) in &plan.steps {
            world.take(*shop, step);
        }
        world.finish();
        world.check();
        let elsewhere = tempfile::tempdir().expect("a folder");
        let shown = world.centre().picture();
        check_newcomer(&world.log, elsewhere.path(), &shown);
        world.die(true);
    }
}

//! The shop, its copy, the centre, and what can happen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use central_service::commitments::Commitment;
use event_log::{Chaos, EventLog, MemoryLog};
use fastrand::Rng;
use inventory_core::StockItem;
use inventory_core::witness::Comparison;
use shared_events::command::CommandEnvelope;
use shared_events::{Heartbeat, ReservationId, Sku, StoreCommand, StoreId};
use tempfile::TempDir;

use super::Counts;
use super::sales::{ITEMS, kept, publish_some, sell};
use crate::support::{Centre, Shop, fold, heartbeats, publish, topics};

pub(super) struct World {
    random: Rng,
    log: Arc<dyn EventLog>,
    folder: TempDir,
    centre: Option<Centre>,
    /// The journal that survives.
    shop: Shop,
    published: usize,
    /// An older copy that goes on beside it, and how much of it is published.
    copy: Option<(Shop, usize)>,
    epochs: u64,
    /// Said at some time: it may be on its way still.
    said: Vec<Heartbeat>,
    commands: Vec<CommandEnvelope>,
    pub(super) counts: Counts,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let chaos = Chaos { seed, duplicate: 5, lose_ack: 5, redeliver: 10, delay: 10 };
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::with_chaos(chaos));
        log.ensure_topics(&topics().shared()).expect("the broker works");
        let mut world = Self {
            random: Rng::with_seed(seed),
            log,
            folder: tempfile::tempdir().expect("a folder"),
            centre: None,
            shop: Shop::stocked("S1", 2),
            published: 0,
            copy: None,
            epochs: 1,
            said: Vec::new(),
            commands: Vec::new(),
            counts: Counts::default(),
        };
        world.start();
        world
    }

    pub(super) fn step(&mut self) {
        match self.random.u8(0..100) {
            0..20 => sell(&mut self.random, &mut self.shop),
            20..40 => self.relay(),
            40..60 => self.hear(),
            60..72 => self.look(),
            72..82 => self.obey(),
            82..85 => self.restore(),
            85..88 => self.copy(),
            88..93 => self.copy_goes_on(),
            93..95 => self.say_again(),
            // A store that starts again asks first, and perhaps more than once.
            95..97 => self.say(self.shop.hello()),
            97..99 => self.restart(),
            _ => self.rebuild(),
        }
    }

    fn centre(&mut self) -> &mut Centre {
        self.centre.as_mut().expect("it runs")
    }

    fn start(&mut self) {
        self.centre = None;
        let mut centre = Centre::open(self.folder.path(), &self.log);
        centre.listen();
        self.centre = Some(centre);
    }

    fn restart(&mut self) {
        // It dies before it has saved what is told again, or behind that.
        if self.random.bool() {
            self.centre().save();
        }
        let saved = !self.centre().projection.has_unsaved();
        let before = self.centre().picture();
        self.start();
        if saved {
            assert_eq!(self.centre().picture(), before, "database and memory differ");
        }
    }

    fn rebuild(&mut self) {
        self.centre = None;
        std::fs::remove_dir_all(self.folder.path()).expect("it is there");
        self.start();
    }

    fn say(&mut self, heartbeat: Heartbeat) {
        self.said.push(heartbeat.clone());
        heartbeats(self.log.as_ref(), [heartbeat]);
    }

    fn say_again(&mut self) {
        if let Some(old) = self.random.choice(&self.said).cloned() {
            heartbeats(self.log.as_ref(), [old]);
        }
    }

    /// Some of the events get lost, and some come in another order.
    fn relay(&mut self) {
        let through = self.random.usize(self.published..=self.shop.journal.len());
        publish_some(&mut self.random, &self.log, &self.shop, self.published, through);
        self.published = through;
        if self.random.u8(0..3) > 0 {
            self.say(self.shop.heartbeat());
        }
    }

    /// The shop loses the end of its journal, and begins a life behind what is left.
    fn restore(&mut self) {
        let head = self.random.usize(1..=self.shop.journal.len());
        let backup = self.shop.backup(head);
        self.say(backup.hello());
        self.shop = backup;
        self.published = self.published.min(head);
        self.begin_life();
        self.counts.restored += 1;
    }

    /// Somebody starts a second one from the same journal, which begins a life; the first goes on.
    fn copy(&mut self) {
        let old = (self.shop.clone(), self.published);
        self.copy = Some(old);
        self.begin_life();
        self.counts.copied += 1;
    }

    fn begin_life(&mut self) {
        self.epochs += 1;
        self.shop.begin_life(self.epochs);
    }

    fn copy_goes_on(&mut self) {
        let Some((mut copy, published)) = self.copy.take() else {
            return;
        };
        sell(&mut self.random, &mut copy);
        let through = copy.journal.len();
        publish_some(&mut self.random, &self.log, &copy, published, through);
        self.say(copy.heartbeat());
        self.copy = Some((copy, through));
    }

    fn hear(&mut self) {
        let centre = self.centre.as_mut().expect("it runs");
        if let Ok(Some(batch)) = centre.poll() {
            let applied = centre.apply(&batch);
            self.counts.refused += applied.refused;
            self.counts.corrected += applied.corrected;
        }
        self.fresh_is_honest();
        self.send();
    }

    fn look(&mut self) {
        self.centre().look();
        self.send();
    }

    fn send(&mut self) {
        let sent = self.centre().take_commands();
        self.commands.extend(sent);
    }

    /// Everyone who is there reads what the centres said, however late.
    fn obey(&mut self) {
        for command in std::mem::take(&mut self.commands) {
            match command.command {
                StoreCommand::ReplayEvents(wanted) => {
                    publish(self.log.as_ref(), self.shop.replay(&wanted));
                }
                StoreCommand::JournalWitnessed(seen) => {
                    self.counts.told += 1;
                    let fine =
                        |compared| matches!(compared, Comparison::Whole | Comparison::Earlier);
                    let compared = self.shop.compare(&seen);
                    assert!(fine(compared), "the shop is stopped: {compared:?} by {seen:?}");
                    let copy = self.copy.as_ref();
                    if copy.is_some_and(|(copy, _)| !fine(copy.compare(&seen))) {
                        self.copy = None;
                        self.counts.copies_stopped += 1;
                    }
                }
                other => panic!("nobody asked for {other:?}"),
            }
        }
    }

    /// What is called fresh is what the shop has: at its report or later.
    fn fresh_is_honest(&mut self) {
        let centre = self.centre.as_ref().expect("it runs");
        let Some((index, seen)) = centre.model.store(&self.shop.id) else {
            return;
        };
        let witness = &seen.view.witness;
        if seen.freshness.name() != "fresh" || witness.epoch != self.shop.epoch() {
            return;
        }
        self.counts.fresh += 1;
        for (sku, _) in fold(&self.shop.journal) {
            let level = centre.model.level(index, &sku);
            let of_item = self.shop.journal.iter().filter(|event| event.sku == sku);
            let reported = of_item.clone().rfind(|event| event.id.sequence <= witness.head);
            let Some(level) = level else {
                assert!(reported.is_none(), "{sku} is fresh and not there");
                continue;
            };
            assert!(reported.is_none_or(|event| event.id.sequence <= level.sequence), "{sku}");
            let said = of_item.clone().find(|event| event.id.sequence == level.sequence);
            let said = said.map(|event| (event.id.epoch, event.event.levels()));
            let levels = said.and_then(|(epoch, levels)| Some((epoch, levels?)));
            let (epoch, levels) = levels.unwrap_or_else(|| panic!("{sku} at {level:?}"));
            assert_eq!((epoch, levels.on_hand), (level.epoch, level.on_hand), "{sku}");
        }
    }

    /// No faults any more.
    pub(super) fn calm(&mut self) {
        self.copy = None;
        let length = self.shop.journal.len();
        publish(self.log.as_ref(), &self.shop.journal[self.published..length]);
        for _round in 0..60 {
            heartbeats(self.log.as_ref(), [self.shop.heartbeat()]);
            let centre = self.centre.as_mut().expect("it runs");
            self.counts.corrected += centre.catch_up().corrected;
            self.look();
            self.obey();
            if self.is_at_rest() {
                break;
            }
        }
        assert!(self.is_at_rest(), "{:?}", self.centre().view(&"S1".parse().expect("an id")));
        assert_eq!(levels(self.centre()), fold(&self.shop.journal), "levels differ");
        for item in ITEMS {
            let kept = kept(&self.shop, item).into_iter().map(|one| one.reservation_id);
            assert_eq!(self.promised(item), kept.collect::<BTreeSet<_>>(), "promises of {item}");
        }
        self.restart();
    }

    /// Whom the centre knows an item to be kept for.
    fn promised(&mut self, item: &str) -> BTreeSet<ReservationId> {
        let id = self.shop.id.clone();
        let all = self.centre().promised(&id, item).into_iter();
        all.map(|(key, known)| {
            assert!(matches!(known, Commitment::Kept(_)), "{key:?} is {known:?}");
            key.reservation_id
        })
        .collect()
    }

    fn is_at_rest(&mut self) -> bool {
        let (head, digest) = (self.shop.head(), self.shop.heartbeat().digest);
        let id: StoreId = self.shop.id.clone();
        let seen = self.centre().model.store(&id).expect("it is known").1;
        let view = &seen.view;
        seen.freshness.name() == "fresh"
            && (view.missing, view.applied_through, view.witness.head) == (0, head, head)
            && view.digest.to_string() == digest
            && view.resync.running_since.is_none()
    }
}

fn levels(centre: &Centre) -> BTreeMap<Sku, StockItem> {
    let levels = centre.picture().levels.into_iter();
    levels.map(|((_, sku), level)| (sku, level.item())).collect()
}

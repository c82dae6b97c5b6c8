//! Puts a store together and runs it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use access::{Access, Doors};
use axum::Router;
use event_log::EventLog;
use inventory_core::{Digest, StockItem};
use service_kit::answers::Answers;
use service_kit::server::Listener;
use service_kit::threads::Threads;
use service_kit::watched::Requests;
use shared_events::{Sku, StoreId};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::api::{self, Interface};
use crate::commands::Commands;
use crate::config::Config;
use crate::expiry::Expiry;
use crate::journal::{self, Journal};
use crate::metrics::Metrics;
use crate::opening::Opening;
use crate::outbox::{Committed, Outbox};
use crate::relay::Relay;
use crate::shelf::{Item, Shelf};
use crate::writer::{Handle, Writer};

/// How long the relay may go on after the last request, to get the rest out.
const DRAIN_WITHIN: Duration = Duration::from_millis(1_200);

/// A store, built and not yet serving.
#[derive(Debug)]
pub struct App {
    opening: Opening,
    writer: Writer,
    relay: Relay,
    commands: Commands,
    expiry: Expiry,
    outbox: Arc<Outbox>,
    api: api::State,
    access: Access,
    admin: Option<Listener>,
}

impl App {
    /// Opens the journal, replays it and wires the parts. Talks to no broker yet: a store starts
    /// and sells without one.
    ///
    /// # Errors
    /// [`journal::Error`]: in use, another store's, broken, or not to be opened.
    pub fn build(config: Config, log: Arc<dyn EventLog>) -> Result<Self, journal::Error> {
        let mut items: BTreeMap<Sku, Item> = BTreeMap::new();
        let journal = Journal::open(&config.data_dir, &config.store, |recorded| {
            // A refusal changes nothing, and must not make an item of one that was never there.
            if recorded.event.levels().is_some() {
                items.entry(recorded.sku.clone()).or_default().evolve(&recorded.event);
            }
        })?;
        let digest = items.iter().fold(Digest::default(), |digest, (sku, item)| {
            digest.replace(sku, &StockItem::default(), &item.stock)
        });
        let inbox = journal.inbox()?;
        let committed = Committed { head: journal.head(), digest };
        let identity = journal.identity();
        let epoch = identity.epoch();
        info!(store = %config.store, %epoch, head = %committed.head.sequence, items = items.len(), "journal replayed");

        let metrics = Arc::new(Metrics::new(config.data_dir.join(journal::DATABASE)));
        let shelf = Arc::new(Shelf::new(items));
        let lineage = identity.lineage.clone();
        let outbox = Arc::new(Outbox::new(lineage, committed, journal.published_through()));
        let (relay_reader, reader) = (journal.reader()?, Arc::new(Mutex::new(journal.reader()?)));
        let (writer, handle) =
            Writer::new(journal, Arc::clone(&shelf), Arc::clone(&outbox), Arc::clone(&metrics));
        let standing = handle.standing();
        let opening = Opening {
            store: config.store.clone(),
            log: Arc::clone(&log),
            topics: config.topics.clone(),
            location: config.location,
            wait: config.witness_wait,
            unwitnessed: config.unwitnessed,
        };
        let relay = Relay {
            store: config.store.clone(),
            reader: relay_reader,
            standing: Arc::clone(&standing),
            outbox: Arc::clone(&outbox),
            writer: handle.clone(),
            log: Arc::clone(&log),
            topics: config.topics.clone(),
            heartbeat_every: config.heartbeat_every,
            location: config.location,
            metrics: Arc::clone(&metrics),
        };
        let commands = Commands {
            store: config.store.clone(),
            standing,
            reader: Arc::clone(&reader),
            outbox: Arc::clone(&outbox),
            writer: handle.clone(),
            position: inbox,
            release_grace: config.release_grace,
            log,
            topics: config.topics,
            metrics: Arc::clone(&metrics),
        };
        let api = api::State {
            store: config.store,
            writer: handle,
            shelf: Arc::clone(&shelf),
            outbox: Arc::clone(&outbox),
            reader,
            metrics,
            answers: Arc::new(Answers::open(&config.data_dir)?),
        };
        let expiry = Expiry { shelf, writer: relay.writer.clone(), grace: config.release_grace };
        let (access, admin) = (Access::default(), None);
        Ok(Self { opening, writer, relay, commands, expiry, outbox, api, access, admin })
    }

    /// Lets its journal keep so much of its pages in memory.
    ///
    /// # Errors
    /// [`journal::Error`].
    pub(crate) fn with_cache(self, kib: u32) -> Result<Self, journal::Error> {
        self.writer.set_cache(kib)?;
        Ok(self)
    }

    /// The HTTP interface, for callers in this process.
    pub fn router(&self) -> Router {
        self.doors(&Interface::of_one()).main
    }

    /// Asks callers who they are.
    #[must_use]
    pub fn guarded(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Serves what is for operators on a listener of its own, and nowhere else.
    #[must_use]
    pub fn with_admin(mut self, listener: impl Into<Listener>) -> Self {
        self.access.admin_apart = true;
        self.admin = Some(listener.into());
        self
    }

    /// Serves until `stop`, then drains: requests, journal, relay.
    ///
    /// # Errors
    /// When a part ends that should not: the journal failed, or the listener.
    pub async fn run(
        mut self,
        listener: impl Into<Listener>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let (doors, admin) = (self.doors(&Interface::of_one()), self.admin.take());
        let metrics = Arc::clone(&self.relay.metrics);
        let mut working = self.start(&stop)?;
        let served = tokio::select! {
            served = doors.serve(listener.into(), admin, &metrics.common, stop) => served,
            ended = working.ended() => Err(ended),
        };
        working.drain().await.and(served)
    }

    /// Lets the store work, without a door. `stop` ends an opening that still waits.
    pub(crate) fn start(self, stop: &CancellationToken) -> anyhow::Result<Working> {
        let Self { opening, writer, relay, commands, expiry, outbox, .. } = self;
        let (handle, cut) = (relay.writer.clone(), CancellationToken::new());
        let mut threads = Threads::default();
        threads.spawn("writer", {
            let stop = stop.clone();
            move || Ok(writer.run(&opening, &stop)?)
        })?;
        threads.spawn("relay", {
            let cut = cut.clone();
            move || Ok(relay.run(&cut)?)
        })?;
        threads.spawn("commands", {
            let cut = cut.clone();
            move || commands.run(&cut)
        })?;
        Ok(Working { threads, expiry, outbox, handle, cut })
    }

    /// Which store this is.
    pub(crate) const fn store(&self) -> &StoreId {
        &self.api.store
    }

    /// What its interface works with.
    pub(crate) fn state(&self) -> api::State {
        self.api.clone()
    }

    /// Its interface, guarded.
    pub(crate) fn doors(&self, interface: &Interface) -> Doors {
        interface.doors(self.state(), &self.access)
    }

    /// Counts its requests.
    pub(crate) fn requests(&self) -> &Requests {
        &self.api.metrics.common.requests
    }

    /// What is for operators is served elsewhere.
    pub(crate) const fn admin_apart(&mut self) {
        self.access.admin_apart = true;
    }

    /// The parts that open a journal.
    pub(crate) fn into_writer(self) -> (Writer, Opening, Arc<Shelf>) {
        (self.writer, self.opening, self.expiry.shelf)
    }

    /// Sends commands to the writer, for callers in this process.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.relay.writer.clone()
    }
}

/// A store at work.
#[derive(Debug)]
pub(crate) struct Working {
    threads: Threads,
    expiry: Expiry,
    outbox: Arc<Outbox>,
    handle: Handle,
    cut: CancellationToken,
}

impl Working {
    /// Works until there are no more requests, then drains.
    pub(crate) async fn until(mut self, served: CancellationToken) -> anyhow::Result<()> {
        let ended = tokio::select! {
            () = served.cancelled() => Ok(()),
            ended = self.ended() => Err(ended),
        };
        self.drain().await.and(ended)
    }

    /// Waits until a part ends that should not.
    async fn ended(&mut self) -> anyhow::Error {
        tokio::select! {
            never = self.expiry.watch() => match never {},
            ended = self.threads.ended() => ended,
        }
    }

    /// Lets journal and relay finish what they have.
    async fn drain(self) -> anyhow::Result<()> {
        let Self { mut threads, outbox, handle, cut, .. } = self;
        outbox.stop();
        let deadline = cut.clone();
        tokio::spawn(async move {
            tokio::time::sleep(DRAIN_WITHIN).await;
            deadline.cancel();
        });
        let relayed = threads.join_one("relay").await;
        cut.cancel();
        // Last, so that the relay's cursor is saved with what is still to be answered.
        handle.stop().await;
        threads.join().await.and(relayed)
    }
}

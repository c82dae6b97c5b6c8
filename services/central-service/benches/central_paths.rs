//! The centre's hot paths, for `scripts/instructions`: `central_paths apply|availability TIMES`.
//!
//! Whatever `TIMES` says, the same is prepared, so that the difference between two runs is the path alone.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use central_service::admission::{Admission, Kind, Verdict};
use central_service::api;
use central_service::api::stream::{Limits, Streams};
use central_service::database::{Database, Reader};
use central_service::feed::Feed;
use central_service::history::{DEFAULT_EVENTS, Recorder};
use central_service::ledger::Settings;
use central_service::metrics::Metrics;
use central_service::projection::{Batch, Projection};
use central_service::projector::Handle;
use central_service::read_model::ReadModel;
use event_log::{MemoryLog, Offset, Received};
use inventory_core::{FreshnessBounds, StalenessBuffer, StockItem, decide, evolve};
use service_kit::answers::Answers;
use shared_events::topic::Topics;
use shared_events::wire::{IncomingRecord, OutgoingRecord, encode_event};
use shared_events::{
    AdjustStock, CommandId, Delta, Epoch, EventId, Heartbeat, OnShortfall, RecordedEvent, Sequence,
    Sku, StockCommand, StoreId, Text, Timestamp,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

const STORES: usize = 8;
const ITEMS: usize = 500;
/// Records of one batch.
const BATCH: usize = 1_024;
/// Most batches that are measured.
const BATCHES: usize = 16;
/// Items of one question.
const ASKED: usize = 50;
/// Nobody becomes stale while this runs.
const BOUNDS: FreshnessBounds = FreshnessBounds {
    stale_after_ms: 86_400_000,
    dark_after_ms: 172_800_000,
    buffer: StalenessBuffer { units: 2, units_per_minute: 1 },
};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let path = arguments.next().unwrap_or_else(|| "apply".to_owned());
    let times: usize = arguments.next().map_or(Ok(1), |times| times.parse())?;
    match path.as_str() {
        "apply" => apply(times),
        "availability" => availability(times),
        other => bail!("there is no path {other}: apply or availability"),
    }
}

/// Decodes and applies batches of sales, one transaction each, of items that are known.
fn apply(times: usize) -> anyhow::Result<()> {
    ensure!(times <= BATCHES, "at most {BATCHES} batches");
    let mut chain = Chain::default();
    let first = chain.records(STORES * ITEMS)?;
    let records = chain.records(BATCHES * BATCH)?;
    let mut centre = Centre::open()?;
    centre.apply(&first)?;
    for batch in records.chunks(BATCH).take(times) {
        centre.apply(batch)?;
    }
    Ok(())
}

/// Answers what may be offered of 50 items in all stores, from request to body.
fn availability(times: usize) -> anyhow::Result<()> {
    let mut chain = Chain::default();
    let mut centre = Centre::open()?;
    centre.apply(&chain.records(STORES * ITEMS)?)?;
    centre.hear(&chain)?;
    let skus: Vec<String> = (0..ASKED).map(|number| format!("ITEM-{:05}", number * 7)).collect();
    let path = format!("/api/query/availability?sku={}", skus.join(","));
    let router = centre.router()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for _time in 0..times {
        let request = Request::get(&path).body(Body::empty())?;
        let answer = runtime.block_on(router.clone().oneshot(request))?;
        ensure!(answer.status() == StatusCode::OK, "the question is answered");
        let body = runtime.block_on(to_bytes(answer.into_body(), usize::MAX))?;
        ensure!(body.len() > ASKED * STORES * 20, "every item is answered in every store");
    }
    Ok(())
}

/// Stores that sell.
#[derive(Default)]
struct Chain {
    items: HashMap<(usize, usize), StockItem>,
    heads: [u64; STORES],
    sold: usize,
}

impl Chain {
    /// What the stores say of so many changes, one item after the other.
    fn records(&mut self, changes: usize) -> anyhow::Result<Vec<OutgoingRecord>> {
        (0..changes).map(|_| self.change()).collect()
    }

    fn change(&mut self) -> anyhow::Result<OutgoingRecord> {
        let number = self.sold;
        self.sold += 1;
        // Each pair comes once before any comes again, and not in the order of its name.
        let pair = number * 1_237 % (STORES * ITEMS);
        let (store, place) = (pair % STORES, pair / STORES);
        let item = self.items.entry((store, place)).or_default();
        let (units, reason) =
            if item.on_hand == 0 { (1_000_000, "delivery") } else { (-1, "sale") };
        let command = StockCommand::Adjust(AdjustStock {
            sku: sku(place)?,
            delta: Delta::new(units).context("a delta")?,
            expected_version: None,
            on_shortfall: OnShortfall::Reject,
            reason: Some(Text::parse(reason).map_err(anyhow::Error::msg)?),
            reference: None,
        });
        let events = decide(item, &[], &command).ok().context("the shelf covers it")?;
        let event = events.into_iter().next().context("a change leads to an event")?;
        evolve(item, &event);
        let head = self.heads.get_mut(store).context("a store")?;
        *head += 1;
        Ok(encode_event(&RecordedEvent {
            id: EventId {
                store: store_id(store)?,
                epoch: Epoch::new(1),
                sequence: Sequence::new(*head),
            },
            sku: sku(place)?,
            occurred_at: at(number)?,
            cause: Some(CommandId::parse(&format!("sale-{number:08}"))?),
            principal: None,
            traceparent: Some(format!("00-{:032x}-{:016x}-00", number + 1, number + 1)),
            event,
        }))
    }
}

/// A centre without its threads.
struct Centre {
    projection: Projection,
    admission: Arc<Admission>,
    model: Arc<ReadModel>,
    metrics: Arc<Metrics>,
    streams: Arc<Streams>,
    settings: Settings,
    reader: Arc<Mutex<Reader>>,
    batches: usize,
    folder: TempDir,
}

impl Centre {
    fn open() -> anyhow::Result<Self> {
        let folder = test_support::folder();
        let topics = Topics::new("", 1);
        let settings = Settings::new("c1".parse()?, 3_000, 120_000);
        let metrics = Arc::new(Metrics::new(PathBuf::new()));
        let model = Arc::new(ReadModel::new(BOUNDS));
        let database = Database::open(folder.path())?;
        let history = Recorder::open(&database, DEFAULT_EVENTS)?;
        let feed = Feed::new(&history, database.reader()?);
        let reader = Arc::new(Mutex::new(database.reader()?));
        let streams = Streams::new(feed, Limits::default(), CancellationToken::new());
        let (projection, _positions, _cluster_id) = Projection::open(
            database,
            history,
            Arc::clone(&model),
            Duration::from_secs(3_600),
            settings.clone(),
            topics.clone(),
            metrics.ledger.clone(),
        )?;
        let admission = Arc::new(Admission::new(topics, Arc::new(MemoryLog::default())));
        let streams = Arc::new(streams);
        Ok(Self {
            projection,
            admission,
            model,
            metrics,
            streams,
            settings,
            reader,
            batches: 0,
            folder,
        })
    }

    /// Reads records as the intake does, and applies them.
    fn apply(&mut self, records: &[OutgoingRecord]) -> anyhow::Result<()> {
        let mut batch = Batch { caught_up: true, ..Batch::default() };
        for (record, offset) in records.iter().zip(0..) {
            let headers: Vec<(&str, &[u8])> = (record.headers.iter())
                .map(|(name, value)| (name.as_str(), value.as_slice()))
                .collect();
            let received = Received {
                topic: "inventory.stock-events.v1",
                partition: 0,
                offset: Offset(offset),
                appended_at_ms: None,
                record: IncomingRecord {
                    key: Some(&record.key),
                    headers: &headers,
                    value: record.value.as_deref(),
                },
            };
            match self.admission.judge(Kind::Events, &received) {
                Verdict::Event(event) => batch.events.push(event),
                other => bail!("an event is let in, and not {other:?}"),
            }
        }
        self.batches += 1;
        let applied = self.projection.apply(&batch, at(self.batches)?)?;
        ensure!(applied.events == u64::try_from(records.len())?, "every event is new");
        Ok(())
    }

    /// Hears of every store that all it wrote is here.
    fn hear(&mut self, chain: &Chain) -> anyhow::Result<()> {
        let mut batch = Batch::default();
        for (place, head) in chain.heads.iter().enumerate() {
            let id = store_id(place)?;
            let digest = self.model.store(&id).context("a known store")?.1.view.digest.to_string();
            let heartbeat = Heartbeat {
                store_id: id,
                epoch: Epoch::new(1),
                head: Sequence::new(*head),
                head_hash: "00".repeat(32),
                published_through: Sequence::new(*head),
                digest,
                sent_at: at(chain.sold)?,
                location: None,
                lineage: None,
                opening: false,
            };
            batch.heartbeats.push((heartbeat, Some(Instant::now())));
        }
        self.projection.apply(&batch, at(chain.sold)?)?;
        Ok(())
    }

    fn router(&self) -> anyhow::Result<Router> {
        Ok(api::router(api::State {
            model: Arc::clone(&self.model),
            ledger: Handle::closed(),
            centre: self.settings.centre.clone(),
            metrics: Arc::clone(&self.metrics),
            reader: Arc::clone(&self.reader),
            streams: Arc::clone(&self.streams),
            admission: Arc::clone(&self.admission),
            answers: Arc::new(Answers::open(self.folder.path())?),
        }))
    }
}

fn store_id(place: usize) -> anyhow::Result<StoreId> {
    Ok(StoreId::parse(&format!("S{place}"))?)
}

fn sku(place: usize) -> anyhow::Result<Sku> {
    Ok(Sku::parse(&format!("ITEM-{place:05}"))?)
}

fn at(number: usize) -> anyhow::Result<Timestamp> {
    let millis = 1_790_000_000_000 + i64::try_from(number)?;
    Timestamp::from_unix_millis(millis).context("this century")
}

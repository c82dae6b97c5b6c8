//! One client of the stream: a snapshot where it needs one, then every change.

use std::sync::Arc;

use serde::Serialize;
use shared_events::{EventId, Sku, StoreId, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use utoipa::ToSchema;

use super::frames::{End, Frames};
use super::{Limits, Streams};
use crate::api::events::StockChange;
use crate::database::Error;
use crate::history::{ChangeId, Filter, Kept};
use crate::read_model::{Level, ReadModel, StoreIndex};

/// An item of a snapshot.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct StockItemNow {
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// `store/epoch/sequence` of its newest event.
    event_id: String,
    /// Units on hand.
    on_hand: i64,
    /// Units promised to reservations.
    reserved: i64,
    /// The item's version.
    version: u64,
    /// When, by the store's clock.
    #[schema(value_type = String)]
    occurred_at: Timestamp,
}

/// Who follows, and what.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) streams: Arc<Streams>,
    pub(super) model: Arc<ReadModel>,
    pub(super) filter: Filter,
    pub(super) frames: Frames,
}

impl Client {
    /// Serves it until it or the centre goes; from a position on, or from a snapshot.
    pub(super) async fn run(self, start: Option<u64>) {
        let end = self.follow(start).await;
        tracing::debug!(?end, "a client of the stream is done");
        self.frames.end(end);
    }

    async fn follow(&self, start: Option<u64>) -> End {
        let mut news = self.streams.feed.news();
        let mut start = start;
        loop {
            let followed = match start.take() {
                Some(position) => self.changes(&mut news, position).await,
                None => self.snapshot().await.map(|position| start = Some(position)),
            };
            if let Err(end) = followed {
                return end;
            }
        }
    }

    /// Every change behind a position. Comes back only when the next one is not kept any more.
    async fn changes(&self, news: &mut watch::Receiver<Kept>, after: u64) -> Result<(), End> {
        let Limits { keep_alive, .. } = self.streams.limits;
        let life = self.streams.feed.kept();
        // A client that goes before the first change must be able to say from where.
        self.frames.send(told(&life.id(after))).await?;
        let (mut after, mut told_through, mut told_at) = (after, after, Instant::now());
        loop {
            let newest = news.borrow_and_update().newest;
            let mut text = String::new();
            if after < newest {
                self.frames.check()?;
                let page = self.streams.feed.page(after).await.map_err(|error| failed(&error))?;
                let Some(page) = page else {
                    return Ok(());
                };
                for change in page.changes.iter().filter(|change| self.filter.wants(change)) {
                    let id = life.id(change.position);
                    text += &frame(Some(&id), "stock", &StockChange::new(&id, change));
                }
                after = page.through();
            } else {
                self.wait(news, told_at + keep_alive).await?;
            }
            if text.is_empty() && told_at.elapsed() >= keep_alive {
                text = ": still here\n\n".to_owned();
                if told_through < after {
                    // What it did not want is behind it, too.
                    text += &told(&life.id(after));
                }
            }
            if !text.is_empty() {
                self.frames.send(text).await?;
                (told_through, told_at) = (after, Instant::now());
            }
        }
    }

    /// Waits for a commit, but not longer than until something is to be said.
    async fn wait(&self, news: &mut watch::Receiver<Kept>, until: Instant) -> Result<(), End> {
        tokio::select! {
            biased;
            () = self.frames.closing.cancelled() => Err(End::Stopping),
            () = self.frames.left() => Err(End::Left),
            told = news.changed() => told.map_err(|_no_recorder| End::Stopping),
            () = sleep_until(until) => Ok(()),
        }
    }

    /// All levels, each as it is at some time behind the position that this gives.
    async fn snapshot(&self) -> Result<u64, End> {
        // In front of the first level: what changes meanwhile is told again.
        let kept = self.streams.feed.kept();
        self.frames.send(frame(None, "snapshot-begin", &serde_json::json!({}))).await?;
        for (seen, index) in self.model.stores().into_iter().zip((0..).map(StoreIndex)) {
            let store = &seen.view.id;
            if !self.filter.wants_store(store) {
            } else if self.filter.skus.is_empty() {
                self.all_items(store, index).await?;
            } else {
                let skus = self.filter.skus.iter();
                let level = |sku: &Sku| Some(item(store, sku, &self.model.level(index, sku)?));
                let text: String = skus.filter_map(level).collect();
                self.frames.send(text).await?;
            }
        }
        let id = kept.id(kept.newest);
        let data = serde_json::json!({"id": id.to_string()});
        self.frames.send(frame(Some(&id), "snapshot-end", &data)).await?;
        Ok(kept.newest)
    }

    async fn all_items(&self, store: &StoreId, index: StoreIndex) -> Result<(), End> {
        let mut after = String::new();
        loop {
            let levels = self.streams.feed.levels(index, after).await;
            let levels = levels.map_err(|error| failed(&error))?;
            let Some((last, _)) = levels.last() else {
                return Ok(());
            };
            after = last.as_str().to_owned();
            self.frames
                .send(levels.iter().map(|(sku, level)| item(store, sku, level)).collect())
                .await?;
        }
    }
}

fn item(store: &StoreId, sku: &Sku, level: &Level) -> String {
    let Level { epoch, sequence, .. } = *level;
    let Ok(occurred_at) = Timestamp::from_unix_millis(level.occurred_at_ms) else {
        return String::new();
    };
    let now = StockItemNow {
        store_id: store.clone(),
        sku: sku.clone(),
        event_id: EventId { store: store.clone(), epoch, sequence }.to_string(),
        on_hand: level.on_hand,
        reserved: level.reserved,
        version: level.version.get(),
        occurred_at,
    };
    frame(None, "item", &now)
}

fn frame(id: Option<&ChangeId>, event: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).expect("plain data always serialises");
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("{id}event: {event}\ndata: {data}\n\n")
}

/// An id on its own: the client remembers it, and nothing else happens.
fn told(id: &ChangeId) -> String {
    format!("id: {id}\n\n")
}

fn failed(error: &Error) -> End {
    tracing::error!(%error, "the history cannot be read");
    End::Failed
}

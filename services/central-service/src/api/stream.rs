//! Every change as it happens, for those who stay connected: Server-Sent Events.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

mod client;
mod frames;

use std::sync::Arc;
use std::time::Duration;

use access::Principal;
use axum::body::Body;
use axum::extract::State as Ctx;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use service_kit::extract::Query;
use service_kit::{ErrorCode, Problem};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use super::State;
use super::events::{filter, id};
use crate::feed::Feed;
pub(super) use client::StockItemNow;

use client::Client;

/// What bounds the streams of a centre.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Clients that follow at the same time; more are refused.
    pub clients: usize,
    /// A client that takes nothing for this long, while there is something for it, is slow.
    pub patience: Duration,
    /// A connection without changes gets a comment this often.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 256,
            patience: Duration::from_secs(10),
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// All streams of a centre.
#[derive(Debug)]
pub struct Streams {
    /// Where changes come from.
    pub feed: Feed,
    limits: Limits,
    seats: Arc<Semaphore>,
    closing: CancellationToken,
}

impl Streams {
    /// Streams of a feed, which all end when `closing` is cancelled.
    #[must_use]
    pub fn new(feed: Feed, limits: Limits, closing: CancellationToken) -> Self {
        Self { feed, limits, seats: Arc::new(Semaphore::new(limits.clients)), closing }
    }

    /// How many follow.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.limits.clients.saturating_sub(self.seats.available_permits())
    }
}

/// Which changes, and from where on.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamQuery {
    /// Only of these stores, separated by commas: at most 200. They need not be known yet.
    store_id: Option<String>,
    /// Only of these items, separated by commas: at most 200.
    sku: Option<String>,
    /// Behind this id; `Last-Event-ID` wins. From now on, when neither is there.
    after: Option<String>,
    /// All levels first. Not with a `Last-Event-ID` that is still kept: that one resumes.
    #[serde(default)]
    snapshot: bool,
}

/// Every change in the order this centre applied it, as Server-Sent Events.
///
/// `event: stock` is a change (schema `StockChange`), its `id` is what `Last-Event-ID` takes. Behind an
/// id that is not kept any more, or that is of a database that is no more, comes a snapshot:
/// `snapshot-begin`, an `item` for each item (schema `StockItemNow`), `snapshot-end`, whose id is the
/// first to resume from. Changes behind it may repeat what the snapshot had. `end` has the `reason` why
/// the stream ends: `slow`, `stopping` or `failed`; connect again with the last id.
#[utoipa::path(
    get, path = "/api/stream", tag = "changes",
    params(
        StreamQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "Behind this id."),
    ),
    security(("bearer" = ["stock:read"])),
    responses(
        (status = 200, description = "The stream.", body = String, content_type = "text/event-stream"),
        (status = "4XX", description = "A bad id or query.", body = Problem),
        (status = 503, description = "Too many follow, or the centre is stopping.", body = Problem),
    )
)]
pub(super) async fn stream(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> Result<Response, Problem> {
    let streams = Arc::clone(&state.streams);
    let filter = filter(&principal, query.store_id.as_deref(), query.sku.as_deref())?;
    let last = headers
        .get("last-event-id")
        .map(|value| id(value.to_str().unwrap_or_default(), "last-event-id"));
    let last = last.transpose()?;
    let after = query.after.as_deref().map(|text| id(text, "after")).transpose()?;
    let kept = streams.feed.kept();
    let start = match (&last, after) {
        (Some(last), _) => kept.position(last),
        (None, _) if query.snapshot => None,
        (None, Some(after)) => kept.position(&after),
        (None, None) => Some(kept.newest),
    };
    if streams.closing.is_cancelled() {
        return Err(Problem::new(ErrorCode::ShuttingDown, "the centre is stopping"));
    }
    let seat = Arc::clone(&streams.seats).try_acquire_owned().map_err(|_none_left| {
        let detail = format!("{} clients follow already", streams.limits.clients);
        Problem::new(ErrorCode::Overloaded, detail)
    })?;
    let (frames, body) = frames::channel(streams.limits.patience, streams.closing.clone());
    let client = Client { streams, model: Arc::clone(&state.model), filter, frames };
    tokio::spawn(async move {
        // What a token lets see ends with it; the client comes back with a newer one.
        if tokio::time::timeout(principal.lasts(), client.run(start)).await.is_err() {
            tracing::debug!("a stream ended with the token of its client");
        }
        drop(seat);
    });
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(body)).into_response())
}

//! The centre's HTTP interface: what is where, and how far that can be believed.

mod operations;
mod query;
mod stores;

use std::sync::{Arc, Mutex};

use axum::Router;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::database::Reader;
use crate::metrics::Metrics;
use crate::read_model::{ReadModel, Seen};

/// What handlers work with.
#[derive(Debug, Clone)]
pub struct State {
    /// Levels and stores.
    pub model: Arc<ReadModel>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Lists in order; one reader, since whole stores are listed by people and tools.
    pub reader: Arc<Mutex<Reader>>,
}

/// How far a store's numbers can be believed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FreshnessView {
    /// `fresh`, `lagging`, `diverged`, `stale`, `dark` or `unknown`.
    state: &'static str,
    /// Milliseconds since the store's last heartbeat arrived; absent when none did since this centre
    /// started.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    /// Events the store reported that are not applied here.
    lag_events: u64,
}

impl FreshnessView {
    fn new(seen: Seen, lag_events: u64) -> Self {
        Self { state: seen.freshness.name(), age_ms: seen.age_ms, lag_events }
    }
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Onhand central",
    description = "All stores' stock, with the age of the knowledge.",
    license(name = "MIT OR Apache-2.0")
))]
struct Description;

/// The interface with its description and docs page.
pub fn router(state: State) -> Router {
    let (router, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(query::global))
        .routes(routes!(query::item))
        .routes(routes!(query::items))
        .routes(routes!(stores::stores))
        .routes(routes!(operations::livez))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::metrics))
        .with_state(state)
        .split_for_parts();
    router.merge(SwaggerUi::new("/api/docs").url("/api/openapi.json", description))
}

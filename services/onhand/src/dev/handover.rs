//! The centre's address takes the legacy commands too and hands each to the store it names.
//!
//! In this process that is a function call: the request goes, as it came, through the store's own
//! interface, so that validation, idempotency and answers are the store's.

use std::collections::HashMap;

use axum::Router;
use axum::body::Body as HttpBody;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use service_kit::extract::{Body, parse_json};
use service_kit::{ErrorCode, Problem};
use shared_events::StoreId;
use tower::ServiceExt as _;

/// Interfaces of the stores in this process.
#[derive(Debug, Clone, Default)]
pub(super) struct Stores {
    routers: HashMap<StoreId, Router>,
}

/// The one field that decides where a command goes; the store reads the rest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Addressed {
    store_id: StoreId,
}

impl Stores {
    pub(super) fn add(&mut self, store: StoreId, router: Router) {
        self.routers.insert(store, router);
    }

    /// Routes of the legacy commands.
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/api/commands/inventory/replace", post(hand_over))
            .route("/api/commands/inventory/adjust", post(hand_over))
            .with_state(self)
    }
}

async fn hand_over(State(stores): State<Stores>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let Body(bytes) = axum::RequestExt::extract(Request::new(body)).await?;
    let Addressed { store_id } = parse_json(&bytes)?;
    let router = stores.routers.get(&store_id).ok_or_else(|| {
        let detail = format!("there is no store {store_id} in this process");
        Problem::new(ErrorCode::UnknownStore, detail).field("storeId")
    })?;
    let request = Request::from_parts(parts, HttpBody::from(bytes));
    Ok(router.clone().oneshot(request).await.into_response())
}

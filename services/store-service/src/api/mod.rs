//! The store's HTTP interface: parse, ask, answer.

mod answer;
mod batch;
mod commands;
mod operations;
mod query;
mod reservations;
mod sync;

use std::sync::{Arc, Mutex, PoisonError};

use access::{Access, Doors, Rules};
use axum::Router;
use service_kit::answers::Answers;
use service_kit::{ErrorCode, Problem, described, trace};
use shared_events::StoreId;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::journal::Reader;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::shelf::Shelf;
use crate::writer::Handle;

/// What handlers work with.
#[derive(Debug, Clone)]
pub struct State {
    /// The store this is.
    pub store: StoreId,
    /// Executes commands.
    pub writer: Handle,
    /// Items now.
    pub shelf: Arc<Shelf>,
    /// Progress of the relay.
    pub outbox: Arc<Outbox>,
    /// Items then; one reader, since history is asked by people.
    pub reader: Arc<Mutex<Reader>>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What operators' named requests got.
    pub answers: Arc<Answers>,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Onhand store",
    description = "The authority for one store's stock: commands are durable when answered.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
))]
struct Description;

/// The interface with its description and docs page, as it is where nobody is asked who they are.
pub fn router(state: State) -> Router {
    doors(state, &Access::default()).main
}

/// The interface with its description and docs page, guarded.
///
/// # Panics
/// When an operation does not declare who may use it, whatever `access` says.
pub(crate) fn doors(state: State, access: &Access) -> Doors {
    let home = state.store.clone();
    let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(commands::replace))
        .routes(routes!(commands::adjust))
        .routes(routes!(batch::batch))
        .routes(routes!(query::item))
        .routes(routes!(query::items))
        .routes(routes!(query::events))
        .routes(routes!(reservations::reservations))
        .routes(routes!(reservations::reservation))
        .routes(routes!(reservations::fulfil))
        .routes(routes!(reservations::refuse))
        .routes(routes!(sync::status, sync::replay))
        .routes(routes!(operations::livez))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::metrics))
        .with_state(state)
        .split_for_parts();
    described::complete(&mut description);
    let rules = Rules::declared(&mut description).expect("every operation says who may use it");
    let docs = SwaggerUi::new("/api/docs").url("/api/openapi.json", description);
    access.guard(router.merge(docs), rules, Some(&home))
}

/// Reads the journal beside its writer, off the threads that serve requests.
async fn read<T: Send + 'static>(
    state: &State,
    ask: impl FnOnce(&Reader) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let reader = Arc::clone(&state.reader);
    let look = move || ask(&reader.lock().unwrap_or_else(PoisonError::into_inner));
    tokio::task::spawn_blocking(trace::carrying(look))
        .await
        .map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?
}

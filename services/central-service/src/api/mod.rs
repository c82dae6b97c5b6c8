//! The centre's HTTP interface: what is where, how far that can be believed, and whom it is kept for.

mod as_of;
mod availability;
mod commands;
mod dead_letters;
mod events;
mod explain;
mod freshness;
mod item_events;
mod operations;
mod policies;
mod query;
mod reservation_answer;
mod reservation_view;
mod reservations;
mod reserve;
mod stores;
pub mod stream;
mod sync;

use std::sync::{Arc, Mutex, PoisonError};

use access::{Access, Doors, Rules};
use axum::Router;
use service_kit::answers::Answers;
use service_kit::{ErrorCode, Problem, described};
use shared_events::{CentreId, StoreId};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::admission::Admission;
use crate::clock::now;
use crate::database::{Error, Reader};
use crate::ledger::Refusal;
use crate::metrics::Metrics;
use crate::projector::Handle;
use crate::read_model::ReadModel;
use stream::{StockItemNow, Streams};

/// What handlers work with.
#[derive(Debug, Clone)]
pub struct State {
    /// Levels, stores and policies.
    pub model: Arc<ReadModel>,
    /// Takes requests.
    pub ledger: Handle,
    /// This centre.
    pub centre: CentreId,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Lists, reservations and commands as they were committed.
    pub reader: Arc<Mutex<Reader>>,
    /// Those who follow the changes.
    pub streams: Arc<Streams>,
    /// What is let in of the broker.
    pub admission: Arc<Admission>,
    /// What operators' named requests got.
    pub answers: Arc<Answers>,
}

/// Reads the database beside its writer.
async fn read<T: Send + 'static>(
    state: &State,
    look: impl FnOnce(&Reader) -> Result<T, Error> + Send + 'static,
) -> Result<T, Problem> {
    let reader = Arc::clone(&state.reader);
    tokio::task::spawn_blocking(move || {
        look(&reader.lock().unwrap_or_else(PoisonError::into_inner))
    })
    .await
    .map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?
    .map_err(|error| unreadable(&error))
}

fn unreadable(error: &Error) -> Problem {
    tracing::error!(%error, "the database cannot be read");
    Problem::new(ErrorCode::Internal, "the database cannot be read; the log has the cause")
}

/// Refuses what needs to know the stores before they are known.
fn require_ready(state: &State) -> Result<(), Problem> {
    if state.model.has_caught_up() {
        return Ok(());
    }
    let detail = "the centre is still reading what was written while it was away";
    Err(Problem::new(ErrorCode::NotReady, detail))
}

fn unknown_store(store: &StoreId) -> Problem {
    let detail = format!("no event and no heartbeat of store {store} has been seen here");
    Problem::new(ErrorCode::UnknownStore, detail).field("storeId")
}

/// Why the ledger did not take a request, whatever it was about.
fn refused(refusal: &Refusal) -> Problem {
    let code = match refusal {
        Refusal::KeyReused => ErrorCode::CommandIdReused,
        Refusal::Illegal { .. } => ErrorCode::ReservationState,
        Refusal::QuotaExceeded { .. } => ErrorCode::QuotaExceeded,
        Refusal::UnknownReservation(_) => ErrorCode::UnknownReservation,
        Refusal::Overloaded => ErrorCode::Overloaded,
        Refusal::Stopped => ErrorCode::ShuttingDown,
        Refusal::Unknown => ErrorCode::OutcomeUnknown,
    };
    let problem = Problem::new(code, refusal.to_string());
    match refusal {
        Refusal::QuotaExceeded { limit } => problem.fact("limit", *limit),
        _ => problem,
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Onhand central",
        description = "All stores' stock, with the age of the knowledge, and reservations of it.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(StockItemNow))
)]
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
    let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(query::global))
        .routes(routes!(query::item))
        .routes(routes!(query::items))
        .routes(routes!(item_events::item_events))
        .routes(routes!(availability::availability))
        .routes(routes!(explain::explain))
        .routes(routes!(reserve::reserve, reservations::reservations))
        .routes(routes!(reservations::reservation))
        .routes(routes!(reservations::fulfil))
        .routes(routes!(reservations::cancel))
        .routes(routes!(commands::replace))
        .routes(routes!(commands::adjust))
        .routes(routes!(commands::command))
        .routes(routes!(policies::safety_stocks, policies::set, policies::remove))
        .routes(routes!(stores::stores))
        .routes(routes!(stores::store))
        .routes(routes!(stores::sell))
        .routes(routes!(sync::status, sync::compare))
        .routes(routes!(stream::stream))
        .routes(routes!(events::events))
        .routes(routes!(dead_letters::dead_letters))
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(operations::livez))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::metrics))
        .with_state(Arc::new(state))
        .split_for_parts();
    described::complete(&mut description);
    let rules = Rules::declared(&mut description).expect("every operation says who may use it");
    let docs = SwaggerUi::new("/api/docs").url("/api/openapi.json", description);
    access.guard(router.merge(docs), rules, None)
}

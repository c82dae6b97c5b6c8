//! The store's HTTP interface: parse, ask, answer.

mod answer;
mod batch;
mod commands;
mod operations;
mod query;
mod reservations;
pub(crate) mod root;
mod sync;

use std::sync::{Arc, Mutex, PoisonError};

use access::{Access, Doors, Rules};
use axum::Router;
use service_kit::answers::Answers;
use service_kit::{ErrorCode, Problem, described, trace};
use shared_events::StoreId;
use utoipa::OpenApi;
use utoipa::openapi::Server;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

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
    /// Items then; one reader, since history is asked by people. Also that of the centre's commands.
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
    Interface::of_one().doors(state, &Access::default()).main
}

/// The interface before it is that of a store: routes, who may use them, description and docs page. Made
/// once, however many stores there are.
pub(crate) struct Interface {
    routes: Router<Arc<State>>,
    rules: Rules,
    docs: Router,
}

impl Interface {
    /// That of a store which is alone.
    pub(crate) fn of_one() -> Self {
        Self::new(None)
    }

    /// That of stores which are each beneath a name.
    pub(crate) fn of_several() -> Self {
        // Seen from where the description is.
        Self::new(Some(vec![Server::new("..")]))
    }

    /// # Panics
    /// When an operation does not declare who may use it, whatever access is given.
    fn new(servers: Option<Vec<Server>>) -> Self {
        let (routes, mut description) = OpenApiRouter::with_openapi(Description::openapi())
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
            .split_for_parts();
        described::complete(&mut description);
        let rules = Rules::declared(&mut description).expect("every operation says who may use it");
        description.servers = servers;
        // As the page sees it, wherever that is.
        let page = Config::new(["../openapi.json"]);
        let docs = SwaggerUi::new("/api/docs").url("/api/openapi.json", description).config(page);
        Self { routes, rules, docs: docs.into() }
    }

    /// That of one store, guarded.
    pub(crate) fn doors(&self, state: State, access: &Access) -> Doors {
        let home = state.store.clone();
        let router = self.routes.clone().with_state(Arc::new(state)).merge(self.docs.clone());
        access.guard(router, self.rules.clone(), Some(&home))
    }
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

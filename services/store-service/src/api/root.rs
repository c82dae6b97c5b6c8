//! What stands above several stores: how the process is, and which stores there are.

use std::fmt::Write as _;
use std::sync::Arc;

use access::{Access, Doors, Rules};
use axum::extract::State as Ctx;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::any;
use prometheus_client::registry::Registry;
use service_kit::extract::Query;
use service_kit::health::{Check, Condition, ReadyQuery, telling};
use service_kit::metrics::Common;
use service_kit::server::Counts;
use service_kit::server::beneath::{self, PREFIX};
use service_kit::{ErrorCode, Problem, http};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::operations::{self, checks};
use super::{Description, State};

/// Stores that an answer names.
const NAMED: usize = 20;

/// The stores of a process.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    stores: Arc<[State]>,
    common: Arc<Common>,
}

impl Root {
    pub(crate) fn new(stores: Vec<State>) -> Self {
        let common = Arc::new(Common::new(env!("CARGO_PKG_VERSION"), None));
        Self { stores: stores.into(), common }
    }

    /// What the listener counts.
    pub(crate) fn counts(&self) -> Counts {
        self.common.server.clone()
    }

    /// The routes that are no store's, bounded.
    ///
    /// # Panics
    /// When an operation does not declare who may use it.
    pub(crate) fn doors(&self, access: &Access) -> Doors {
        let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
            .routes(routes!(operations::livez))
            .routes(routes!(readyz))
            .routes(routes!(metrics))
            .with_state(self.clone())
            .split_for_parts();
        let rules = Rules::declared(&mut description).expect("every operation says who may use it");
        let doors = access.guard(router, rules, None);
        // Behind the guard, since there is nothing to guard.
        let nowhere = any(nowhere).with_state::<()>(self.clone());
        let finished = |router: axum::Router| {
            let router = router.route("/", nowhere.clone()).route("/{*path}", nowhere.clone());
            http::bounded(router, &self.common.requests)
        };
        Doors { main: finished(doors.main), admin: doors.admin.map(finished) }
    }

    /// The stores, as a person reads them.
    fn named(&self) -> String {
        let names: Vec<_> =
            self.stores.iter().take(NAMED).map(|state| state.store.as_str()).collect();
        let mut text = names.join(", ");
        if let Some(more) = self.stores.len().checked_sub(NAMED).filter(|more| *more > 0) {
            // Writing to a String cannot fail.
            write!(text, " and {more} more").unwrap_or_default();
        }
        text
    }
}

/// All stores can sell; those that cannot are named.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    params(("verbose" = Option<String>, Query, description = "A line for each part of each store.")),
    security(()),
    responses((status = 200, description = "Ready."), (status = 503, description = "Not ready."))
)]
async fn readyz(Ctx(root): Ctx<Root>, Query(query): Query<ReadyQuery>) -> Response {
    let mut all = Vec::new();
    for state in root.stores.iter() {
        // A journal that cannot be read is one store's trouble, and the rest is still told.
        let unreadable = "it cannot be read; the log has the cause".to_owned();
        let found = checks(state).await.map_or_else(
            |_told_in_the_log| vec![Check::new("journal", Condition::Failed(unreadable))],
            Vec::from,
        );
        for Check { name, condition } in found {
            all.push(Check::new(format!("store {}: {name}", state.store), condition));
        }
    }
    telling(&all, |check| query.is_verbose() || check.has_failed())
}

/// Metrics of the process: connections, and requests that are no store's.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    security(()),
    responses((status = 200, description = "All metrics."))
)]
async fn metrics(Ctx(root): Ctx<Root>, headers: HeaderMap) -> Response {
    let waiting: usize = root.stores.iter().map(|state| state.writer.waiting()).sum();
    root.common.mailbox.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    root.common.render(&Registry::default(), &headers)
}

async fn nowhere(Ctx(root): Ctx<Root>, uri: Uri) -> Problem {
    let named = root.named();
    match beneath::split(uri.path()) {
        Some((store, _)) => Problem::new(
            ErrorCode::UnknownStore,
            format!("store {store} is not served here; these are: {named}"),
        ),
        None => Problem::new(
            ErrorCode::NotFound,
            format!("each store is beneath {PREFIX}ID; there are: {named}"),
        ),
    }
}

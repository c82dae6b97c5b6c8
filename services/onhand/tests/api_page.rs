//! `docs/api.md` and the committed descriptions against the services: every route and every error code is
//! on the page, and no other; `docs/openapi-*.json` is what the services say of themselves.
//! `UPDATE_DOCS=1` writes the descriptions anew.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use central_service::ledger::Settings;
use event_log::{EventLog, MemoryLog};
use inventory_core::FreshnessBounds;
use serde_json::Value;
use service_kit::ErrorCode;
use shared_events::topic::Topics;
use shared_events::{CentreId, StoreId};
use tower::ServiceExt as _;

const PAGE: &str = include_str!("../../../docs/api.md");

/// Headings under which the page has each service's routes.
const STORE: &str = "## 2. The store";
const CENTRE: &str = "## 3. The centre";

const METHODS: [&str; 5] = ["DELETE", "GET", "PATCH", "POST", "PUT"];

/// What serves the description is not described by it.
const DESCRIPTION: [&str; 2] = ["/api/docs", "/api/openapi.json"];

/// Every code; [`every_error_code_is_on_the_page_with_its_status`] fails when one is left out.
const CODES: [ErrorCode; 34] = [
    ErrorCode::BodyTooLarge,
    ErrorCode::BodyTooSlow,
    ErrorCode::CertificateRequired,
    ErrorCode::CommandIdReused,
    ErrorCode::Forbidden,
    ErrorCode::HeadersTooLarge,
    ErrorCode::HistoryGone,
    ErrorCode::InsufficientStock,
    ErrorCode::Internal,
    ErrorCode::InvalidField,
    ErrorCode::LevelOutOfRange,
    ErrorCode::MalformedBody,
    ErrorCode::MethodNotAllowed,
    ErrorCode::NotFound,
    ErrorCode::NotReady,
    ErrorCode::OutcomeUnknown,
    ErrorCode::Overloaded,
    ErrorCode::PreconditionFailed,
    ErrorCode::QuotaExceeded,
    ErrorCode::RateLimited,
    ErrorCode::ReservationRejected,
    ErrorCode::ReservationState,
    ErrorCode::ShuttingDown,
    ErrorCode::StorageFull,
    ErrorCode::Timeout,
    ErrorCode::Unauthenticated,
    ErrorCode::UnknownItem,
    ErrorCode::UnknownReservation,
    ErrorCode::UnknownStore,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::UrlTooLong,
    ErrorCode::VersionConflict,
    ErrorCode::WrongCentre,
    ErrorCode::WrongStore,
];

async fn store() -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let config = store_service::Config {
        store: StoreId::parse("A").expect("a store id"),
        data_dir: folder.path().to_owned(),
        topics: Topics::new("", 1),
        location: None,
        heartbeat_every: Duration::from_secs(1),
        witness_wait: Duration::ZERO,
        unwitnessed: store_service::opening::Unwitnessed::Serve,
        release_grace: Duration::from_secs(120),
    };
    description(store_service::App::build(config, log).expect("the folder is free").router()).await
}

async fn centre() -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::default());
    let config = central_service::Config {
        data_dir: folder.path().to_owned(),
        topics: Topics::new("", 1),
        freshness: FreshnessBounds::default(),
        ledger: Settings::new(CentreId::parse("c1").expect("a centre id"), 3_000, 120_000),
        gap_grace: Duration::from_secs(2),
        history_events: central_service::history::DEFAULT_EVENTS,
    };
    description(central_service::App::build(config, log).expect("the folder is free").router())
        .await
}

async fn description(router: Router) -> Value {
    let request = Request::get("/api/openapi.json").body(Body::empty()).expect("a request");
    let response = router.oneshot(request).await.expect("an answer");
    assert!(response.status().is_success(), "{response:?}");
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

/// Methods and paths of a description, as in `GET /livez`.
fn described(openapi: &Value) -> BTreeSet<String> {
    let paths = openapi["paths"].as_object().expect("paths");
    let routes = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("a path item").keys().map(|key| key.to_uppercase());
        methods
            .filter(|method| METHODS.contains(&method.as_str()))
            .map(move |method| format!("{method} {path}"))
    });
    routes.collect()
}

/// The page's part under a heading.
fn section(heading: &str) -> &str {
    let (_, behind) = PAGE.split_once(heading).expect(heading);
    behind.split("\n## ").next().unwrap_or(behind)
}

/// Methods and paths that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let route = |pair: &[&str]| {
        let &[before, text] = pair else {
            return None;
        };
        let method = before.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
        let is_route = METHODS.contains(&method) && text.starts_with('/');
        is_route.then(|| format!("{method} {}", path(text)))
    };
    words.windows(2).filter_map(route).collect()
}

/// A path without what stands behind it.
fn path(text: &str) -> &str {
    let behind = |c: char| "?`'\",;)|".contains(c);
    text.split(behind).next().unwrap_or(text).trim_end_matches(['.', ':'])
}

/// Whether a path, of an example perhaps, is that of a route.
fn is_of(path: &str, route: &str) -> bool {
    let (_, template) = route.split_once(' ').expect("a method and a path");
    let (path, template): (Vec<_>, Vec<_>) =
        (path.split('/').collect(), template.split('/').collect());
    let fits = |(part, wanted): (&&str, &&str)| {
        part == wanted || wanted.starts_with('{') && !part.is_empty()
    };
    path.len() == template.len() && path.iter().zip(&template).all(fits)
}

fn name(code: ErrorCode) -> String {
    serde_json::to_value(code).expect("a name").as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn the_committed_descriptions_are_what_the_services_say_of_themselves() {
    for (name, openapi) in [("store", store().await), ("central", centre().await)] {
        let path = format!("{}/../../docs/openapi-{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = format!("{openapi:#}\n");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &text).expect("docs can be written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let line = committed.lines().zip(text.lines()).find(|(committed, says)| committed != says);
        assert!(committed == text, "{path}: see UPDATE_DOCS in {}; {line:?}", file!());
    }
}

#[tokio::test]
async fn each_service_has_the_routes_that_its_section_names() {
    for (heading, openapi) in [(STORE, store().await), (CENTRE, centre().await)] {
        assert_eq!(named(section(heading)), described(&openapi), "{heading}");
    }
}

#[tokio::test]
async fn no_path_on_the_page_leads_nowhere() {
    let mut routes = described(&store().await);
    routes.extend(described(&centre().await));
    let elsewhere: Vec<_> = named(PAGE).difference(&routes).cloned().collect();
    assert!(elsewhere.is_empty(), "no service has {elsewhere:?}");
    let paths = PAGE.match_indices("/api/").map(|(at, _)| {
        let text = PAGE[at..].split_whitespace().next().unwrap_or_default();
        path(text)
    });
    for path in paths.filter(|path| !DESCRIPTION.contains(path)) {
        assert!(routes.iter().any(|route| is_of(path, route)), "no service has {path}");
    }
}

#[tokio::test]
async fn every_error_code_is_on_the_page_with_its_status() {
    let codes: BTreeSet<String> = CODES.into_iter().map(name).collect();
    for openapi in [store().await, centre().await] {
        let all = openapi["components"]["schemas"]["ErrorCode"]["enum"].as_array().expect("codes");
        let all: BTreeSet<String> =
            all.iter().map(|code| code.as_str().expect("a text").to_owned()).collect();
        assert_eq!(codes, all, "CODES has every code");
    }
    let row = |code: ErrorCode| {
        let retryable = if code.is_retryable() { "yes" } else { "no" };
        (name(code), code.status().as_u16(), retryable.to_owned())
    };
    let rows: BTreeSet<_> = CODES.into_iter().map(row).collect();
    // A row of this table has a status in its second column.
    let on_page = PAGE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let code = cells.next()?.strip_suffix('`')?.to_owned();
        Some((code, cells.next()?.trim().parse::<u16>().ok()?, cells.next()?.trim().to_owned()))
    });
    assert_eq!(on_page.collect::<BTreeSet<_>>(), rows);
    let words = PAGE.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let like_codes = words.filter(|word| {
        word.trim_matches('_').contains('_')
            && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    });
    for word in like_codes {
        assert!(codes.contains(word), "there is no error code {word}");
    }
}

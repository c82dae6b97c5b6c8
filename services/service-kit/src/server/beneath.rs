//! Several services behind one listener, each beneath a prefix of its own: `/stores/A/api/…` is what
//! `/api/…` is where A is alone.
//!
//! The prefix is taken off before a service's own router looks at the path, so routes, access rules and
//! counts are the same in both forms. Request spans do not name the service.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use tower::ServiceExt as _;

/// What stands before a service's name.
pub const PREFIX: &str = "/stores/";

/// The name that a path lies beneath, and the path as that service sees it.
#[must_use]
pub fn split(path: &str) -> Option<(&str, &str)> {
    let named = path.strip_prefix(PREFIX)?;
    named.find('/').map(|end| named.split_at(end))
}

/// A path as its service sees it.
pub(super) fn own(path: &str) -> &str {
    split(path).map_or(path, |(_, own)| own)
}

/// Puts services beneath their names; what is for none of them goes to `root`.
pub fn router(services: HashMap<String, Router>, root: Router) -> Router {
    // A fallback and no route: a route would leave what it found out about the path.
    Router::new().fallback(to_its_service).with_state(Arc::new(Services { services, root }))
}

#[derive(Debug)]
struct Services {
    services: HashMap<String, Router>,
    root: Router,
}

async fn to_its_service(State(all): State<Arc<Services>>, mut request: Request) -> Response {
    request.extensions_mut().remove::<OriginalUri>();
    let beneath = split(request.uri().path())
        .and_then(|(name, own)| Some((all.services.get(name)?, name, own_uri(request.uri(), own)?)))
        .map(|(service, name, uri)| (service, format!("{PREFIX}{name}"), uri));
    let Some((service, prefix, uri)) = beneath else {
        let Ok(response) = all.root.clone().oneshot(request).await;
        return response;
    };
    *request.uri_mut() = uri;
    let Ok(mut response) = service.clone().oneshot(request).await;
    if let Some(place) = placed(&response, &prefix) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

/// The same with another path.
fn own_uri(uri: &Uri, path: &str) -> Option<Uri> {
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(format!("{path}{query}")).ok();
    Uri::from_parts(parts).ok()
}

/// A place that the service named, as callers find it.
fn placed(response: &Response, prefix: &str) -> Option<HeaderValue> {
    let place = response.headers().get(header::LOCATION)?.to_str().ok()?;
    if !place.starts_with('/') {
        return None;
    }
    HeaderValue::try_from(format!("{prefix}{place}")).ok()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::extract::{MatchedPath, RawPathParams};
    use axum::http::StatusCode;
    use axum::response::{IntoResponse as _, Redirect};
    use axum::routing::get;

    use super::*;

    /// Answers with what it sees of a path.
    fn service(name: &'static str) -> Router {
        let told = async move |path: MatchedPath, params: RawPathParams, uri: Uri| {
            let params: Vec<_> =
                params.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("{name} {} {} {uri}", path.as_str(), params.join(","))
        };
        let place = async || Redirect::to("/api/docs/").into_response();
        Router::new().route("/api/{storeId}", get(told)).route("/api/docs", get(place))
    }

    async fn ask(path: &str) -> (StatusCode, String, String) {
        let services = ["A", "B"].map(|name| (name.to_owned(), service(name)));
        let root = Router::new().route("/readyz", get(async || "root"));
        let all = router(services.into(), root);
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = all.oneshot(request).await.unwrap();
        let place = response.headers().get(header::LOCATION).cloned();
        let place = place.map_or_else(String::new, |place| place.to_str().unwrap().to_owned());
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap(), place)
    }

    #[tokio::test]
    async fn a_service_sees_its_own_paths_and_no_other() {
        let (_, told, _) = ask("/stores/A/api/x%2Fy?q=1").await;
        assert_eq!(told, "A /api/{storeId} storeId=x/y /api/x%2Fy?q=1");
        assert_eq!(ask("/stores/B/api/z").await.1, "B /api/{storeId} storeId=z /api/z");
        assert_eq!(ask("/readyz").await.1, "root");
        for path in ["/stores/C/api/x", "/stores/A", "/stores//api/x", "/stores/", "/api/x"] {
            assert_eq!(ask(path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn a_place_that_a_service_names_is_where_callers_find_it() {
        assert_eq!(ask("/stores/A/api/docs").await.2, "/stores/A/api/docs/");
    }
}

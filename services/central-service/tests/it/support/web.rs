//! Asking the HTTP interface, and holding its answers to their description.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt as _;

/// An answer as a caller sees it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) media_type: String,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("the body is JSON")
    }

    /// The JSON of a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    /// A header, when it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A problem document of this status and code; gives its field.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        let body = self.json();
        assert_eq!((self.status.as_u16(), &body["code"]), (status, &code.into()), "{body}");
        assert_eq!(self.media_type, "application/problem+json");
        assert_eq!(body["type"], format!("urn:onhand:problem:{code}"));
        assert_eq!(body["status"], status);
        assert!(!body["detail"].as_str().expect("a detail").is_empty());
        assert_eq!(body["retryable"], false);
        body["field"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) async fn get(router: &Router, path: &str) -> Answer {
    ask(router, Request::get(path).body(Body::empty()).expect("a request")).await
}

pub(crate) async fn post(router: &Router, path: &str) -> Answer {
    ask(router, Request::post(path).body(Body::empty()).expect("a request")).await
}

pub(crate) async fn put(router: &Router, path: &str, body: &Value) -> Answer {
    let request = Request::put(path).header(header::CONTENT_TYPE, "application/json");
    ask(router, request.body(Body::from(body.to_string())).expect("a request")).await
}

pub(crate) async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let answer = router.clone().oneshot(request).await.expect("a router always answers");
    let (status, headers) = (answer.status(), answer.headers().clone());
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default().to_owned();
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status, media_type, headers, text }
}

/// Whether a value has the shape that a schema of the description gives it: nothing that is not
/// described, nothing missing that is required, and so on for what is inside.
#[track_caller]
pub(crate) fn documented(openapi: &Value, schema: &str, value: &Value) {
    let all = &openapi["components"]["schemas"];
    check(all, &all[schema], schema, value);
}

#[track_caller]
fn check(all: &Value, schema: &Value, path: &str, value: &Value) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().expect("a name");
        return check(all, &all[name], path, value);
    }
    // What may be absent, and is a schema of its own.
    if let Some(choices) = schema["oneOf"].as_array() {
        let choice = choices.iter().find(|choice| choice["type"] != "null").expect(path);
        return check(all, choice, path, value);
    }
    if let Some(items) = value.as_array() {
        for item in items {
            check(all, &schema["items"], &format!("{path}[]"), item);
        }
    } else if let Some(fields) = value.as_object() {
        let described = schema["properties"].as_object().expect(path);
        for (name, field) in fields {
            let inner = described.get(name);
            let path = format!("{path}.{name}");
            check(all, inner.unwrap_or_else(|| panic!("{path} is not described")), &path, field);
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            let name = required.as_str().expect("a name");
            assert!(fields.contains_key(name), "{path}.{name} is required and missing");
        }
    } else {
        let described = match &schema["type"] {
            Value::Array(types) => types.clone(),
            one => vec![one.clone()],
        };
        let found = match value {
            Value::String(_) => "string",
            Value::Number(_) => "integer",
            Value::Bool(_) => "boolean",
            _ => "null",
        };
        assert!(described.contains(&found.into()), "{path} is {found}, described as {described:?}");
    }
}

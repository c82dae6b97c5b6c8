//! Rules of routes, stores of tokens, and listeners of their own for operators.

use std::collections::BTreeSet;
use std::time::Duration;

use access::mint::{Wanted, mint};
use access::{Access, Rules, Scope};
use axum::http::{HeaderValue, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde_json::json;
use service_kit::http;
use service_kit::key_file::KeyRing;
use service_kit::watched::Requests;

use crate::support::{Keys, ask, ask_with, but, claims, doors, ours};

#[tokio::test]
async fn a_route_that_nobody_described_is_for_nobody() {
    let keys = Keys::new();
    for access in [keys.access(), Access::default()] {
        let doors = doors(&access, None);
        let token = ours(&claims());
        let answer = ask(&doors.main, "GET /undescribed", Some(&token)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(ask(&doors.main, "GET /nowhere", None).await.status, StatusCode::NOT_FOUND);
        let answer = ask(&doors.main, "DELETE /read", Some(&token)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[test]
fn an_operation_that_does_not_say_whom_it_is_for_is_a_defect() {
    for security in [
        json!(null),
        json!([]),
        json!([{ "bearer": [] }]),
        json!([{ "bearer": ["stock:raed"] }]),
        json!([{ "bearer": ["stock:read", "admin"] }]),
        json!([{ "other": ["stock:read"] }]),
        json!([{}, { "bearer": ["admin"] }]),
    ] {
        let mut operation = json!({ "responses": {} });
        if !security.is_null() {
            operation["security"] = security.clone();
        }
        let description = json!({
            "openapi": "3.1.0", "info": { "title": "t", "version": "1" },
            "paths": { "/x": { "get": operation } },
        });
        let mut description = serde_json::from_value(description).unwrap();
        let undeclared = Rules::declared(&mut description).unwrap_err();
        assert_eq!(undeclared.path, "/x", "{security}");
    }
}

#[tokio::test]
async fn a_scope_that_is_lacking_is_named() {
    let keys = Keys::new();
    let doors = doors(&keys.access(), None);
    let answer = ask(&doors.main, "POST /admin", Some(&ours(&claims()))).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(
        answer.headers[header::WWW_AUTHENTICATE],
        "Bearer error=\"insufficient_scope\", scope=\"admin\""
    );
    let staff = ours(&but(&json!({ "scope": "staff" })));
    assert_eq!(ask(&doors.main, "GET /stores/A", Some(&staff)).await.status, StatusCode::OK);
    assert_eq!(ask(&doors.main, "GET /read", Some(&staff)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ask(&doors.main, "GET /public", None).await.status, StatusCode::OK);
    assert_eq!(ask(&doors.main, "HEAD /read", None).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_of_one_store_opens_no_other() {
    let keys = Keys::new();
    let bound = ours(&but(&json!({ "stores": ["A", "B"] })));
    let everywhere = doors(&keys.access(), None).main;
    for (path, status) in [
        ("GET /stores/A", StatusCode::OK),
        ("GET /stores/%41", StatusCode::OK),
        ("GET /stores/C", StatusCode::FORBIDDEN),
        ("GET /stores/a", StatusCode::FORBIDDEN),
        ("GET /read", StatusCode::OK),
    ] {
        assert_eq!(ask(&everywhere, path, Some(&bound)).await.status, status, "{path}");
    }
    let home = doors(&keys.access(), Some("A")).main;
    let foreign = doors(&keys.access(), Some("C")).main;
    assert_eq!(ask(&home, "GET /read", Some(&bound)).await.status, StatusCode::OK);
    assert_eq!(ask(&foreign, "GET /read", Some(&bound)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ask(&foreign, "GET /read", Some(&ours(&claims()))).await.status, StatusCode::OK);
    assert_eq!(ask(&foreign, "GET /public", Some(&bound)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn operators_can_have_a_listener_of_their_own() {
    let keys = Keys::new();
    let access = Access { admin_apart: true, ..keys.access() };
    let doors = doors(&access, None);
    let admin = doors.admin.clone().unwrap();
    let all = ours(&but(&json!({ "scope": "admin stock:read" })));
    assert_eq!(ask(&doors.main, "POST /admin", Some(&all)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(&doors.main, "GET /read", Some(&all)).await.status, StatusCode::OK);
    assert_eq!(ask(&admin, "POST /admin", Some(&all)).await.status, StatusCode::OK);
    assert_eq!(ask(&admin, "POST /admin", None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&admin, "GET /read", Some(&all)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(&admin, "GET /public", None).await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_and_description_are_open_unless_they_are_protected() {
    let keys = Keys::new();
    let pages = ["GET /metrics", "GET /api/docs/", "GET /api/openapi.json"];
    let open = doors(&keys.access(), None).main;
    let access = Access { protect_metrics: true, protect_docs: true, ..keys.access() };
    let protected = doors(&access, None).main;
    let (reader, staff) = (ours(&claims()), ours(&but(&json!({ "scope": "staff" }))));
    for page in pages {
        assert_eq!(ask(&open, page, None).await.status, StatusCode::OK, "{page}");
        assert_eq!(ask(&protected, page, None).await.status, StatusCode::UNAUTHORIZED, "{page}");
        assert_eq!(ask(&protected, page, Some(&reader)).await.status, StatusCode::OK, "{page}");
    }
    // Numbers are stock; the description is for everybody with a token.
    assert_eq!(ask(&protected, pages[0], Some(&staff)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(ask(&protected, pages[1], Some(&staff)).await.status, StatusCode::OK);
    assert_eq!(ask(&protected, "GET /public", None).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_tells_browsers_to_be_careful() {
    let keys = Keys::new();
    let service = http::bounded(doors(&keys.access(), None).main, &Requests::default());
    let token = ours(&claims());
    for (what, token, status) in [
        ("GET /public", None, StatusCode::OK),
        ("GET /read", Some(token.as_str()), StatusCode::OK),
        ("GET /read", None, StatusCode::UNAUTHORIZED),
        ("POST /admin", Some(token.as_str()), StatusCode::FORBIDDEN),
        ("GET /nowhere", None, StatusCode::NOT_FOUND),
    ] {
        let answer = ask(&service, what, token).await;
        assert_eq!(answer.status, status, "{what}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.headers[name], value, "{what}");
        }
    }
}

#[tokio::test]
async fn only_pages_of_named_origins_may_call() {
    let keys = Keys::new();
    let origins = vec![HeaderValue::from_static("https://shop.example")];
    let named = doors(&Access { origins, ..keys.access() }, None).main;
    let closed = doors(&keys.access(), None).main;
    let preflight = |origin| [("origin", origin), ("access-control-request-method", "GET")];
    let allowed = header::ACCESS_CONTROL_ALLOW_ORIGIN;
    let ours = ask_with(&named, "OPTIONS /read", &preflight("https://shop.example")).await;
    assert_eq!(
        (ours.status, &ours.headers[&allowed]),
        (StatusCode::OK, &HeaderValue::from_static("https://shop.example"))
    );
    let other = ask_with(&named, "OPTIONS /read", &preflight("https://evil.example")).await;
    assert!(!other.headers.contains_key(&allowed));
    let none = ask_with(&closed, "OPTIONS /read", &preflight("https://shop.example")).await;
    assert!(!none.headers.contains_key(&allowed) && none.status == StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_token_that_was_minted_says_what_was_wanted() {
    let keys = Keys::new();
    let ring = KeyRing::read(&keys.file).unwrap();
    let wanted = Wanted {
        subject: "boss".parse().unwrap(),
        scopes: [Scope::StockRead, Scope::Staff].into(),
        stores: Some(["A".parse().unwrap()].into()),
        valid: Duration::from_secs(60),
        issuer: "onhand".to_owned(),
        audience: "onhand".to_owned(),
    };
    let token = mint(ring.signing(), wanted).unwrap();
    assert!(!format!("{token:?}").contains("ey"), "it is a secret");
    let principal = keys.tokens().principal(token.expose_secret()).await.unwrap();
    assert_eq!(principal.subject, Some("boss".parse().unwrap()));
    assert_eq!(principal.scopes, BTreeSet::from([Scope::StockRead, Scope::Staff]));
    assert!(principal.stores.include(&"A".parse().unwrap()));
    assert!(!principal.stores.include(&"B".parse().unwrap()));
    assert!(principal.lasts() <= Duration::from_secs(60 + access::tokens::LEEWAY_SECONDS));
}

//! A small service, and tokens for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use access::{Access, Doors, Principal, Rules, Tokens};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use axum::Router;
use axum::body::Body;
use axum::extract::Path as InPath;
use axum::http::{HeaderMap, Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use service_kit::clock::unix_millis;
use service_kit::key_file::KeyFile;
use tempfile::TempDir;
use tower::ServiceExt as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) const SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[utoipa::path(get, path = "/public", security(()))]
async fn public() -> &'static str {
    "everybody"
}

#[utoipa::path(get, path = "/metrics", security(()))]
async fn metrics() -> &'static str {
    "numbers"
}

#[utoipa::path(get, path = "/read", security(("bearer" = ["stock:read"])))]
async fn read(principal: Principal) -> String {
    principal.subject.map(|subject| subject.to_string()).unwrap_or_default()
}

#[utoipa::path(post, path = "/admin", security(("bearer" = ["admin"])))]
async fn admin() -> &'static str {
    "operators"
}

#[utoipa::path(get, path = "/stores/{storeId}", security(("bearer" = ["stock:read"]), ("bearer" = ["staff"])))]
async fn store(InPath(store): InPath<String>) -> String {
    store
}

/// The service, with its description and a route nobody described.
pub(crate) fn doors(access: &Access, home: Option<&str>) -> Doors {
    let (router, mut description) = OpenApiRouter::new()
        .routes(routes!(public))
        .routes(routes!(metrics))
        .routes(routes!(read))
        .routes(routes!(admin))
        .routes(routes!(store))
        .split_for_parts();
    let router: Router = router
        .route("/undescribed", axum::routing::get(async || "secret"))
        .route("/api/openapi.json", axum::routing::get(async || "what there is"))
        .route("/api/docs/", axum::routing::get(async || "what there is"));
    let rules = Rules::declared(&mut description).unwrap();
    access.guard(router, rules, home.map(|home| home.parse().unwrap()).as_ref())
}

/// Keys of both kinds in files.
pub(crate) struct Keys {
    pub(crate) folder: TempDir,
    pub(crate) file: PathBuf,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.key");
        write_private(&file, &format!("k1 {SECRET}\n"));
        Self { folder, file }
    }

    pub(crate) fn tokens(&self) -> Tokens {
        let keys = KeyFile::open(&self.file).unwrap();
        Tokens::new(Some(keys), None, "onhand".to_owned(), "onhand".to_owned())
    }

    pub(crate) fn access(&self) -> Access {
        Access { tokens: Some(Arc::new(self.tokens())), ..Access::default() }
    }
}

pub(crate) fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn seconds() -> u64 {
    unix_millis().unsigned_abs() / 1_000
}

/// What a good token says.
pub(crate) fn claims() -> Value {
    json!({
        "iss": "onhand", "aud": "onhand", "sub": "till-7", "scope": "openid stock:read",
        "exp": seconds() + 600,
    })
}

/// The same, but for some claims; `null` leaves one out.
pub(crate) fn but(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

pub(crate) fn header_of(algorithm: Algorithm, kid: &str) -> Header {
    Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) }
}

/// A token signed with the key file's key.
pub(crate) fn ours(claims: &Value) -> String {
    signed(&header_of(Algorithm::HS256, "k1"), claims, &EncodingKey::from_secret(&[0; 32]))
}

pub(crate) fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    encode(header, claims, key).unwrap()
}

/// An issuer's key pair: how it signs, and what it publishes.
pub(crate) struct Pair {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: EncodingKey,
    pub(crate) published: Value,
    kid: &'static str,
}

impl Pair {
    pub(crate) fn new(algorithm: Algorithm, kid: &'static str) -> Self {
        let key = match algorithm {
            Algorithm::RS256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
                // The library reads the bare PKCS#1 form that is inside.
                EncodingKey::from_rsa_der(&der.as_ref()[26..])
            }
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            _ => {
                let random = aws_lc_rs::rand::SystemRandom::new();
                let der = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap();
                let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
                let published = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid });
                let key = EncodingKey::from_ed_der(der.as_ref());
                return Self { algorithm, key, published, kid };
            }
        };
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        Self { algorithm, key, published: serde_json::to_value(jwk).unwrap(), kid }
    }

    pub(crate) const fn kid(&self) -> &str {
        self.kid
    }

    pub(crate) fn token(&self) -> String {
        signed(&header_of(self.algorithm, self.kid()), &claims(), &self.key)
    }
}

pub(crate) fn set_of(pairs: &[&Pair]) -> String {
    json!({ "keys": pairs.iter().map(|pair| &pair.published).collect::<Vec<_>>() }).to_string()
}

pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

pub(crate) async fn ask(router: &Router, what: &str, token: Option<&str>) -> Answered {
    let lines: Vec<_> = token.map(|token| format!("Bearer {token}")).into_iter().collect();
    let lines: Vec<_> = lines.iter().map(|line| ("authorization", line.as_str())).collect();
    ask_with(router, what, &lines).await
}

pub(crate) async fn ask_with(router: &Router, what: &str, lines: &[(&str, &str)]) -> Answered {
    let (method, path) = what.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        parts.status.is_success()
            || parts.headers[header::CONTENT_TYPE] == "application/problem+json",
        "{what}: {body}"
    );
    Answered { status: parts.status, headers: parts.headers, body }
}

//! Tokens made from a key file, for development and small chains without an identity provider.

use std::collections::BTreeSet;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use secrecy::SecretString;
use service_kit::clock;
use service_kit::key_file::Key;
use shared_events::{StoreId, Subject};

use crate::claims::{Audience, Claims};
use crate::principal::Scope;

/// What a token is to say.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Who it is for.
    pub subject: Subject,
    /// What it allows.
    pub scopes: BTreeSet<Scope>,
    /// The stores it is bound to; `None` for every store.
    pub stores: Option<BTreeSet<StoreId>>,
    /// How long it is valid.
    pub valid: Duration,
    /// Who makes it, as the services expect it.
    pub issuer: String,
    /// Whom it is for, as the services expect it.
    pub audience: String,
}

/// A token signed with a key.
///
/// # Errors
/// When the cryptography fails.
pub fn mint(key: &Key, wanted: Wanted) -> Result<SecretString, jsonwebtoken::errors::Error> {
    let now = clock::unix_millis().unsigned_abs() / 1_000;
    let names: Vec<_> = wanted.scopes.into_iter().map(Scope::as_str).collect();
    let claims = Claims {
        iss: wanted.issuer,
        aud: Audience::One(wanted.audience),
        sub: wanted.subject,
        exp: now.saturating_add(wanted.valid.as_secs()),
        iat: Some(now),
        scope: names.join(" "),
        stores: wanted.stores,
    };
    let header = Header { kid: Some(key.id().to_string()), ..Header::new(Algorithm::HS256) };
    encode(&header, &claims, &EncodingKey::from_secret(key.secret())).map(SecretString::from)
}

//! What a token says, read strictly.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use shared_events::{StoreId, Subject};

use crate::principal::{Principal, Scope, Stores};

/// A token's claims. `iss`, `aud` and `nbf` are checked with the signature.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: Audience,
    pub(crate) sub: Subject,
    pub(crate) exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) iat: Option<u64>,
    /// Scopes, separated by spaces; those of other services are left alone.
    #[serde(default)]
    pub(crate) scope: String,
    /// The stores the token is bound to; absent for every store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stores: Option<BTreeSet<StoreId>>,
}

/// One audience or several.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl TryFrom<Claims> for Principal {
    type Error = &'static str;

    fn try_from(claims: Claims) -> Result<Self, Self::Error> {
        let known = |scope: &str| scope.parse::<Scope>().ok();
        let stores = match claims.stores {
            None => Stores::All,
            // Whoever leaves the list empty did not mean every store, and a token for none is a mistake.
            Some(stores) if stores.is_empty() => return Err("stores names none"),
            Some(stores) => Stores::Only(stores),
        };
        Ok(Self {
            subject: Some(claims.sub),
            scopes: claims.scope.split_ascii_whitespace().filter_map(known).collect(),
            stores,
            until: Some(claims.exp),
        })
    }
}

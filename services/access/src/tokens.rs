//! Bearer tokens: which are believed.
//!
//! The algorithm is never the token's choice: HS256 goes with a key of the key file and nothing else,
//! RS256, ES256 and `EdDSA` with the one key of the key set that has the token's `kid`, and that key is of
//! one kind. So no public key can be taken for a secret, and `none` is no algorithm at all.

use std::collections::HashSet;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use service_kit::clock;
use service_kit::key_file::KeyFile;

use crate::claims::Claims;
use crate::jwks::KeySet;
use crate::principal::Principal;
use crate::verified::Verified;

/// Most bytes of a token.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How far the clocks of issuer and service may differ, in seconds.
pub const LEEWAY_SECONDS: u64 = 30;
/// Media types of tokens that are meant for access: RFC 7519 and RFC 9068.
const TYPES: [&str; 4] = ["JWT", "jwt", "at+jwt", "application/at+jwt"];

/// Decides about tokens.
#[derive(Debug)]
pub struct Tokens {
    keys: Option<KeyFile>,
    set: Option<Arc<KeySet>>,
    issuer: HashSet<String>,
    audience: HashSet<String>,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    Early,
    /// Anything else. The caller is not told what; the log is, at `debug`.
    #[error("the token is not valid here")]
    Invalid(String),
    /// The issuer's keys have never been had, so nothing can be said of it.
    #[error("the keys of the issuer cannot be had at the moment")]
    NoKeys,
}

fn invalid(why: impl Into<String>) -> Untrusted {
    Untrusted::Invalid(why.into())
}

impl Tokens {
    /// Believes tokens of an issuer for an audience, by a key file, a key set, or both.
    #[must_use]
    pub fn new(
        keys: Option<KeyFile>,
        set: Option<Arc<KeySet>>,
        issuer: String,
        audience: String,
    ) -> Self {
        Self { keys, set, issuer: [issuer].into(), audience: [audience].into() }
    }

    /// Who a token is of.
    ///
    /// # Errors
    /// [`Untrusted`].
    pub async fn principal(&self, token: &str) -> Result<Principal, Untrusted> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid("too long"));
        }
        let header = decode_header(token).map_err(|error| untrusted(&error))?;
        let Header { typ, alg, kid: Some(kid), crit: None, .. } = header else {
            return Err(invalid("no kid, or something critical that is not known"));
        };
        if typ.is_some_and(|typ| !TYPES.contains(&typ.as_str())) {
            return Err(invalid("no access token by its type"));
        }
        if alg == Algorithm::HS256 {
            let ring = self.keys.as_ref().map(KeyFile::ring);
            let key = ring.as_ref().and_then(|ring| ring.find(&kid));
            let key = key.ok_or_else(|| invalid("no key of this kid in the key file"))?;
            return self.verify(token, alg, &DecodingKey::from_secret(key.secret()));
        }
        let Some(set) = &self.set else {
            return Err(invalid("no key set, so HS256 only"));
        };
        let keys = set.with(&kid).await?;
        let name = Verified::name(token);
        if let Some(known) = keys.verified.find(&name, clock::unix_millis().unsigned_abs() / 1_000)
        {
            return Ok(known);
        }
        let key = keys.find(&kid).filter(|key| key.algorithm == alg);
        let key = key.ok_or_else(|| invalid("the key of this kid is for another algorithm"))?;
        let principal = self.verify(token, alg, &key.key)?;
        keys.verified.add(name, principal.clone());
        Ok(principal)
    }

    fn verify(
        &self,
        token: &str,
        algorithm: Algorithm,
        key: &DecodingKey,
    ) -> Result<Principal, Untrusted> {
        let claims = decode::<Claims>(token, key, &self.validation(algorithm));
        let claims = claims.map_err(|error| untrusted(&error))?.claims;
        claims.try_into().map_err(invalid)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.iss = Some(self.issuer.clone());
        validation.aud = Some(self.audience.clone());
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation
    }
}

fn untrusted(error: &jsonwebtoken::errors::Error) -> Untrusted {
    match error.kind() {
        ErrorKind::ExpiredSignature => Untrusted::Expired,
        ErrorKind::ImmatureSignature => Untrusted::Early,
        _ => invalid(error.to_string()),
    }
}

//! The public keys of an issuer: a JSON Web Key Set from a file or an address, kept and followed.
//!
//! It is read anew from time to time, and when a token names a key that is not in it, but never more
//! often than once in a cooldown: a flood of made-up names does not become a flood of questions to the
//! issuer. While the issuer is away the last good set goes on.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::tokens::Untrusted;
use crate::verified::Verified;

/// Most bytes of a key set.
const MAX_BYTES: usize = 256 * 1024;
/// Most keys of one.
const MAX_KEYS: usize = 100;
/// Longest time an issuer may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// Where a key set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// An `https` address, or an `http` one.
    Address(Box<str>),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") || text.starts_with("http://") {
            let parsed = reqwest::Url::parse(text).map_err(|error| error.to_string())?;
            if !parsed.username().is_empty() || parsed.password().is_some() {
                return Err("an address without a user and a password".to_owned());
            }
            return Ok(Self::Address(text.into()));
        }
        if text.is_empty() || text.contains("://") {
            return Err("expected a file, or an address that begins with https://".to_owned());
        }
        Ok(Self::File(text.into()))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Address(address) => f.write_str(address),
        }
    }
}

/// How often a set is read.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Anew, whatever happens.
    pub every: Duration,
    /// Least time between two reads.
    pub cooldown: Duration,
}

impl Source {
    /// Files are cheap to read, issuers are somebody else's.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        let (every, cooldown) = match self {
            Self::File(_) => (10, 1),
            Self::Address(_) => (300, 30),
        };
        Pace { every: Duration::from_secs(every), cooldown: Duration::from_secs(cooldown) }
    }
}

/// A public key and the one algorithm it is for.
pub(crate) struct PublicKey {
    /// What it verifies.
    pub(crate) algorithm: Algorithm,
    /// The key.
    pub(crate) key: DecodingKey,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A set as it was read.
#[derive(Debug)]
pub(crate) struct Keys {
    /// By their `kid`.
    keys: HashMap<String, PublicKey>,
    /// Of the text they were read from.
    fingerprint: blake3::Hash,
    /// Tokens that these keys have verified.
    pub(crate) verified: Verified,
}

impl Keys {
    /// The key of a name.
    pub(crate) fn find(&self, kid: &str) -> Option<&PublicKey> {
        self.keys.get(kid)
    }
}

/// A key set that is followed.
#[derive(Debug)]
pub struct KeySet {
    source: Source,
    pace: Pace,
    client: reqwest::Client,
    /// `None` until it could be read once.
    keys: RwLock<Option<Arc<Keys>>>,
    /// When it was last read, or tried to be; held while it is.
    tried: Mutex<Option<Instant>>,
}

/// Why a key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// The issuer's authorities cannot be used.
    #[error("{}: {reason}", file.display())]
    Authorities {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The issuer does not answer.
    #[error("the issuer does not answer: {0}")]
    Away(#[from] reqwest::Error),
    /// It answers with something else.
    #[error("{0}")]
    Invalid(&'static str),
}

impl KeySet {
    /// Reads a set and follows it for as long as it is held. One of a file has to be there; an issuer
    /// may be away, then there is no key yet. An issuer is believed by certificates of `authorities`, a file
    /// of PEM, and of no others; by those of the system without.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn follow(
        source: Source,
        pace: Pace,
        authorities: Option<&Path>,
    ) -> Result<Arc<Self>, Error> {
        let client = client(authorities)?;
        let set = Self {
            source,
            pace,
            client,
            keys: RwLock::default(),
            tried: Mutex::new(Some(Instant::now())),
        };
        match set.read().await {
            Ok(()) => {}
            Err(error) if matches!(set.source, Source::File(_)) => return Err(error),
            Err(error) => warn!(source = %set.source, %error, "no keys yet: no token is believed"),
        }
        let set = Arc::new(set);
        tokio::spawn(keep(Arc::downgrade(&set), pace.every));
        Ok(set)
    }

    /// The keys, with one of this name: read anew where it is not known and the cooldown is over.
    pub(crate) async fn with(&self, kid: &str) -> Result<Arc<Keys>, Untrusted> {
        if let Some(keys) = self.known(kid) {
            return Ok(keys);
        }
        let mut tried = self.tried.lock().await;
        // It may have come while others were waited for.
        if let Some(keys) = self.known(kid) {
            return Ok(keys);
        }
        if tried.is_none_or(|tried| tried.elapsed() >= self.pace.cooldown) {
            *tried = Some(Instant::now());
            self.read_or_warn().await;
        }
        drop(tried);
        match self.known(kid) {
            Some(keys) => Ok(keys),
            None if self.keys().is_none() => Err(Untrusted::NoKeys),
            None => Err(Untrusted::Invalid("no key of this kid in the key set".to_owned())),
        }
    }

    fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn known(&self, kid: &str) -> Option<Arc<Keys>> {
        self.keys().filter(|keys| keys.find(kid).is_some())
    }

    async fn read_or_warn(&self) {
        if let Err(error) = self.read().await {
            warn!(source = %self.source, %error, "the key set cannot be read anew; what is known goes on");
        }
    }

    async fn read(&self) -> Result<(), Error> {
        let bytes = match &self.source {
            Source::File(path) => tokio::fs::read(path).await?,
            Source::Address(address) => self.fetch(address).await?,
        };
        let keys = parse(&bytes)?;
        let mut known = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        // The same text is the same keys, and what they have verified stays so.
        if known.as_ref().is_none_or(|known| known.fingerprint != keys.fingerprint) {
            let mut names: Vec<_> = keys.keys.keys().collect();
            names.sort();
            info!(source = %self.source, keys = ?names, "the key set was read");
            *known = Some(Arc::new(keys));
        }
        Ok(())
    }

    async fn fetch(&self, address: &str) -> Result<Vec<u8>, Error> {
        let mut response = self.client.get(address).send().await?.error_for_status()?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(Error::Invalid("the issuer sends elsewhere, and that is not followed"));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_BYTES {
                return Err(Error::Invalid("a key set is at most 256 KiB"));
            }
        }
        Ok(bytes)
    }
}

fn client(authorities: Option<&Path>) -> Result<reqwest::Client, Error> {
    let client = || {
        reqwest::Client::builder()
            .timeout(ANSWERS_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
    };
    let Some(file) = authorities else {
        // A system without authorities, as small images are, can still read a file.
        return Ok(client().build().or_else(|_none| client().tls_certs_only([]).build())?);
    };
    let unusable = |reason: String| Error::Authorities { file: file.to_owned(), reason };
    let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
    let authorities = reqwest::Certificate::from_pem_bundle(&pem);
    let authorities = authorities.ok().filter(|authorities| !authorities.is_empty());
    let authorities = authorities.ok_or_else(|| unusable("it has no certificates".to_owned()))?;
    Ok(client().tls_certs_only(authorities).build()?)
}

async fn keep(set: Weak<KeySet>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(set) = set.upgrade() else { return };
        let mut tried = set.tried.lock().await;
        *tried = Some(Instant::now());
        set.read_or_warn().await;
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The keys of a set that can verify tokens; others, and secret ones, are left out.
fn parse(bytes: &[u8]) -> Result<Keys, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::Invalid("a key set is at most 256 KiB"));
    }
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|_may_quote_it| Error::Invalid("it is not a JSON Web Key Set"))?;
    if document.keys.len() > MAX_KEYS {
        return Err(Error::Invalid("a key set has at most 100 keys"));
    }
    let keys: HashMap<_, _> = document.keys.into_iter().filter_map(public_key).collect();
    if keys.is_empty() {
        return Err(Error::Invalid("it has no key for RS256, ES256 or EdDSA with a kid"));
    }
    Ok(Keys { keys, fingerprint: blake3::hash(bytes), verified: Verified::default() })
}

fn public_key(key: Value) -> Option<(String, PublicKey)> {
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|kind| *kind != PublicKeyUse::Signature) {
        return None;
    }
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(of) if of.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(of) if of.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        // A secret in a set that everybody can read is no secret.
        _ => return None,
    };
    if jwk.common.key_algorithm.as_ref().is_some_and(|said| *said != name) {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some((jwk.common.key_id?, PublicKey { algorithm, key }))
}

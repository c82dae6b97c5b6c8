//! How a service lets callers in, from the command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use access::audit::AuditLog;
use access::jwks::{KeySet, Source};
use access::start::{OPEN, require_keys_beyond_loopback};
use access::{Access, Rate, Tokens};
use anyhow::Context as _;
use axum::http::HeaderValue;
use service_kit::key_file::KeyFile;
use tracing::warn;

use crate::cli;

/// Issuer and audience of tokens in a chain that makes its own.
pub(crate) const OURS: &str = "onhand";
/// Where it is written down what operators do.
const AUDIT_LOG: &str = "audit.jsonl";

/// Who may call. Without keys nobody is asked, and only this machine can be served.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Callers {
    /// File of keys for tokens that `onhand token` makes (HS256); `onhand key` makes one.
    #[arg(long, env = "ONHAND_TOKEN_KEYS", value_name = "FILE")]
    token_keys: Option<PathBuf>,
    /// Public keys of an issuer of tokens (RS256, ES256, EdDSA): a JSON Web Key Set.
    #[arg(long, env = "ONHAND_JWKS", value_name = "FILE|URL")]
    jwks: Option<Source>,
    /// Believe the issuer's address by certificates of these authorities, in PEM, and of no others; by the
    /// system's authorities without it.
    #[arg(long, env = "ONHAND_JWKS_CA_FILE", value_name = "FILE", requires = "jwks")]
    jwks_ca_file: Option<PathBuf>,
    /// The issuer that tokens have to name.
    #[arg(long, env = "ONHAND_TOKEN_ISSUER", default_value = OURS, value_name = "NAME")]
    token_issuer: String,
    /// The audience that tokens have to name.
    #[arg(long, env = "ONHAND_TOKEN_AUDIENCE", default_value = OURS, value_name = "NAME")]
    token_audience: String,
    /// Serve what needs the scope `admin` here, and nowhere else.
    #[arg(
        long,
        env = "ONHAND_ADMIN_LISTEN",
        value_name = "ADDRESS:PORT",
        value_parser = cli::address
    )]
    admin_listen: Option<SocketAddr>,
    /// Web pages that may call, by origin, as in `https://shop.example`; none unless named.
    #[arg(
        long,
        env = "ONHAND_ALLOW_ORIGIN",
        value_name = "ORIGIN,…",
        value_delimiter = ',',
        value_parser = origin
    )]
    allow_origin: Vec<HeaderValue>,
    /// Requests a second of one caller, by the subject of its token; twice as many at once. 0 asks for no
    /// moderation.
    #[arg(
        long,
        env = "ONHAND_MAX_RATE",
        default_value_t = access::DEFAULT_MAX_RATE,
        value_name = "REQUESTS",
        value_parser = clap::value_parser!(u32).range(0..=1_000_000)
    )]
    max_rate: u32,
    /// Ask for a token with `stock:read` before metrics are told.
    #[arg(long, env = "ONHAND_PROTECT_METRICS")]
    protect_metrics: bool,
    /// Ask for a token before the API's description is told.
    #[arg(long, env = "ONHAND_PROTECT_DOCS")]
    protect_docs: bool,
}

impl Callers {
    /// Whether a service may listen as it was told to.
    ///
    /// # Errors
    /// What makes no sense, with the fix.
    pub(crate) fn check(&self, listen: SocketAddr) -> Result<(), String> {
        let keys = self.token_keys.is_some() || self.jwks.is_some();
        let addresses: Vec<_> = self.admin_listen.into_iter().chain([listen]).collect();
        require_keys_beyond_loopback(&addresses, keys)?;
        if !keys {
            warn!("{OPEN}");
        }
        Ok(())
    }

    /// Where operators come in, if not with everybody else.
    pub(crate) const fn admin_listen(&self) -> Option<SocketAddr> {
        self.admin_listen
    }

    /// Reads the keys, and opens the log of what operators do in the service's folder.
    ///
    /// # Errors
    /// When keys cannot be read or the log not written, with the fix.
    pub(crate) async fn open(self, data_dir: &Path) -> anyhow::Result<Access> {
        let audit = audit_log(data_dir)?;
        let keys = self.token_keys.as_deref().map(KeyFile::open).transpose();
        let keys = keys.context("read the token keys")?;
        let set = match self.jwks {
            None => None,
            Some(source) => {
                let (name, pace) = (source.to_string(), source.pace());
                let set = KeySet::follow(source, pace, self.jwks_ca_file.as_deref()).await;
                Some(set.with_context(|| format!("read the key set {name}"))?)
            }
        };
        let asks = keys.is_some() || set.is_some();
        let tokens = Tokens::new(keys, set, self.token_issuer, self.token_audience);
        Ok(Access {
            tokens: asks.then(|| Arc::new(tokens)),
            origins: self.allow_origin,
            protect_metrics: self.protect_metrics,
            protect_docs: self.protect_docs,
            admin_apart: false,
            audit: Some(Arc::new(audit)),
            rate: Rate::per_second(self.max_rate),
        })
    }
}

/// The same with a log of what operators do in another folder.
///
/// # Errors
/// When the log cannot be written.
pub(crate) fn with_audit_log_in(access: &Access, data_dir: &Path) -> anyhow::Result<Access> {
    Ok(Access { audit: Some(Arc::new(audit_log(data_dir)?)), ..access.clone() })
}

fn audit_log(data_dir: &Path) -> anyhow::Result<AuditLog> {
    let audit = data_dir.join(AUDIT_LOG);
    AuditLog::open(&audit).with_context(|| format!("open {}", audit.display()))
}

/// An origin as browsers send it: any other text would never be met.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let wrong = || "expected an origin, as in https://shop.example, without a path".to_owned();
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = host.ok_or_else(wrong)?;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(valid) {
        return Err(wrong());
    }
    HeaderValue::from_str(text).map_err(|_invalid| wrong())
}

//! TLS: the service's certificate, read again when its files change, and the certificates of clients.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, anyhow, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::counts::Counts;

/// What is spoken inside, the preferred first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// What a name in a certificate begins with that says which store its holder is.
const STORE: &str = "store:";

/// Where the certificates are, all PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The service's certificate and those between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities of clients' certificates; with it every client must show one, but to ask how the service is.
    pub client_ca: Option<PathBuf>,
}

/// Who a client is by its certificate, in the extensions of each of its requests. There only when the
/// service asks for certificates and this one's authority is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    store: Option<Arc<str>>,
}

impl ClientIdentity {
    /// The store that the certificate was issued to, as its name says: a URI `store:ID`, or where an
    /// authority issues no such names a DNS name `ID.store`. A certificate of something else has none.
    #[must_use]
    pub fn store(&self) -> Option<&str> {
        self.store.as_deref()
    }

    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        let by_uri = certificate.valid_uri_names().find_map(|name| name.strip_prefix(STORE));
        let by_dns = || certificate.valid_dns_names().find_map(|name| name.strip_suffix(".store"));
        Some(Self { store: by_uri.or_else(by_dns).map(Arc::from) })
    }
}

/// The identity behind a finished handshake.
pub(super) fn identity(connection: &rustls::ServerConnection) -> Option<ClientIdentity> {
    ClientIdentity::of(connection.peer_certificates()?.first()?)
}

/// What new connections are met with.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Met>,
}

#[derive(Debug)]
struct Met {
    config: Arc<ServerConfig>,
    /// What the files were when they were last looked at, whether or not they could be used.
    seen: blake3::Hash,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// With the file that cannot be used, and why.
    pub fn load(files: TlsFiles) -> anyhow::Result<Self> {
        let found = Found::read(&files)?;
        let met = Met { config: found.config(&files)?, seen: found.hash() };
        Ok(Self { files, current: RwLock::new(met) })
    }

    /// Whether clients must show a certificate.
    pub(super) const fn wants_certificates(&self) -> bool {
        self.files.client_ca.is_some()
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let met = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&met.config))
    }

    /// Looks at the files again; what cannot be used changes nothing and is said once. Open connections
    /// keep what they were met with.
    pub(super) fn look_again(&self, counts: &Counts) {
        let looked = Found::read(&self.files).and_then(|found| {
            let seen = found.hash();
            let known = self.current.read().unwrap_or_else(PoisonError::into_inner).seen == seen;
            if known {
                return Ok(None);
            }
            self.current.write().unwrap_or_else(PoisonError::into_inner).seen = seen;
            found.config(&self.files).map(Some)
        });
        match looked {
            Ok(None) => {}
            Ok(Some(config)) => {
                self.current.write().unwrap_or_else(PoisonError::into_inner).config = config;
                counts.tls_broken.set(0);
                info!(file = %self.files.cert.display(), "new connections get the new certificate");
            }
            // A file that is being replaced may be away for a moment, and once is enough to say it.
            Err(error) => {
                if counts.tls_broken.set(1) == 0 {
                    let error = format!("{error:#}");
                    warn!(error, "the TLS files cannot be used; those read before still are");
                }
            }
        }
    }
}

/// Contents of the files.
struct Found {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Found {
    fn read(files: &TlsFiles) -> anyhow::Result<Self> {
        Ok(Self {
            cert: read(&files.cert)?,
            key: read(&files.key)?,
            client_ca: files.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for file in
            [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten()
        {
            hasher.update(blake3::hash(file).as_bytes());
        }
        hasher.finalize()
    }

    fn config(&self, files: &TlsFiles) -> anyhow::Result<Arc<ServerConfig>> {
        let chain = certificates(&self.cert, &files.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| anyhow!("{error}"))
            .with_context(|| format!("{} has no private key", files.key.display()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(pem), Some(file)) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(pem, file)? {
                    roots.add(root).with_context(|| format!("read {}", file.display()))?;
                }
                // Who has no certificate may still ask how the service is; the gate refuses the rest.
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .allow_unauthenticated()
                        .build()
                        .with_context(|| format!("use {}", file.display()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).with_context(|| {
            format!("{} and {} do not belong together", files.cert.display(), files.key.display())
        })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(config))
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("read {}", file.display()))
}

fn certificates(pem: &[u8], file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| anyhow!("{}: {error}", file.display()))?;
    ensure!(!found.is_empty(), "{} has no certificate", file.display());
    Ok(found)
}

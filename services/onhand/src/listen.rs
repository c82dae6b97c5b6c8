//! How a service is served: its certificates and its bounds.

use std::net::SocketAddr;
use std::path::PathBuf;

use service_kit::http;
use service_kit::server::{
    DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_REQUESTS, Limits, Listener, Tls, TlsFiles,
};

/// How a service is served.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Serving {
    /// Serve HTTPS with this certificate and those between it and its authority, in PEM. Read again when
    /// the file changes.
    #[arg(long, env = "ONHAND_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM.
    #[arg(long, env = "ONHAND_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Ask clients for a certificate of these authorities, in PEM. One with the name `store:ID` is for
    /// that store only.
    #[arg(long, env = "ONHAND_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Connections that may be open at the same time; beyond it the one that was idle longest goes. No
    /// more than the process may have files.
    #[arg(
        long,
        env = "ONHAND_MAX_CONNECTIONS",
        default_value_t = DEFAULT_MAX_CONNECTIONS,
        value_name = "N",
        value_parser = count(1_000_000)
    )]
    max_connections: usize,
    /// Requests that may be served at the same time; queries are refused from half of it on.
    #[arg(
        long,
        env = "ONHAND_MAX_REQUESTS",
        default_value_t = DEFAULT_MAX_REQUESTS,
        value_name = "N",
        value_parser = count(1_000_000)
    )]
    max_requests: usize,
}

/// 1 to `most`.
fn count(most: u32) -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser as _;

    clap::value_parser!(u32)
        .range(1..=i64::from(most))
        .map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

impl Serving {
    /// Reads the certificates and opens the socket.
    pub(crate) async fn listen(&self, address: SocketAddr) -> anyhow::Result<Listener> {
        self.listen_beside(address, 0).await
    }

    /// The same, where so many files are open beside a service's usual ones.
    pub(crate) async fn listen_beside(
        &self,
        address: SocketAddr,
        files: u64,
    ) -> anyhow::Result<Listener> {
        let tls = match (self.tls_cert.clone(), self.tls_key.clone()) {
            (Some(cert), Some(key)) => {
                let client_ca = self.tls_client_ca.clone();
                Some(Tls::load(TlsFiles { cert, key, client_ca })?)
            }
            _ => None,
        };
        let limits = Limits {
            connections: self.max_connections,
            requests: self.max_requests,
            ..Limits::default()
        };
        let listener = Listener::from(http::bind(address).await?);
        Ok(listener.with_tls(tls).with_limits(limits.within_files(files)))
    }
}

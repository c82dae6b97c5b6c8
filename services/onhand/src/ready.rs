//! `onhand ready`: what a container's health check asks, also where a shell cannot: over TLS.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client;

use crate::output;

/// Health checks are given up by those who ask.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Ask the service on this machine whether it does its job; exit 0 when it does.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example: onhand ready 8081")]
pub(crate) struct Args {
    /// Its port.
    #[arg(default_value_t = 8_080, value_name = "PORT")]
    port: u16,
    /// Ask by HTTPS; given to the service, it holds here, too.
    #[arg(long, env = "ONHAND_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    // The certificate is for the name that others know; from here to here there is nobody between.
    let client = Client::builder()
        .tls_certs_only([])
        .tls_danger_accept_invalid_certs(true)
        .timeout(ANSWER_WITHIN)
        .build()
        .context("make an HTTP client")?;
    let url = format!("{scheme}://127.0.0.1:{}/readyz?verbose", args.port);
    let answer = client.get(&url).send().await.with_context(|| format!("ask {url}"))?;
    let ready = answer.status().is_success();
    output::say(answer.text().await.unwrap_or_default().trim_end());
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

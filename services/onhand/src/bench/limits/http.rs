//! A bare axum server: the least that an HTTP service does.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use crate::bench::process::Process;
use crate::cli;

/// Serve the limit that `onhand bench` measures HTTP against.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = cli::address)]
    listen: SocketAddr,
    /// What GET answers.
    #[arg(long, value_name = "FILE")]
    answer: PathBuf,
}

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let answer = std::fs::read(&args.answer).context("read the answer")?;
    let answer = Bytes::from(answer);
    let router = Router::new()
        .route("/readyz", get(async || "ready"))
        .route("/constant", get(async move || (JSON, answer.clone())))
        .route("/echo", post(async move |body: Bytes| (JSON, body)));
    let listener = service_kit::http::bind(args.listen).await?;
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    served.await.context("serve")?;
    Ok(ExitCode::SUCCESS)
}

/// Starts one that answers GET with a text.
pub(in crate::bench) async fn start(folder: &Path, answer: &str) -> anyhow::Result<Process> {
    let file = folder.join("answer");
    std::fs::write(&file, answer).context("write the answer of the bare server")?;
    let arguments = ["bench-limit".into(), "--answer".into(), OsString::from(file)];
    Process::start("the bare server", &arguments).await
}

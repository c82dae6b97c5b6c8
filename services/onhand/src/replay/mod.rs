//! `onhand replay`.
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;
/// Stream sales.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {}
pub(crate) async fn run(_args: Args, _stop: CancellationToken) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}

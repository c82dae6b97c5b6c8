//! The one program: stores, the centre, and the tools around them.

mod access;
mod bench;
mod central;
mod cli;
mod dev;
mod doctor;
mod kafka_security;
mod key;
mod listen;
mod output;
mod progress;
mod ready;
mod record_keys;
#[cfg(test)]
mod reference;
mod replay;
mod store;
mod token;
mod verify;
mod web;

use std::process::ExitCode;

use service_kit::trace::export;
use service_kit::{shutdown, telemetry};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use cli::Command;

/// Requests on all threads allocate small things: the system's allocator makes them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // 1. Understand the command line completely, before anything is opened or bound.
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(error) => return cli::usage(&error),
    };
    // 2. Logs, traces and runtime.
    if let Err(error) = telemetry::start(cli.log.0) {
        output::error(&format!("logging could not be started: {error}"));
    }
    let traced = cli.command.traced();
    let traced = traced.map(|service| export::start(&service, |name| std::env::var(name).ok()));
    let exporting = traced.transpose().unwrap_or_else(|error| {
        warn!(%error, "traces are not exported");
        None
    });
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::failed(&error.into()),
    };
    // 3. Work until it is done or told to stop.
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        if let Some(cut_off) = cli.command.drains() {
            shutdown::on_signals(stop.clone(), cut_off)?;
        }
        run(cli.command, stop).await
    });
    if let Some(exporting) = exporting.flatten() {
        exporting.stop();
    }
    // A broker client can hang in its destructor; nothing that matters is left to do.
    runtime.shutdown_background();
    ended.unwrap_or_else(|error| output::failed(&error))
}

async fn run(command: Command, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    match command {
        Command::Dev(args) => dev::run(args, stop).await,
        Command::Store(args) => store::run(args, stop).await,
        Command::Central(args) => central::run(args, stop).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Doctor(args) => doctor::run(&args),
        Command::Ready(args) => ready::run(args).await,
        Command::Key(args) => key::run(&args),
        Command::Token(args) => token::run(args),
        Command::Replay(args) => replay::run(args, stop).await,
        Command::Bench(args) => bench::run(args, stop).await,
        Command::BenchLimit(args) => bench::limits::http::run(args, stop).await,
    }
}

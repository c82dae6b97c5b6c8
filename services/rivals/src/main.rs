//! What Onhand is compared with: PostgreSQL doing the same work, raw and behind a bare route, and a copy
//! by polling. `scripts/bench-rivals` builds this, starts a PostgreSQL for it and calls `rivals run`.

mod figures;
mod load;
mod machine;
mod pgbench;
mod poll;
mod run;
mod serve;

use clap::Parser;

/// Measure Onhand's rivals.
#[derive(Debug, Parser)]
enum Command {
    /// Measure everything against a running PostgreSQL, and print a table.
    Run(run::Args),
    /// Serve the bare HTTP route.
    Serve(serve::Args),
    /// Load a bare HTTP route, each client one request after the other; prints JSON.
    Load(load::Args),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Run(args) => run::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Load(args) => load::run(args).await,
    }
}

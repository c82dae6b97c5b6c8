//! `onhand central rebuild`: the view anew, from the topics.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::Centre;
use crate::cli::{self, INTERRUPTED_EXIT};
use crate::output;
use crate::progress::Bar;

/// Forget what the topics have and read all of it again, while the centre does not run. Its reservations
/// and what it has still to publish are kept.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Example: onhand central rebuild --kafka 127.0.0.1:9092 --data-dir data/central"
)]
pub(crate) struct Args {
    #[command(flatten)]
    centre: Centre,
}

pub(crate) async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let log = args.centre.log();
    let (log, config) = match log.and_then(|log| Ok((log, args.centre.config()?))) {
        Ok(both) => both,
        Err(wrong) => return Ok(cli::makes_no_sense(&wrong, "central")),
    };
    let began = Instant::now();
    let work = tokio::task::spawn_blocking(move || {
        let (mut bar, mut last) =
            (Bar::new("records read"), central_service::rebuild::Progress::default());
        let whole = central_service::rebuild::rebuild(
            &config,
            log,
            &mut |progress| {
                last = progress;
                bar.at(progress.read, progress.of, &format!("{} events", progress.events));
            },
            &stop,
        );
        bar.finish();
        whole.map(|whole| (whole, last))
    });
    let (whole, done) = work.await.context("join the rebuild")??;
    if !whole {
        output::say("interrupted; the centre goes on from here when it is started");
        return Ok(ExitCode::from(INTERRUPTED_EXIT));
    }
    let took = began.elapsed();
    output::say(&format!(
        "{} records, {} events of {} stores in {:.1} s; start the centre to go on",
        done.read,
        done.events,
        done.stores,
        took.as_secs_f64()
    ));
    Ok(ExitCode::SUCCESS)
}

//! `onhand store backup`: an online copy of a journal.

use std::path::PathBuf;
use std::process::ExitCode;

use store_service::journal;

use crate::output;

/// Copy a journal beside a running store, as it stands at one moment, and check the copy. To restore it,
/// put it into the store's folder as `journal.db` and start the store: it fetches what came after.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example: onhand store backup --data-dir data/A backups/A-2026-11-21.db")]
pub(crate) struct Args {
    /// Folder of the journal.
    #[arg(long, env = "ONHAND_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where to put the copy; never overwritten.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (identity, head) = journal::backup(&args.data_dir, &args.file)?;
    output::say(&format!(
        "store {}, epoch {}: {} events copied to {}, and hold",
        identity.store,
        identity.epoch(),
        head.sequence,
        args.file.display()
    ));
    Ok(ExitCode::SUCCESS)
}

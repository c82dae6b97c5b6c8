//! `onhand verify`: is a journal what was once written?

use std::path::PathBuf;
use std::process::ExitCode;

use store_service::journal;

use crate::output;

/// Walk a store's journal from the first event and check that every hash covers its event and the one
/// before. Reads beside a running store.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Folder of the journal.
    #[arg(long, env = "ONHAND_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match journal::verify(&args.data_dir) {
        Ok((identity, head)) => {
            let (store, epoch) = (identity.store, identity.epoch);
            output::say(&format!("store {store}, epoch {epoch}: {} events hold", head.sequence));
            output::say(&format!("head hash {}", head.hash));
            Ok(ExitCode::SUCCESS)
        }
        Err(error @ (journal::Error::Broken { .. } | journal::Error::Damaged { .. })) => {
            output::error(&error.to_string());
            Ok(ExitCode::FAILURE)
        }
        Err(other) => Err(other.into()),
    }
}

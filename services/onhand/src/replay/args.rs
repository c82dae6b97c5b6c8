//! The command line of `onhand replay`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use reqwest::Url;

use super::client::{self, Target};
use super::sale::OnShortfall;
use crate::web;

const EXAMPLE: &str = "\
Example: a year of receipts into two stores, proved item by item at the centre

  sales.csv:
    timestamp,storeId,sku,quantity,reference
    2026-11-21T09:30:00Z,A,ABC-1,2,receipt-1001
    2026-11-21T09:31:12Z,B,ABC-1,-1,receipt-1002      (negative: a return)

  onhand replay sales.csv --store A=http://127.0.0.1:8081 --store B=http://127.0.0.1:8082 \\
      --opening sum --prove http://127.0.0.1:8080

Run the same command again after Ctrl-C or a failure: what a store has executed it answers from its
records (`repeated`), so nothing is sold twice. To sell the same file once more, give it a new --run.
Bad and refused lines go to sales.csv.rejects.csv with their reasons; that file can be corrected and
replayed itself.

Exit codes: 0 all lines have an answer (see the report for refused and bad ones), 1 a store gave up
or the proof failed, 64 wrong usage, 130 interrupted.";

/// Stream a CSV of sales into running stores, in the file's order for each store. Safe to repeat:
/// every line has an id made of the run's name, its number and its content.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Sales, with the header `timestamp,storeId,sku,quantity[,reference]` in any order.
    #[arg(env = "ONHAND_REPLAY_FILE", value_name = "FILE")]
    pub(super) file: PathBuf,
    /// A store and where it listens; give one for each store of the file.
    #[arg(
        long = "store",
        env = "ONHAND_REPLAY_STORE",
        value_name = "ID=URL",
        value_delimiter = ',',
        required = true,
        value_parser = client::target
    )]
    pub(super) stores: Vec<Target>,
    /// Levels to begin with: `sum` counts the file first and gives every item what it will sell.
    #[arg(long, env = "ONHAND_REPLAY_OPENING", value_enum, value_name = "HOW")]
    pub(super) opening: Option<Opening>,
    /// Name of this run; the same file under another name is sold again.
    #[arg(
        long,
        env = "ONHAND_REPLAY_RUN",
        default_value = "",
        hide_default_value = true,
        value_name = "NAME"
    )]
    pub(super) run: String,
    /// What a store does with a sale its shelf cannot cover; refused unless told otherwise.
    #[arg(long, env = "ONHAND_REPLAY_ON_SHORTFALL", value_enum, value_name = "WHAT")]
    pub(super) on_shortfall: Option<OnShortfall>,
    /// Lines of a request.
    #[arg(
        long,
        env = "ONHAND_REPLAY_BATCH_LINES",
        default_value_t = 1_000,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=10_000)
    )]
    pub(super) batch_lines: u16,
    /// Where bad and refused lines go; `FILE.rejects.csv` unless told otherwise.
    #[arg(long, env = "ONHAND_REPLAY_REJECTS", value_name = "FILE")]
    pub(super) rejects: Option<PathBuf>,
    /// How long a store may go without any success, in seconds; the others go on.
    #[arg(
        long,
        env = "ONHAND_REPLAY_GIVE_UP_AFTER",
        default_value_t = 60,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub(super) give_up_after: u64,
    /// Afterwards compare every item at this centre with its store and the file.
    #[arg(
        long,
        env = "ONHAND_REPLAY_PROVE",
        value_name = "CENTRAL_URL",
        requires = "opening",
        value_parser = web::base
    )]
    pub(super) prove: Option<Url>,
    #[command(flatten)]
    pub(super) token: web::Token,
    /// How long the centre may take to catch up, in seconds.
    #[arg(
        long,
        env = "ONHAND_REPLAY_PROVE_WITHIN",
        default_value_t = 120,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub(super) prove_within: u64,
}

/// Where levels to begin with come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Opening {
    /// From the file: what will be sold.
    Sum,
}

/// What no single flag can tell.
pub(super) fn check(args: &Args) -> Result<(), String> {
    for (target, earlier) in args.stores.iter().zip(0..) {
        if args.stores.iter().take(earlier).any(|other| other.store == target.store) {
            return Err(format!("--store names {} twice", target.store));
        }
    }
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    if real(&args.file).is_some() && real(&args.file) == real(&rejects_path(args)) {
        return Err("--rejects names the file itself, which would be lost".to_owned());
    }
    Ok(())
}

pub(super) fn rejects_path(args: &Args) -> PathBuf {
    args.rejects.clone().unwrap_or_else(|| {
        let mut name = OsString::from(&args.file);
        name.push(".rejects.csv");
        name.into()
    })
}

#[cfg(test)]
mod tests;

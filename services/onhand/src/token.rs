//! `onhand token`: tokens for callers, where no identity provider makes them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use access::Scope;
use access::mint::{Wanted, mint};
use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use service_kit::key_file::KeyRing;
use shared_events::{StoreId, Subject};

use crate::access::OURS;
use crate::output;

/// Make a token for a caller, and print it and nothing else.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Example: onhand token --key tokens.key --subject till-7 --scope stock:write --store A --valid 8h"
)]
pub(crate) struct Args {
    /// The services' key file; its first key signs.
    #[arg(long, env = "ONHAND_TOKEN_KEYS", value_name = "FILE")]
    key: PathBuf,
    /// Who it is for: 1 to 128 visible ASCII characters.
    #[arg(long, value_name = "NAME")]
    subject: Subject,
    /// What it allows: stock:read, stock:write, reservations:write, staff, admin. None implies another.
    #[arg(long, required = true, value_name = "SCOPE", value_delimiter = ',')]
    scope: Vec<Scope>,
    /// The stores it is bound to; every store when none is named.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    store: Vec<StoreId>,
    /// How long it is valid, as in 90s, 15m, 8h or 30d; at most 366d.
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = valid)]
    valid: Duration,
    /// The issuer the services expect.
    #[arg(long, env = "ONHAND_TOKEN_ISSUER", default_value = OURS, value_name = "NAME")]
    issuer: String,
    /// The audience the services expect.
    #[arg(long, env = "ONHAND_TOKEN_AUDIENCE", default_value = OURS, value_name = "NAME")]
    audience: String,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let ring = KeyRing::read(&args.key)?;
    let stores: BTreeSet<_> = args.store.into_iter().collect();
    let wanted = Wanted {
        subject: args.subject,
        scopes: args.scope.into_iter().collect(),
        stores: (!stores.is_empty()).then_some(stores),
        valid: args.valid,
        issuer: args.issuer,
        audience: args.audience,
    };
    let token = mint(ring.signing(), wanted).context("sign the token")?;
    output::say(token.expose_secret());
    Ok(ExitCode::SUCCESS)
}

/// Longest validity: what never ends cannot be taken back but by a rotation.
const LONGEST_SECONDS: u64 = 366 * 86_400;

fn valid(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time of at most 366 days, as in 90s, 15m, 8h or 30d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let each = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok());
    let seconds = number.and_then(|number| number.checked_mul(each)).ok_or_else(wrong)?;
    if !(1..=LONGEST_SECONDS).contains(&seconds) {
        return Err(wrong());
    }
    Ok(Duration::from_secs(seconds))
}

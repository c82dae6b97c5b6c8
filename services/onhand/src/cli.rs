//! The command line. Every flag is also an `ONHAND_*` variable.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use event_log::{KafkaConfig, KafkaLog};
use service_kit::shutdown::INTERRUPTED;
use service_kit::trace::export::Service;
use service_kit::trace::names::{attribute, service};
use shared_events::topic::{DEFAULT_PARTITIONS, Topics};
use tracing_subscriber::EnvFilter;

use crate::kafka_security::KafkaSecurity;
use crate::{bench, central, dev, doctor, key, output, ready, replay, store, token, verify};

/// Exit code of a command line that makes no sense (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// Exit code of work that was told to stop.
pub(crate) const INTERRUPTED_EXIT: u8 = 130;

/// Keeps a retail chain's stock true: every store sells from its own shelf and writes its own log;
/// the centre shows what is really there, and how fresh that knowledge is.
#[derive(Debug, Parser)]
#[command(name = "onhand", version, after_help = "Start with: onhand dev")]
pub(crate) struct Cli {
    /// What to log, as in `info` or `store_service=debug,info`.
    #[arg(long, global = true, env = "ONHAND_LOG", default_value = "info", value_name = "FILTER")]
    pub(crate) log: LogFilter,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole chain on this machine to try things out; needs nothing installed.
    Dev(dev::Args),
    Store(store::Command),
    Central(central::Command),
    /// Walk a store's journal and check its hash chain; exit 1 with the first broken sequence.
    Verify(verify::Args),
    /// Check configuration, SQLite, broker and topics; each finding comes with its fix.
    Doctor(doctor::Args),
    Ready(ready::Args),
    Key(key::Args),
    Token(token::Args),
    Replay(replay::Args),
    Bench(bench::Args),
    #[command(hide = true)]
    BenchLimit(bench::limits::http::Args),
}

impl Command {
    /// The exit code of a stop that takes too long; `None` for commands that a signal just ends.
    pub(crate) const fn drains(&self) -> Option<i32> {
        match self {
            // Everything a service acknowledged is on disk: it may be cut off.
            Self::Dev(_)
            | Self::Store(store::Command::Serve(_))
            | Self::Central(central::Command::Serve(_)) => Some(0),
            Self::Replay(_)
            | Self::Bench(_)
            | Self::BenchLimit(_)
            | Self::Store(store::Command::Recover(_))
            | Self::Central(central::Command::Rebuild(_)) => Some(INTERRUPTED),
            Self::Store(store::Command::Backup(_)) => None,
            Self::Verify(_) | Self::Doctor(_) | Self::Ready(_) | Self::Key(_) | Self::Token(_) => {
                None
            }
        }
    }
}

impl Command {
    /// What a running service is called in traces; tools leave none.
    pub(crate) fn traced(&self) -> Option<Service> {
        let (name, id) = match self {
            Self::Dev(_) => (service::DEV, None),
            Self::Store(store::Command::Serve(args)) => {
                let id = args.only_store().map(|store| (attribute::STORE, store.to_string()));
                (service::STORE, id)
            }
            Self::Central(central::Command::Serve(args)) => {
                (service::CENTRAL, Some((attribute::CENTRE, args.centre.centre_id.to_string())))
            }
            Self::Store(_) | Self::Central(_) => return None,
            Self::Verify(_) | Self::Doctor(_) | Self::Ready(_) | Self::Key(_) | Self::Token(_) => {
                return None;
            }
            Self::Replay(_) | Self::Bench(_) | Self::BenchLimit(_) => return None,
        };
        Some(Service { name, id, version: env!("CARGO_PKG_VERSION") })
    }
}

/// How to reach the broker, and which topics on it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Broker {
    /// Kafka bootstrap addresses.
    #[arg(long, env = "ONHAND_KAFKA", value_name = "HOST:PORT,…", value_parser = brokers)]
    pub(crate) kafka: String,
    #[command(flatten)]
    security: KafkaSecurity,
    #[command(flatten)]
    pub(crate) naming: Naming,
}

/// Names and partitions of the topics.
#[derive(Debug, Clone, Args)]
pub(crate) struct Naming {
    /// Put before every topic name, so that several chains can share a cluster.
    #[arg(
        long,
        env = "ONHAND_TOPIC_PREFIX",
        default_value = "",
        hide_default_value = true,
        value_name = "PREFIX",
        value_parser = topic_prefix
    )]
    topic_prefix: String,
    /// Partitions of the stock-event topic; the same for all services of a chain, for ever.
    #[arg(
        long,
        env = "ONHAND_PARTITIONS",
        default_value_t = DEFAULT_PARTITIONS,
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(1..=10_000)
    )]
    partitions: i32,
}

impl Broker {
    /// The broker, without keys for its records.
    pub(crate) fn log(&self) -> Result<Arc<KafkaLog>, String> {
        let config = self.security.apply(KafkaConfig::new(&self.kafka))?;
        Ok(Arc::new(KafkaLog::new(config)))
    }

    pub(crate) fn topics(&self) -> Topics {
        self.naming.topics()
    }

    /// The topics, with a name of their own behind the prefix.
    pub(crate) fn topics_under(&self, name: &str) -> Topics {
        self.naming.topics_under(name)
    }

    /// The same broker and topics under such a name, for the command line of another process.
    pub(crate) fn flags(&self, name: &str) -> Vec<OsString> {
        let partitions = self.naming.partitions.to_string();
        let prefix = self.naming.under(name);
        let mut flags = self.security.flags();
        for (flag, value) in
            [("--kafka", &self.kafka), ("--topic-prefix", &prefix), ("--partitions", &partitions)]
        {
            flags.extend([flag.into(), value.into()]);
        }
        flags
    }
}

impl Naming {
    pub(crate) fn topics(&self) -> Topics {
        self.topics_under("")
    }

    /// The topics, with a name of their own behind the prefix.
    pub(crate) fn topics_under(&self, name: &str) -> Topics {
        Topics::new(self.under(name), self.partitions)
    }

    /// A name behind the prefix.
    pub(crate) fn under(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }
}

/// A log filter that was understood.
#[derive(Debug)]
pub(crate) struct LogFilter(pub(crate) EnvFilter);

impl Clone for LogFilter {
    fn clone(&self) -> Self {
        // A filter is built once from text; its text is the way to a second one.
        Self(EnvFilter::new(self.0.to_string()))
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // librdkafka's own lines repeat what its callers report.
        let text = format!("librdkafka=error,rdkafka=error,{text}");
        EnvFilter::try_new(text).map(Self).map_err(|error| error.to_string())
    }
}

/// Bootstrap addresses, checked for their shape only: a broker may be away.
pub(crate) fn brokers(text: &str) -> Result<String, String> {
    let valid = |address: &str| {
        address.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
    };
    if text.split(',').all(valid) {
        Ok(text.to_owned())
    } else {
        Err("expected HOST:PORT, or several separated by commas".to_owned())
    }
}

fn topic_prefix(text: &str) -> Result<String, String> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if text.len() <= 64 && text.bytes().all(valid) {
        Ok(text.to_owned())
    } else {
        Err("expected at most 64 characters of A-Z a-z 0-9 . -".to_owned())
    }
}

/// An address to listen on.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_invalid| "expected an address and a port, as in 127.0.0.1:8081".to_owned())
}

/// Answers a command line whose parts do not go together.
pub(crate) fn makes_no_sense(wrong: &str, command: &str) -> ExitCode {
    output::error(&format!("{wrong} (see `onhand {command} --help`)"));
    ExitCode::from(USAGE)
}

/// Understands the command line, or says what is wrong with it.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    let mut matches = told_apart(Cli::command()).try_get_matches()?;
    Cli::from_arg_matches_mut(&mut matches)
}

/// Help is read by others: it names variables, and does not tell what is in them.
fn told_apart(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(told_apart)
}

/// Answers a command line that was not run: help as asked, or one line that says what is wrong.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        output::text(&error.render().ansi().to_string(), &error.to_string());
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        output::error(
            "a command is missing; `onhand --help` lists them, `onhand dev` is a good start",
        );
        return ExitCode::from(USAGE);
    }
    let text = without_passwords(&error.to_string());
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let line: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let line = line.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    output::error(&format!("{line} (see `onhand --help`)"));
    ExitCode::from(USAGE)
}

/// A text without what stands before the `@` of addresses: a user's name, and often a password.
fn without_passwords(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, address)) = rest.split_once("://") {
        said.push_str(before);
        said.push_str("://");
        let end = address.find(|c: char| c.is_whitespace() || "/'\"?#".contains(c));
        let (host, behind) = address.split_at(end.unwrap_or(address.len()));
        said.push_str(host.rsplit_once('@').map_or(host, |(_secret, host)| host));
        rest = behind;
    }
    said + rest
}

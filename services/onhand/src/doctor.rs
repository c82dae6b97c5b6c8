//! `onhand doctor`: what is wrong, and what to do about it.

use std::process::ExitCode;

use event_log::{Error, EventLog as _, KafkaLog, TopicStatus};
use shared_events::StoreId;
use shared_events::topic::TopicSpec;

use crate::cli::{self, Broker};
use crate::output;

/// Check SQLite, broker and topics. Changes nothing; exits 1 when something must be mended.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example: onhand doctor --kafka 127.0.0.1:9092 --store-id A --store-id B")]
pub(crate) struct Args {
    /// Also check the command topic of this store; may be repeated.
    #[arg(long, env = "ONHAND_STORE_ID", value_name = "ID", value_delimiter = ',')]
    store_id: Vec<StoreId>,
    #[command(flatten)]
    broker: Broker,
}

/// One thing that was looked at.
struct Finding {
    what: String,
    /// What to do, when it is not as it should be.
    fix: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut findings = vec![sqlite()];
    let log = match args.broker.log() {
        Ok(log) => log,
        Err(wrong) => {
            return Ok(cli::makes_no_sense(&wrong, "doctor"));
        }
    };
    match log.cluster_id() {
        Ok(cluster) => {
            let what = format!("broker {} answers, cluster {cluster}", args.broker.kafka);
            findings.push(Finding { what, fix: None });
            findings.extend(topics(&log, args)?);
        }
        Err(error) => findings.push(Finding {
            what: error.to_string(),
            fix: Some(
                "start it (scripts/kafka start), or correct ONHAND_KAFKA; stores sell without it"
                    .to_owned(),
            ),
        }),
    }
    let mut healthy = true;
    for Finding { what, fix } in findings {
        match fix {
            None => output::say(&format!("[ok]  {what}")),
            Some(fix) => {
                healthy = false;
                output::say(&format!("[fix] {what}\n      {fix}"));
            }
        }
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sqlite() -> Finding {
    let what = format!("SQLite {}", rusqlite::version());
    // The journal refuses to open on less; the program carries its own copy.
    let sound = rusqlite::version_number() >= 3_051_003;
    Finding {
        what,
        fix: (!sound).then(|| "build with the bundled SQLite, 3.51.3 or later".to_owned()),
    }
}

fn topics(log: &KafkaLog, args: &Args) -> anyhow::Result<Vec<Finding>> {
    let topics = args.broker.topics();
    let mut wanted = Vec::from(topics.shared());
    wanted.extend(args.store_id.iter().map(|store| topics.commands(store)));
    let found = log.describe_topics(&wanted)?;
    Ok(wanted
        .iter()
        .map(|spec| match found.iter().find(|status| status.name == spec.name) {
            Some(status) => judge(spec, status, &args.broker.kafka),
            None => {
                let what =
                    format!("topic {}: not there yet; the first service makes it", spec.name);
                Finding { what, fix: None }
            }
        })
        .collect())
}

fn judge(spec: &TopicSpec, status: &TopicStatus, kafka: &str) -> Finding {
    let what = format!(
        "topic {}: {} partitions, {} replicas",
        spec.name, status.partitions, status.replicas
    );
    if status.partitions != spec.partitions {
        let wrong = Error::WrongPartitions {
            topic: spec.name.clone(),
            found: status.partitions,
            expected: spec.partitions,
        };
        let fix = wrong.to_string();
        return Finding { what, fix: Some(fix) };
    }
    let wrong: Vec<String> = spec
        .settings
        .iter()
        .filter(|(name, value)| status.settings.get(*name).is_none_or(|found| found != value))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let fix = (!wrong.is_empty()).then(|| {
        let settings = wrong.join(",");
        format!(
            "kafka-configs.sh --bootstrap-server {kafka} --alter --topic {} --add-config {settings}",
            spec.name
        )
    });
    Finding { what, fix }
}

//! The program as people and scripts meet it.

use std::process::Output;

use crate::chain::verify;
use crate::process::{Service, free_port, onhand};

fn run(args: &[&str]) -> Output {
    onhand().args(args).output().unwrap()
}

#[track_caller]
fn refused(args: &[&str], expected: &str) {
    let output = run(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{args:?}: {said}");
    assert_eq!(said.lines().count(), 1, "one line for {args:?}: {said}");
    assert!(said.contains(expected), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?}");
}

#[test]
fn a_bad_configuration_is_one_line_and_exit_64() {
    refused(&[], "a command is missing");
    refused(&["sell"], "sell");
    refused(&["store"], "--store-id");
    let store = ["store", "--kafka", "localhost:9092", "--data-dir", "x"];
    refused(&[&store[..], &["--store-id", "A/B"]].concat(), "a store id is 1 to 32 characters");
    refused(&[&store[..], &["--store-id", "A,,B"]].concat(), "a store id is 1 to 32 characters");
    refused(
        &[&store[..], &["--store-id", "A", "--listen", "8081"]].concat(),
        "an address and a port",
    );
    refused(&[&store[..], &["--store-id", "A", "--heartbeat-ms", "0"]].concat(), "10..=60000");
    refused(&[&store[..], &["--store-id", "A", "--partitions", "0"]].concat(), "1..=10000");
    refused(&["central", "--kafka", "localhost", "--data-dir", "x"], "HOST:PORT");
    refused(&["--log", "=nonsense=", "dev"], "--log");
    refused(&["dev", "--stores", "A,|"], "a store id is");
    refused(&["dev", "--stores", "A,B,A"], "store A is named twice");
    refused(&["dev", "--port", "65534"], "not enough ports");
    refused(&["dev", "--dark-after-ms", "5"], "--dark-after-ms must be more");
}

#[test]
fn a_bad_environment_variable_is_refused_like_its_flag() {
    let output = onhand().args(["dev"]).env("ONHAND_PORT", "many").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr).unwrap().contains("many"));
}

#[test]
fn help_names_every_command_and_the_environment_variables() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for command in ["dev", "store", "central", "verify", "doctor", "replay"] {
        assert!(help.contains(command), "{command}");
    }
    let help = String::from_utf8(run(&["store", "--help"]).stdout).unwrap();
    for variable in ["ONHAND_STORE_ID", "ONHAND_KAFKA", "ONHAND_DATA_DIR", "ONHAND_LISTEN"] {
        assert!(help.contains(variable), "{variable}");
    }
    assert!(!help.contains('\u{1b}'), "no colours where there is no terminal");
}

#[test]
fn doctor_says_what_to_do_about_a_broker_that_is_away() {
    let output = run(&["doctor", "--kafka", &format!("127.0.0.1:{}", free_port())]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("[ok]  SQLite 3."), "{said}");
    assert!(said.contains("[fix] the broker at") && said.contains("scripts/kafka start"), "{said}");
}

async fn store(folder: &std::path::Path) -> Service {
    // No broker listens there: a store starts and sells without one.
    let kafka = format!("127.0.0.1:{}", free_port());
    let data = folder.join("A");
    let args =
        ["store", "--store-id", "A", "--kafka", &kafka, "--data-dir", data.to_str().unwrap()];
    Service::start(&args, free_port(), &folder.join("log")).await
}

#[tokio::test]
async fn a_second_process_on_one_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = store(folder.path()).await;
    let data = folder.path().join("A");
    let listen = format!("127.0.0.1:{}", free_port());
    let second = run(&[
        "store",
        "--store-id",
        "A",
        "--kafka",
        "127.0.0.1:1",
        "--listen",
        &listen,
        "--data-dir",
        data.to_str().unwrap(),
    ]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8(second.stderr).unwrap().contains("in use by another process"));
}

#[tokio::test]
async fn verify_names_the_first_event_that_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = store(folder.path()).await;
    let client = reqwest::Client::new();
    for delta in 1..=5 {
        let body = format!(r#"{{"storeId":"A","sku":"X","delta":{delta}}}"#);
        let url = format!("{}/api/commands/inventory/adjust", service.url);
        let request = client.post(url).header("content-type", "application/json").body(body);
        assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    }
    let journal = folder.path().join("A");
    let whole = verify(&journal);
    assert!(whole.status.success());
    assert!(String::from_utf8(whole.stdout).unwrap().contains("5 events hold"));

    service.kill();
    let database = rusqlite::Connection::open(journal.join("journal.db")).unwrap();
    database
        .execute_batch(
            "DROP TRIGGER events_are_never_updated;
             UPDATE events SET data = replace(data, '\"delta\":3', '\"delta\":30') WHERE sequence = 3;",
        )
        .unwrap();
    drop(database);
    let tampered = verify(&journal);
    assert_eq!(tampered.status.code(), Some(1));
    assert!(String::from_utf8(tampered.stderr).unwrap().contains("broken at sequence 3"));
}

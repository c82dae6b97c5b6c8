//! What the program says of itself.

use std::collections::BTreeMap;
use std::process::Command;

/// What `onhand COMMAND --help` prints.
pub(crate) fn help(command: &str) -> String {
    let asked = Command::new(env!("CARGO_BIN_EXE_onhand"))
        .args([command, "--help"])
        .output()
        .expect("the program runs");
    assert!(asked.status.success(), "onhand {command} is a command");
    // Lines are wrapped anywhere: between `[env:` and the name, too.
    let text = String::from_utf8(asked.stdout).expect("text");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a command takes a setting by this variable.
pub(crate) fn takes(help: &str, variable: &str) -> bool {
    help.contains(&format!("[env: {variable}]"))
}

/// Settings of the OpenTelemetry specification that are used here.
pub(crate) const OTEL: [&str; 3] =
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_SERVICE_NAME"];

/// Fails unless each setting is one that the command takes, and the command understands the values.
pub(crate) fn assert_understood(who: &str, command: &str, settings: &BTreeMap<String, String>) {
    let help = help(command);
    for name in settings.keys() {
        if name.starts_with("OTEL_") {
            assert!(OTEL.contains(&name.as_str()), "{who}: {name} is no OpenTelemetry setting");
        } else {
            assert!(takes(&help, name), "{who}: onhand {command} has no {name}");
        }
    }
    // With a file where its folder should be it ends as soon as it has understood the rest.
    let taken = tempfile::NamedTempFile::new().expect("a file");
    let ran = Command::new(env!("CARGO_BIN_EXE_onhand"))
        .arg(command)
        .env_clear()
        // Key files are made at the first start: they are not here.
        .envs(settings.iter().filter(|(name, _)| {
            !name.starts_with("OTEL_") && !name.starts_with("ONHAND_RECORD_KEY")
        }))
        .env("ONHAND_DATA_DIR", taken.path())
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(1), "{who}: onhand {command} says: {said}");
}

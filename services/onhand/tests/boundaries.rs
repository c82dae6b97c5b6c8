//! Who may depend on what: the design's table, held by a test.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// For each crate everything it may name in `[dependencies]`.
const ALLOWED: [(&str, &[&str]); 2] = [
    ("shared-events", &["serde", "serde_json", "thiserror", "time"]),
    ("inventory-core", &["shared-events", "thiserror", "xxhash-rust"]),
];

/// What a crate must not name.
const BANNED: [(&str, &[&str]); 6] = [
    (
        "access",
        &["rdkafka", "rusqlite", "event-log", "inventory-core", "store-service", "central-service"],
    ),
    ("event-log", &["rusqlite", "axum", "inventory-core"]),
    ("service-kit", &["rdkafka", "access", "event-log", "inventory-core", "shared-events"]),
    ("stock-http", &["rdkafka", "rusqlite", "event-log", "store-service", "central-service"]),
    ("store-service", &["rdkafka", "central-service", "backoff"]),
    ("central-service", &["rdkafka", "store-service", "backoff"]),
];

/// Crates that one crate alone may name.
const OWNERS: [(&str, &str); 6] = [
    ("jsonwebtoken", "access"),
    ("rdkafka", "event-log"),
    ("backoff", "service-kit"),
    ("opentelemetry", "service-kit"),
    ("opentelemetry_sdk", "service-kit"),
    ("opentelemetry-otlp", "service-kit"),
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .no_deps()
        .other_options(["--locked".to_owned()])
        .exec()
        .expect("cargo metadata")
}

fn dependencies(metadata: &Metadata, of: &str) -> BTreeSet<String> {
    let package = metadata.packages.iter().find(|package| package.name == of).expect(of);
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal)
        .map(|dependency| dependency.name.clone())
        .collect()
}

#[test]
fn pure_crates_name_only_what_the_table_allows() {
    let metadata = metadata();
    for (of, allowed) in ALLOWED {
        let found = dependencies(&metadata, of);
        let allowed: BTreeSet<_> = allowed.iter().map(|s| (*s).to_owned()).collect();
        let extra: Vec<_> = found.difference(&allowed).collect();
        assert!(extra.is_empty(), "{of} must not depend on {extra:?}");
    }
}

#[test]
fn no_crate_names_what_the_table_bans() {
    let metadata = metadata();
    for (of, banned) in BANNED {
        let found = dependencies(&metadata, of);
        for name in banned {
            assert!(!found.contains(*name), "{of} must not depend on {name}");
        }
    }
}

#[test]
fn the_broker_client_the_backoff_crate_and_opentelemetry_have_one_user_each() {
    let metadata = metadata();
    for (owned, owner) in OWNERS {
        for package in &metadata.packages {
            let names = dependencies(&metadata, &package.name);
            assert_eq!(
                names.contains(owned),
                package.name == owner,
                "{} and {owned}",
                package.name
            );
        }
    }
}

#[test]
fn every_source_file_says_what_it_is_for_and_can_be_read_in_one_sitting() {
    let metadata = metadata();
    for package in &metadata.packages {
        let source = package.manifest_path.parent().unwrap().join("src");
        for file in rust_files(source.as_std_path()) {
            let text = std::fs::read_to_string(&file).unwrap();
            let name = file.display();
            assert!(text.starts_with("//! "), "{name} has no module documentation");
            assert!(text.lines().count() <= 500, "{name} has more than 500 lines");
        }
    }
}

/// A defence without its test is a claim.
#[test]
fn each_risk_on_the_page_about_security_names_tests_that_are_there() {
    let metadata = metadata();
    let root = metadata.workspace_root.as_std_path();
    let (mut sources, mut files) = (String::new(), BTreeSet::new());
    for file in ["services", "shared-events"].iter().flat_map(|from| rust_files(&root.join(from))) {
        sources.push_str(&std::fs::read_to_string(&file).unwrap());
        let path = file.with_extension("");
        files.extend(path.iter().map(|part| part.to_str().unwrap().to_owned()));
    }
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    for risk in 1..=10 {
        let row = page.lines().find(|line| line.starts_with(&format!("| API{risk} ")));
        let row = row.unwrap_or_else(|| panic!("API{risk} is not on the page"));
        let tests = row.split(" | ").nth(2).unwrap_or_else(|| panic!("API{risk} has no tests"));
        // A test, the beginning of one, or a module: everything that stands between backticks.
        let named: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "API{risk} has no tests");
        for name in named.into_iter().filter(|name| !name.contains(['-', '/'])) {
            let last = name.trim_end_matches("::*").rsplit("::").next().unwrap();
            let begins = format!("fn {}", last.trim_end_matches('…'));
            let there = sources.contains(&begins) || files.contains(last);
            assert!(there, "API{risk} names {name}, which is nowhere");
        }
    }
}

fn rust_files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

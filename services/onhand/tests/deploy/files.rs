//! Reading the repository's files.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A path from the repository's top.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

pub(crate) fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every document of a YAML file.
pub(crate) fn documents(name: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A YAML file of one document.
pub(crate) fn yaml(name: &str) -> Value {
    let mut all = documents(name);
    assert_eq!(all.len(), 1, "{name} has one document");
    all.remove(0)
}

pub(crate) fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Entries of a mapping, none where there is none.
pub(crate) fn entries(of: &Value) -> impl Iterator<Item = (&str, &Value)> {
    of.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// Entries of a list, none where there is none.
pub(crate) fn list(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}

/// A value as it stands in the file, also a number or a truth.
pub(crate) fn plain(of: &Value) -> String {
    of.as_str().map_or_else(|| of.to_string(), str::to_owned)
}

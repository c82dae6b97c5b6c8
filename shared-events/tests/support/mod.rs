//! Records that own their bytes, so that a test can break them before they are read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::value::RawValue;
use shared_events::wire::{IncomingRecord, OutgoingRecord};

/// A record between an encoder and a decoder.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) value: Option<Vec<u8>>,
}

impl From<OutgoingRecord> for Record {
    fn from(record: OutgoingRecord) -> Self {
        Self { key: Some(record.key), headers: record.headers, value: record.value }
    }
}

impl Record {
    /// What one of the decoders makes of it.
    pub(crate) fn read<T>(&self, decode: impl FnOnce(&IncomingRecord<'_>) -> T) -> T {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let (key, value) = (self.key.as_deref(), self.value.as_deref());
        decode(&IncomingRecord { key, headers: &headers, value })
    }

    /// Gives a header another value, or adds it.
    pub(crate) fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.headers.retain(|(key, _)| key != name);
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
    }
}

#[derive(Deserialize)]
struct GoldenFile {
    key: String,
    headers: BTreeMap<String, String>,
    data: Box<RawValue>,
}

/// Path of a golden file.
pub(crate) fn golden_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"))
}

/// The record of a golden file. Its headers come in alphabetical order: readers must not mind.
pub(crate) fn golden(name: &str) -> Record {
    let text = std::fs::read_to_string(golden_path(name)).expect("the golden file is committed");
    let file: GoldenFile = serde_json::from_str(&text).expect("a golden file is JSON");
    Record {
        key: Some(file.key.into_bytes()),
        headers: file.headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
        value: Some(file.data.get().as_bytes().to_vec()),
    }
}

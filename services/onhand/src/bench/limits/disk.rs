//! What the disk gives: rows in SQLite by groups, and bare fsync.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rusqlite::params;
use service_kit::sqlite::{self, Durability, Schema};

use crate::bench::load::{count, histogram};

/// The columns of a journal's event, without index, triggers and chain.
const SCHEMA: Schema = Schema {
    application_id: 0x4f6e_6862,
    layouts: &["CREATE TABLE events (
        sequence INTEGER PRIMARY KEY, sku TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL,
        occurred_at INTEGER NOT NULL, traceparent TEXT, cause TEXT, principal TEXT,
        epoch INTEGER NOT NULL, hash BLOB NOT NULL
    ) STRICT;"],
};
const TYPE: &str = "inventory.stock-adjusted.v1";
const DATA: &str = r#"{"version":12,"delta":-1,"onHand":999999987,"reserved":0}"#;

/// One database, written as the services write theirs.
pub(in crate::bench) struct Disk {
    connection: rusqlite::Connection,
    rows: i64,
}

impl Disk {
    pub(in crate::bench) fn open(file: &Path) -> anyhow::Result<Self> {
        let connection = sqlite::open(file, SCHEMA, Durability::EveryCommit)?;
        Ok(Self { connection, rows: 0 })
    }

    /// Commits so many rows at once.
    pub(in crate::bench) fn commit(&mut self, rows: u32) -> anyhow::Result<()> {
        let transaction = self.connection.transaction()?;
        for _ in 0..rows {
            self.rows += 1;
            let sku = format!("ITEM-{}", self.rows % 10_000);
            transaction
                .prepare_cached(
                    "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, NULL, NULL, NULL, 1, ?6)",
                )?
                .execute(params![self.rows, sku, TYPE, DATA, 1_790_000_000_000_i64, [7_u8; 32]])?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Rows a second in groups of this size.
    pub(in crate::bench) fn rows_per_second(
        &mut self,
        group: u32,
        time: Duration,
    ) -> anyhow::Result<f64> {
        let (started, before) = (Instant::now(), self.rows);
        while started.elapsed() < time {
            self.commit(group)?;
        }
        Ok((self.rows - before) as f64 / started.elapsed().as_secs_f64())
    }
}

/// Pages of the file below.
const PAGES: u64 = 1_024;

/// How long it takes to write a page and have it on disk, in a file that has its size already, as a
/// write-ahead log in use has.
pub(in crate::bench) fn fsyncs(file: &Path, time: Duration) -> anyhow::Result<Histogram<u64>> {
    let mut file = File::create(file)?;
    for _ in 0..PAGES {
        file.write_all(&[7; 4_096])?;
    }
    file.sync_all()?;
    let (mut latencies, started, mut page) = (histogram(), Instant::now(), 0);
    while started.elapsed() < time {
        let began = Instant::now();
        file.seek(SeekFrom::Start(page % PAGES * 4_096))?;
        file.write_all(&[8; 4_096])?;
        file.sync_data()?;
        count(&mut latencies, began.elapsed());
        page += 1;
    }
    Ok(latencies)
}

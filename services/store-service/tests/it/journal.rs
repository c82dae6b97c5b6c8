//! The journal on disk: one owner, and no change to it goes unnoticed.

use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use event_log::MemoryLog;
use rusqlite::Connection;
use serde_json::json;
use service_kit::folder::Error as FolderError;
use shared_events::{Sequence, StoreId};
use store_service::journal::{self, Error, Head, Journal};

use crate::support::{ADJUST, Setup, TestStore, adjust, copy_of, store_id, with};

pub(crate) fn open(folder: &Path) -> Result<Head, Error> {
    Journal::open(folder, &store_id(), |_| {}).map(|journal| journal.head())
}

pub(crate) fn database(folder: &Path) -> Connection {
    Connection::open(folder.join("journal.db")).unwrap()
}

/// The journal of a store that made five sales and closed, all of it in the one file.
async fn closed() -> (Setup, PathBuf) {
    let store = TestStore::start().await;
    store.replace("X", 10).await;
    let sale = with(adjust("X", -1), serde_json::json!({"commandId": "sale", "reason": "sold"}));
    store.post(ADJUST, &sale).await.accepted();
    for sku in ["Y", "X", "Y"] {
        store.adjust(sku, 1).await;
    }
    let folder = store.folder().to_owned();
    let setup = store.stop().await;
    let settled: i64 = database(&folder)
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(settled, 0, "nobody else has it open");
    (setup, folder)
}

#[tokio::test]
async fn a_journal_has_one_owner_at_a_time() {
    let store = TestStore::start().await;
    store.replace("X", 1).await;
    let folder = store.folder().to_owned();
    let refused = open(&folder).unwrap_err();
    assert!(
        matches!(&refused, Error::Folder(FolderError::InUse(path)) if *path == folder),
        "{refused}"
    );
    assert!(refused.to_string().contains("stop that one first"), "{refused}");
    // Looking is free, beside the owner.
    assert_eq!(journal::verify(&folder).unwrap().1.sequence.get(), 1);
    store.adjust("X", 1).await;
    let _setup = store.stop().await;
    assert_eq!(open(&folder).unwrap().sequence.get(), 2);
}

#[tokio::test]
async fn a_journal_belongs_to_one_store() {
    let (_setup, folder) = closed().await;
    let other = StoreId::parse("B").unwrap();
    let refused = Journal::open(&folder, &other, |_| {}).unwrap_err();
    assert!(matches!(&refused, Error::OtherStore { found, wanted, .. }
        if *found == store_id() && *wanted == other));
    assert!(refused.to_string().contains("belongs to store A, not B"), "{refused}");
    assert_eq!(open(&folder).unwrap().sequence.get(), 5, "left as it was");
}

#[tokio::test]
async fn the_first_changed_row_is_named() {
    let (_setup, folder) = closed().await;
    for (sequence, change) in [
        (1, "UPDATE events SET data = replace(data, '10', '11') WHERE sequence = 1"),
        (2, "UPDATE events SET data = replace(data, '\"sold\"', '\"lost\"') WHERE sequence = 2"),
        (2, "UPDATE events SET cause = 'other' WHERE sequence = 2"),
        (2, "UPDATE events SET cause = NULL WHERE sequence = 2"),
        (2, "UPDATE events SET principal = 'other' WHERE sequence = 2"),
        (3, "UPDATE events SET sku = 'Z' WHERE sequence = 3"),
        (3, "UPDATE events SET occurred_at = occurred_at + 1 WHERE sequence = 3"),
        (3, "UPDATE events SET type = 'inventory.stock-replaced.v1' WHERE sequence = 3"),
        (4, "UPDATE events SET traceparent = '' WHERE sequence = 4"),
        (4, "UPDATE events SET hash = zeroblob(32) WHERE sequence >= 4"),
        (5, "UPDATE events SET data = replace(data, 'delta', 'Delta') WHERE sequence = 5"),
        (
            3,
            "INSERT OR REPLACE INTO events SELECT sequence, sku, type, data || ' ', occurred_at,
             traceparent, cause, hash, epoch, principal FROM events WHERE sequence = 3",
        ),
        (3, "DELETE FROM events WHERE sequence = 3"),
        (1, "DELETE FROM events WHERE sequence < 3"),
        (3, "UPDATE events SET sequence = sequence + 1000 WHERE sequence = 3"),
        (3, "UPDATE events SET epoch = 2 WHERE sequence = 3"),
        (2, "UPDATE journal SET begins_behind = 1"),
        (1, "UPDATE journal SET store_id = 'B'"),
    ] {
        let copy = copy_of(&folder);
        let tampered = database(copy.path());
        tampered.execute_batch("DROP TRIGGER events_are_never_updated").unwrap();
        tampered.execute_batch("DROP TRIGGER events_are_never_deleted").unwrap();
        assert!(tampered.execute(change, []).unwrap() > 0, "{change}");
        drop(tampered);

        let verified = journal::verify(copy.path()).unwrap_err();
        let Error::Broken { sequence: first, .. } = &verified else {
            panic!("{change}: {verified}")
        };
        assert_eq!(first.get(), sequence, "{change}: {verified}");
        if !change.contains("store_id") {
            let opened = open(copy.path()).unwrap_err();
            assert_eq!(opened.to_string(), verified.to_string(), "{change}");
        }
        assert!(verified.to_string().contains(&format!("at sequence {sequence}:")), "{verified}");
    }
    assert!(journal::verify(&folder).is_ok(), "the original is whole");
}

#[tokio::test]
async fn rows_can_be_neither_changed_nor_deleted() {
    let (_setup, folder) = closed().await;
    let connection = database(&folder);
    for change in [
        "UPDATE events SET data = '{}'",
        "UPDATE events SET sequence = 9 WHERE sequence = 5",
        "DELETE FROM events",
        "DELETE FROM events WHERE sequence = 5",
    ] {
        let refused = connection.execute(change, []).unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{change}: {refused}");
    }
    drop(connection);
    assert_eq!(open(&folder).unwrap().sequence.get(), 5);
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_alone() {
    let (_setup, folder) = closed().await;
    let length = fs::metadata(folder.join("journal.db")).unwrap().len();
    let garbage = |seek, length: usize| (seek, vec![0xa5_u8; length]);
    let damages = [
        ("cut in half", length / 2, None),
        ("cut by a page", length - 4_096, None),
        ("cut to its head", 4_096, None),
        ("cut within its head", 50, None),
        ("its head overwritten", length, Some(garbage(0, 100))),
        ("a page overwritten", length, Some(garbage(4_096, 4_096))),
        ("all overwritten", length, Some(garbage(0, usize::try_from(length).unwrap()))),
    ];
    for (what, keep, written) in damages {
        let copy = copy_of(&folder);
        let path = copy.path().join("journal.db");
        let mut file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(keep).unwrap();
        if let Some((seek, bytes)) = written {
            file.seek(SeekFrom::Start(seek)).unwrap();
            file.write_all(&bytes).unwrap();
        }
        drop(file);
        let before = fs::read(&path).unwrap();
        for refused in [journal::verify(copy.path()).unwrap_err(), open(copy.path()).unwrap_err()] {
            println!("{what}: {refused}");
            assert!(!matches!(refused, Error::Full | Error::Folder(_)), "{what}: {refused}");
            let told = refused.to_string();
            assert!(told.contains("journal"), "{what}: which file is it? {told}");
        }
        assert_eq!(fs::read(&path).unwrap(), before, "{what}: evidence is not touched");
    }
}

#[tokio::test]
async fn a_database_of_something_else_is_refused() {
    let folder = test_support::folder();
    database(folder.path()).execute_batch("CREATE TABLE theirs (x)").unwrap();
    for refused in [open(folder.path()).unwrap_err(), journal::verify(folder.path()).unwrap_err()] {
        assert!(refused.to_string().contains("not a database of this kind"), "{refused}");
    }
    let (_setup, folder) = closed().await;
    database(&folder).pragma_update(None, "user_version", 6).unwrap();
    let refused = open(&folder).unwrap_err().to_string();
    assert!(refused.contains("has layout 6, this program knows 5"), "{refused}");
}

#[tokio::test]
async fn a_journal_of_the_first_layout_is_brought_up_to_date_and_remembers_its_answers() {
    let (setup, folder) = closed().await;
    let store = setup.start().await;
    let body = json!({"storeId": "A", "sku": "X", "delta": 4, "commandId": "old"});
    let told = store.post(ADJUST, &body).await.accepted();
    let setup = store.stop().await;
    // As the program before this one left it.
    let older = "DROP TABLE events_by_item;
         CREATE INDEX events_by_sku ON events (sku, sequence, occurred_at);
         DROP TABLE inbox; ALTER TABLE commands DROP COLUMN events;
         DROP INDEX commands_by_age; ALTER TABLE commands DROP COLUMN answered_at;
         ALTER TABLE events DROP COLUMN epoch; ALTER TABLE events DROP COLUMN principal;
         ALTER TABLE journal DROP COLUMN begins_behind;
         ALTER TABLE journal DROP COLUMN home; PRAGMA user_version = 1;";
    database(&folder).execute_batch(older).unwrap();

    let refused = journal::verify(&folder).unwrap_err().to_string();
    assert!(refused.contains("brings it up to date when it starts"), "{refused}");
    let store = setup.start().await;
    let again = store.post(ADJUST, &body).await;
    assert!(again.is_replayed());
    assert_eq!(again.accepted(), told);
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let folder = test_support::folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = open(&file.join("A")).unwrap_err();
    assert!(
        matches!(&refused, Error::Folder(FolderError::Unusable { path, .. }) if *path == file.join("A")),
        "{refused}"
    );
    let missing = journal::verify(&folder.path().join("missing")).unwrap_err();
    assert!(missing.to_string().contains("missing/journal.db"), "{missing}");
}

/// What the disk holds while the store runs is what a power cut leaves.
#[tokio::test]
async fn what_was_answered_survives_a_store_that_never_closed() {
    let store = Setup::with_log(MemoryLog::default()).without_heartbeats().start().await;
    for n in 1..=20 {
        let named = with(adjust("X", 1), serde_json::json!({"commandId": format!("c{n}")}));
        store.post(ADJUST, &named).await.accepted();
    }
    let cut = copy_of(store.folder());
    // And with it the beginning of a commit that nobody was told about.
    let wal = cut.path().join("journal.db-wal");
    OpenOptions::new().append(true).open(&wal).unwrap().write_all(&[0xa5; 6_000]).unwrap();

    let setup = Setup::with_log(MemoryLog::default()).in_folder(cut.path().to_owned());
    let recovered = setup.start().await;
    assert_eq!((recovered.item("X").await, recovered.head().await), ((20, 20), 20));
    let named = with(adjust("X", 1), serde_json::json!({"commandId": "c20"}));
    assert!(recovered.post(ADJUST, &named).await.is_replayed());
    assert_eq!(recovered.adjust("X", 1).await.json()["sequence"], 21);
}

/// A centre may have seen nothing of it but where it begins; that is no other journal.
#[test]
fn a_journal_that_begins_behind_a_snapshot_knows_what_it_is_built_on() {
    let folder = test_support::folder();
    let mut journal = Journal::open(folder.path(), &store_id(), |_| {}).unwrap();
    journal.begin_behind(Sequence::new(100)).unwrap().commit().unwrap();
    let at = |sequence| journal.hash_at(Sequence::new(sequence)).unwrap();
    assert_eq!(at(100), Some(journal.head().hash));
    assert_eq!((at(99), at(101)), (None, None));
}

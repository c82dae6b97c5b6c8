//! The database: one process at a time, told apart from other files, the same after a restart, and
//! never in the way of a query.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use central_service::App;
use central_service::database::{Database, Error};
use central_service::projection::Batch;
use event_log::{EventLog, MemoryLog};
use rusqlite::Connection;
use service_kit::folder::Error as FolderError;
use shared_events::policy::Selling;
use shared_events::wire::encode_selling;

use crate::support::{Centre, SOON, Shop, config, file, get, heartbeats, publish, raw, topics};

fn setting() -> (tempfile::TempDir, Arc<dyn EventLog>) {
    (tempfile::tempdir().expect("a folder"), Arc::new(MemoryLog::default()))
}

/// A folder in which a centre has worked.
fn used(folder: &Path, log: &Arc<dyn EventLog>) -> Shop {
    let shop = Shop::stocked("S1", 300);
    publish(log.as_ref(), &shop.journal);
    Centre::open(folder, log).catch_up();
    shop
}

fn sql(folder: &Path, sql: &str) {
    Connection::open(file(folder)).expect("the file is there").execute_batch(sql).expect(sql);
}

/// What a person is told who starts a centre there.
fn refusal(folder: &Path, log: &Arc<dyn EventLog>) -> String {
    App::build(config(folder), Arc::clone(log)).expect_err("it must not start").to_string()
}

#[test]
fn a_folder_serves_one_process_at_a_time() {
    let (folder, log) = setting();
    let first = App::build(config(folder.path()), Arc::clone(&log)).expect("the folder is free");
    let second = App::build(config(folder.path()), Arc::clone(&log)).expect_err("it is in use");
    assert!(matches!(second, Error::Folder(FolderError::InUse(_))), "{second:?}");
    let said = second.to_string();
    assert!(said.contains(&folder.path().display().to_string()), "{said}");
    assert!(said.contains("stop that one first"), "{said}");
    drop(first);
    App::build(config(folder.path()), log).expect("the lock went with its holder");
}

/// It did not record what stores keep for reservations, so everything is read again.
#[test]
fn a_database_of_the_first_layout_is_built_anew_from_the_topics() {
    let (folder, log) = setting();
    let shop = used(folder.path(), &log);
    let rows = Connection::open(file(folder.path())).expect("the file is there");
    let first = include_str!("../../src/database/layout-1.sql");
    let older = folder.path().join("older.db");
    rows.execute("ATTACH ?1 AS older", [older.to_str()]).expect("a second file");
    let first = first.replace("CREATE TABLE ", "CREATE TABLE older.");
    rows.execute_batch(&first).expect("the tables of the first layout");
    for table in ["source", "stores", "levels", "trackers", "tracker_chunks", "positions"] {
        // Columns that were added since stand at the end.
        let columns: String = rows
            .query_row(
                &format!("SELECT group_concat(name) FROM pragma_table_info('{table}', 'older')"),
                [],
                |row| row.get(0),
            )
            .expect("its columns");
        let copy =
            format!("INSERT INTO older.{table} ({columns}) SELECT {columns} FROM main.{table}");
        rows.execute(&copy, []).expect("the same columns");
    }
    rows.execute_batch("PRAGMA older.application_id = 0x4f6e6832; PRAGMA older.user_version = 1;")
        .expect("the marks of the first layout");
    drop(rows);
    for left in ["central.db-wal", "central.db-shm"] {
        std::fs::remove_file(folder.path().join(left)).unwrap_or_default();
    }
    std::fs::rename(older, file(folder.path())).expect("it takes the place");

    let mut centre = Centre::open(folder.path(), &log);
    let applied = centre.catch_up();
    assert_eq!((applied.events, applied.duplicates), (300, 0));
    assert_eq!(centre.on_hand(&shop.id, "ITEM-299"), Some(300));
}

/// It passed over what operators say of stores, so the policies are read again.
#[test]
fn a_database_from_before_the_switch_of_stores_learns_how_they_stand() {
    let (folder, log) = setting();
    let shop = used(folder.path(), &log);
    let said = Selling {
        store_id: shop.id.clone(),
        enabled: false,
        reason: None,
        changed_at: "2026-11-21T09:30:00Z".parse().expect("a time"),
        changed_by: "c2".parse().expect("a centre id"),
    };
    raw(log.as_ref(), &topics().policies(), [encode_selling(&said)]);
    Centre::open(folder.path(), &log).catch_up();
    let older =
        "DROP TABLE dead_letters; DROP TABLE selling; ALTER TABLE stores DROP COLUMN lineage;
         ALTER TABLE history DROP COLUMN principal;
         DROP INDEX requests_by_age; ALTER TABLE requests DROP COLUMN asked_at;
         DROP INDEX stock_commands_by_age; ALTER TABLE stock_commands DROP COLUMN answered_at;
         PRAGMA user_version = 3";
    sql(folder.path(), older);

    let mut centre = Centre::open(folder.path(), &log);
    let known = |centre: &Centre| centre.model.selling(|all| all.get(&shop.id).cloned());
    assert_eq!(known(&centre), None);
    let applied = centre.catch_up();
    assert_eq!((known(&centre), applied.events), (Some(said), 0), "and nothing else is read again");
}

/// It had no history, so everything is read again; what this centre alone knows stays.
#[test]
fn a_database_of_the_second_layout_is_built_anew_and_keeps_what_it_alone_knows() {
    let (folder, log) = setting();
    let shop = Shop::stocked("S1", 300);
    publish(log.as_ref(), &shop.journal);
    for layout in [
        include_str!("../../src/database/layout-1.sql"),
        include_str!("../../src/database/layout-2.sql"),
        "INSERT INTO stores VALUES (0, 'S1', 1, 0, '', '');
         INSERT INTO levels VALUES (0, 'ITEM-7', 1, 900, 900, 900, 0, 0);
         INSERT INTO trackers VALUES (0, 1, 300);
         INSERT INTO commitments VALUES (0, 'ITEM-7', 'c1.r', 1, 0, 1, 0);
         INSERT INTO positions VALUES ('inventory.stock-events.v1', 0, 100);
         INSERT INTO requests VALUES ('key', zeroblob(32));
         INSERT INTO outbox (lane, topic, key, headers) VALUES (1, 'elsewhere', x'00', '[]');
         PRAGMA application_id = 0x4f6e6832; PRAGMA user_version = 2;",
    ] {
        sql(folder.path(), layout);
    }
    let mut centre = Centre::open(folder.path(), &log);
    let applied = centre.catch_up();
    assert_eq!((applied.events, applied.duplicates), (300, 0));
    assert_eq!(centre.on_hand(&shop.id, "ITEM-7"), Some(8));
    assert_eq!(centre.streams.feed.kept().newest, 300, "with a history");
    assert_eq!(centre.outbox().len(), 1);
    let rows = Connection::open(file(folder.path())).expect("the file is there");
    let requests: i64 = rows
        .query_row("SELECT count(*) FROM requests", [], |row| row.get(0))
        .expect("the table is there");
    assert_eq!(requests, 1);
}

/// Its last commits may have been lost with the power, and their positions be given again.
#[test]
fn positions_get_a_new_life_when_the_machine_was_started_anew() {
    let (folder, log) = setting();
    used(folder.path(), &log);
    let life = || Centre::open(folder.path(), &log).streams.feed.kept();
    let before = life();
    assert_eq!(life(), before, "a start of the process is none of the machine");
    sql(folder.path(), "UPDATE history_life SET machine_start = 'the one before'");
    let after = life();
    assert_ne!(after.life, before.life);
    assert_eq!((after.oldest, after.newest), (1, 300), "what is there stays there");
}

#[test]
fn a_database_of_another_kind_is_left_alone() {
    let (folder, log) = setting();
    sql(folder.path(), "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (7);");
    let before = std::fs::read(file(folder.path())).expect("the file is there");
    let said = refusal(folder.path(), &log);
    assert!(said.contains("central.db is not a database of this kind"), "{said}");
    assert!(said.contains("choose another folder"), "{said}");
    assert_eq!(std::fs::read(file(folder.path())).expect("the file is there"), before);
}

#[test]
fn a_file_that_is_no_database_is_named_with_the_fix() {
    let (folder, log) = setting();
    std::fs::write(file(folder.path()), "no database at all, ".repeat(500)).expect("a file");
    let said = refusal(folder.path(), &log);
    assert!(said.contains("central.db") && said.contains("not a database"), "{said}");
    assert!(said.contains("delete") && said.contains("rebuilt from the topics"), "{said}");
}

#[test]
fn a_database_of_another_layout_is_named_with_the_fix() {
    let (folder, log) = setting();
    used(folder.path(), &log);
    sql(folder.path(), "PRAGMA user_version = 99");
    let said = refusal(folder.path(), &log);
    assert!(said.contains("layout 99") && said.contains("delete"), "{said}");
}

#[test]
fn a_damaged_database_is_named_with_the_fix() {
    let (folder, log) = setting();
    used(folder.path(), &log);
    sql(folder.path(), "PRAGMA wal_checkpoint(TRUNCATE)");
    let mut bytes = std::fs::read(file(folder.path())).expect("the file is there");
    let root: u32 = Connection::open(file(folder.path()))
        .and_then(|database| {
            let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'levels'";
            database.query_row(sql, [], |row| row.get(0))
        })
        .expect("the table is there");
    let root = usize::try_from(root).expect("a page number");
    bytes[(root - 1) * 4_096..root * 4_096].fill(0xa5);
    std::fs::write(file(folder.path()), bytes).expect("the file can be written");
    let said = refusal(folder.path(), &log);
    assert!(said.contains("malformed"), "{said}");
    assert!(said.contains("delete it, and it is rebuilt from the topics"), "{said}");
}

#[test]
fn a_row_that_was_never_written_so_is_named_with_the_fix() {
    let spoils = [
        "UPDATE levels SET sku = 'A|B' WHERE sku = 'ITEM-7'",
        "UPDATE stores SET store_id = ''",
        "INSERT INTO stores VALUES (7, 'S7', 1, 0, '', '', NULL)",
        "INSERT INTO tracker_chunks VALUES (0, 1, 9, x'00')",
    ];
    for spoil in spoils {
        let (folder, log) = setting();
        used(folder.path(), &log);
        sql(folder.path(), spoil);
        let said = refusal(folder.path(), &log);
        assert!(said.contains("rebuilt from the topics"), "{spoil}: {said}");
    }
}

#[test]
fn a_deleted_database_comes_back_from_the_topics() {
    let (folder, log) = setting();
    let shop = used(folder.path(), &log);
    let before = Centre::open(folder.path(), &log).picture();
    std::fs::remove_dir_all(folder.path()).expect("the folder can go");
    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.catch_up().events, 300);
    assert_eq!(centre.picture(), before);
    assert_eq!(centre.view(&shop.id).digest.to_string(), shop.heartbeat().digest);
}

/// Trackers with holes, several lives, several stores, reported heads: all of it is there again.
#[test]
fn a_reopened_database_knows_what_it_knew() {
    let (folder, log) = setting();
    let mut first = Shop::new("S1");
    for step in 0..9_000 {
        first.count(&format!("ITEM-{}", step % 70), 1 + step % 9);
    }
    let mut second = Shop::stocked("S2", 5);
    second.begin_new_life();
    second.change("ITEM-1", 8);
    second.change("ITEM-1", -2);
    let mut centre = Centre::open(folder.path(), &log);
    // Holes within a chunk, over a chunk's border, and far beyond.
    publish(log.as_ref(), first.events(1, 100));
    publish(log.as_ref(), first.events(150, 4_090));
    centre.catch_up();
    publish(log.as_ref(), first.events(4_200, 8_191));
    publish(log.as_ref(), first.events(8_999, 9_000));
    publish(log.as_ref(), &second.journal[..6]);
    heartbeats(log.as_ref(), [first.heartbeat(), second.heartbeat()]);
    centre.catch_up();
    let before = centre.picture();
    let (_, _, through, missing, _) = &before.stores[0];
    assert_eq!((*through, *missing), (100, 49 + 109 + 807));
    drop(centre);

    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.picture(), before);
    // What was applied is still told from what was not.
    publish(log.as_ref(), &first.journal);
    publish(log.as_ref(), &second.journal);
    let applied = centre.catch_up();
    assert_eq!((applied.events, applied.duplicates), (49 + 109 + 807 + 1, 9_000 + 7 - 966));
    for shop in [&first, &second] {
        let view = centre.view(&shop.id);
        assert_eq!((view.applied_through, view.missing), (shop.head(), 0));
        assert_eq!(view.digest.to_string(), shop.heartbeat().digest);
    }
    let after = centre.picture();
    drop(centre);
    assert_eq!(Centre::open(folder.path(), &log).picture(), after);
    let chunks: i64 = Connection::open(file(folder.path()))
        .and_then(|db| db.query_row("SELECT count(*) FROM tracker_chunks", [], |row| row.get(0)))
        .expect("the file is there");
    assert_eq!(chunks, 0, "chunks go away as they fill");
}

#[test]
fn a_report_alone_waits_for_the_next_transaction_and_is_heard_again_where_that_did_not_come() {
    let (folder, log) = setting();
    let mut shop = used(folder.path(), &log);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    let saved = centre.picture();
    shop.change("ITEM-1", -1);
    heartbeats(log.as_ref(), [shop.heartbeat()]);
    let report = centre.poll().expect("the broker works").expect("it was sent");
    centre.apply(&report);
    let told = centre.picture();
    assert_eq!(centre.view(&shop.id).witness.head, shop.head(), "it is shown at once");
    assert!(centre.projection.has_unsaved());
    drop(centre);
    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.picture(), saved, "it died before it was saved");
    centre.catch_up();
    assert_eq!(centre.picture(), told, "and heard it again");
    drop(centre);
    assert_eq!(Centre::open(folder.path(), &log).picture(), told, "this time it was saved");
}

#[test]
fn the_outbox_survives_and_forgets_what_was_published() {
    let (folder, log) = setting();
    heartbeats(log.as_ref(), [Shop::stocked("S1", 3).heartbeat()]);
    let mut centre = Centre::open(folder.path(), &log);
    centre.catch_up();
    assert_eq!((centre.look(), centre.look(), centre.look()), (0, 1, 1));
    let waiting = centre.outbox();
    drop(centre);
    let mut centre = Centre::open(folder.path(), &log);
    assert_eq!(centre.outbox(), waiting);
    centre.forget(waiting[0].lane, waiting[0].id);
    assert_eq!(centre.outbox(), &waiting[1..]);
    centre.forget(waiting[1].lane, waiting[1].id);
    assert_eq!((centre.look(), centre.look()), (0, 1));
    assert!(centre.outbox()[0].id > waiting[1].id, "no place in the order is used twice");
}

/// Somebody holds the database's one write lock; the projector waits for it, and no query does.
#[tokio::test]
async fn queries_never_wait_for_the_writer() {
    let (folder, log) = setting();
    let mut shop = used(folder.path(), &log);
    let mut centre = Centre::open(folder.path(), &log);
    let router = centre.router();
    let holder = Connection::open(file(folder.path())).expect("the file is there");
    holder.execute_batch("BEGIN IMMEDIATE; DELETE FROM levels").expect("the lock is free");

    shop.change("ITEM-7", 1_000);
    let batch = Batch { events: shop.events(301, 301).to_vec(), ..Batch::default() };
    let writing = std::thread::spawn(move || centre.projection.apply(&batch, centre.now));
    let started = Instant::now();
    for path in [
        "/api/query/inventory/global/ITEM-7",
        "/api/query/inventory/store/S1/ITEM-7",
        "/api/query/inventory/store/S1?limit=1000",
        "/api/stores",
        "/readyz?verbose",
        "/metrics",
    ] {
        let answer = get(&router, path).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
    }
    let one = get(&router, "/api/query/inventory/store/S1/ITEM-7").await.ok();
    let list = get(&router, "/api/query/inventory/store/S1?limit=1000").await.ok();
    assert_eq!(one["onHand"], 8, "what was committed last");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(300));
    assert!(!writing.is_finished(), "the writer waits, for {:?} by now", started.elapsed());

    holder.execute_batch("ROLLBACK").expect("it can be undone");
    test_support::eventually("the writer goes on", SOON, || writing.is_finished().then_some(()));
    writing.join().expect("no panic").expect("the lock was free in time");
    let one = get(&router, "/api/query/inventory/store/S1/ITEM-7").await.ok();
    assert_eq!(one["onHand"], 1_008);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let (folder, _log) = setting();
    let path = folder.path().join("taken");
    std::fs::write(&path, "a file").expect("a file");
    let refused = Database::open(&path).expect_err("it is a file");
    assert!(matches!(refused, Error::Folder(FolderError::Unusable { .. })), "{refused:?}");
    assert!(refused.to_string().contains("taken"), "{refused}");
}

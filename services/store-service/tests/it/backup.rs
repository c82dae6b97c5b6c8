//! A copy of a journal beside its running store.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use shared_events::Sequence;
use store_service::journal::{self, Error};
use tokio::task::JoinSet;

use crate::support::{ADJUST, TestStore, adjust, copy_of};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_copy_made_while_the_store_sells_is_a_whole_journal_of_one_moment() {
    let store = TestStore::start().await;
    store.adjust("X", 1).await;
    let closed = Arc::new(AtomicBool::new(false));
    let mut tills = JoinSet::new();
    for till in 0..4 {
        let (caller, closed) = (store.caller(), Arc::clone(&closed));
        tills.spawn(async move {
            while !closed.load(Ordering::Relaxed) {
                caller.post(ADJUST, &adjust(&format!("S{till}"), 1)).await.accepted();
            }
        });
    }
    let copies = test_support::folder();
    for n in 0..5 {
        let before = store.head().await;
        let (from, to) = (store.folder().to_owned(), copies.path().join(format!("{n}/journal.db")));
        fs::create_dir(to.parent().unwrap()).unwrap();
        let copied = tokio::task::spawn_blocking(move || journal::backup(&from, &to).unwrap());
        let (_, head) = copied.await.unwrap();
        let folder = copies.path().join(n.to_string());
        assert_eq!(names(&folder), ["journal.db"]);
        let mut events = Vec::new();
        let (identity, end) = journal::replay(&folder, |event| events.push(event.clone())).unwrap();
        assert_eq!((identity.store.as_str(), end), ("A", head));
        assert!((before..=store.head().await).contains(&head.sequence.get()));
        let reader = journal::reader(store.folder()).unwrap();
        assert_eq!(reader.hash_at(head.sequence).unwrap(), Some(head.hash));
        let original = reader.events(Sequence::new(1), head.sequence, usize::MAX).unwrap();
        assert_eq!(events, original);
    }
    closed.store(true, Ordering::Relaxed);
    tills.join_all().await;
}

#[tokio::test]
async fn a_copy_overwrites_nothing() {
    let store = TestStore::start().await;
    store.adjust("X", 1).await;
    let copies = test_support::folder();
    let file = copies.path().join("kept");
    fs::write(&file, "mine").unwrap();
    let refused = journal::backup(store.folder(), &file).unwrap_err();
    assert!(matches!(&refused, Error::Exists(path) if *path == file), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(names(copies.path()), ["kept"]);
}

#[tokio::test]
async fn a_copy_that_fails_leaves_nothing_behind() {
    let store = TestStore::start().await;
    for _ in 0..3 {
        store.adjust("X", 1).await;
    }
    let (setup, copies) = (store.stop().await, test_support::folder());
    let broken = copy_of(setup.folder());
    let tampered = Connection::open(broken.path().join("journal.db")).unwrap();
    tampered
        .execute_batch(
            "DROP TRIGGER events_are_never_updated; UPDATE events SET sku = 'Y' WHERE sequence = 2",
        )
        .unwrap();
    drop(tampered);
    let file = copies.path().join("kept");
    let refused = journal::backup(broken.path(), &file).unwrap_err();
    let at_two = |sequence: &Sequence| sequence.get() == 2;
    assert!(matches!(&refused, Error::Broken { sequence, .. } if at_two(sequence)), "{refused}");
    assert!(journal::backup(&copies.path().join("nowhere"), &file).is_err());
    assert!(journal::backup(setup.folder(), &copies.path().join("no/such/folder")).is_err());
    assert_eq!(names(copies.path()), [""; 0]);
    // What an interrupted one left is in nobody's way.
    fs::write(copies.path().join("kept.unfinished"), "half").unwrap();
    journal::backup(setup.folder(), &file).unwrap();
    assert_eq!(names(copies.path()), ["kept"]);
}

//! Promises about where a key lies: in one partition, the same in every adapter.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Adapter, Bench};

const PARTITIONS: i32 = 12;

/// 200 keys as they come: `store|sku`, plain, beyond ASCII, of any length.
fn keys() -> Vec<String> {
    let skus = (0..100).map(|n| format!("store-{}|SKU {n}", n % 9));
    let words = ["Käse 5 kg", "日本|テスト", "é", "🧀🧀", "a/b?c#d", "A|", "|", "\u{0}", " "];
    let words = words.iter().map(|word| (*word).to_owned());
    let lengths = (1..92).map(|length| "äb".chars().cycle().take(length).collect());
    skus.chain(words).chain(lengths).collect()
}

/// Publishes each key once and tells where it arrived.
fn placed(bench: &Bench, keys: &[String]) -> BTreeMap<Vec<u8>, i32> {
    bench.publish(&keys.iter().map(|key| bench.record(key, "v")).collect::<Vec<_>>());
    let read = bench.read_all();
    read.into_iter().map(|delivery| (delivery.key.unwrap(), delivery.partition)).collect()
}

pub(crate) fn keys_lie_where_a_java_producer_puts_them(adapter: Adapter) {
    // The memory's partitioner is held to the Java client's own test vectors beside its code.
    let java = Adapter::Memory.bench(&[PARTITIONS]);
    let bench = adapter.bench(&[PARTITIONS]);
    let keys = keys();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 200);
    let (expected, found) = (placed(&java, &keys), placed(&bench, &keys));
    assert_eq!(found, expected);
    let used: BTreeSet<_> = found.values().collect();
    assert_eq!(used.len(), 12, "200 keys leave no partition empty: {used:?}");
}

pub(crate) fn a_key_keeps_its_partition(adapter: Adapter) {
    let bench = adapter.bench(&[PARTITIONS]);
    let keys: Vec<_> = keys().into_iter().take(20).collect();
    // Not in one publication: by as many publishers.
    for _ in 0..5 {
        bench.publish(&keys.iter().map(|key| bench.record(key, "v")).collect::<Vec<_>>());
    }
    let mut places: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for delivery in bench.read_all() {
        places.entry(delivery.key.unwrap()).or_default().insert(delivery.partition);
    }
    assert_eq!(places.len(), keys.len());
    assert!(places.values().all(|partitions| partitions.len() == 1), "{places:?}");
}

//! A chain of stores and a centre, and what must be true of it.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Client;
use serde_json::Value;

use crate::process::{Broker, Service, eventually, free_port, onhand};

pub(crate) struct Store {
    pub(crate) id: String,
    pub(crate) service: Service,
}

/// Stores, a centre and the broker between them. Fields drop in order: services before the broker.
pub(crate) struct Chain {
    pub(crate) stores: Vec<Store>,
    pub(crate) centre: Service,
    pub(crate) broker: Broker,
    folder: tempfile::TempDir,
    client: Client,
}

/// An item as both sides tell it: quantity, units reserved, version.
type Items = BTreeMap<String, [i64; 3]>;

impl Chain {
    pub(crate) async fn start(ids: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start(&folder.path().join("kafka"));
        let kafka = broker.address.clone();
        let mut stores = Vec::new();
        for id in ids {
            let data = folder.path().join(id);
            let args = ["store", "--store-id", id, "--kafka", &kafka, "--heartbeat-ms", "200"];
            let args = [&args[..], &["--data-dir", data.to_str().unwrap()]].concat();
            let log = folder.path().join(format!("{id}.log"));
            let service = Service::start(&args, free_port(), &log).await;
            stores.push(Store { id: (*id).to_owned(), service });
        }
        let data = folder.path().join("central");
        let args = ["central", "--kafka", &kafka, "--data-dir", data.to_str().unwrap()];
        let args = [&args[..], &["--gap-grace-ms", "500"]].concat();
        let log = folder.path().join("central.log");
        let centre = Service::start(&args, free_port(), &log).await;
        Self { stores, centre, broker, folder, client: Client::new() }
    }

    /// Folder of a store's journal.
    pub(crate) fn journal(&self, store: &str) -> std::path::PathBuf {
        self.folder.path().join(store)
    }

    /// Deletes the centre's database and starts it anew.
    pub(crate) async fn lose_centre(&mut self) {
        self.centre.kill();
        std::fs::remove_dir_all(self.folder.path().join("central")).unwrap();
        self.centre.start_again().await;
    }

    /// Waits until the centre says that it has everything each store has, and holds it to that.
    pub(crate) async fn converged(&self) -> BTreeMap<String, String> {
        let heads: BTreeMap<String, u64> = self
            .stores
            .iter()
            .map(|store| (store.id.clone(), head(&self.journal(&store.id))))
            .collect();
        let url = format!("{}/api/stores", self.centre.url);
        let digests = eventually("the centre has everything", async || {
            let known = self.get(&url).await?;
            let known = known["stores"].as_array()?;
            let mut digests = BTreeMap::new();
            for (id, head) in &heads {
                let store = known.iter().find(|store| store["storeId"] == id.as_str())?;
                let caught_up = store["freshness"]["state"] == "fresh"
                    && store["appliedThrough"] == *head
                    && store["head"] == *head
                    && store["digest"] == store["reportedDigest"];
                if !caught_up {
                    return None;
                }
                digests.insert(id.clone(), store["digest"].as_str()?.to_owned());
            }
            Some(digests)
        })
        .await;
        for store in &self.stores {
            let there = self.items(&store.service.url, &store.id).await;
            let here = self.items(&self.centre.url, &store.id).await;
            assert_eq!(here, there, "the centre differs from store {}", store.id);
        }
        digests
    }

    /// All items of a store as a service tells them.
    async fn items(&self, url: &str, store: &str) -> Items {
        let mut items = Items::new();
        let mut after = String::new();
        loop {
            let page = format!("{url}/api/query/inventory/store/{store}?limit=1000{after}");
            let page = self.get(&page).await.unwrap();
            for item in page["items"].as_array().unwrap() {
                let levels = ["quantity", "reserved", "version"];
                let levels = levels.map(|name| item[name].as_i64().unwrap());
                items.insert(item["sku"].as_str().unwrap().to_owned(), levels);
            }
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return items,
            }
        }
    }

    async fn get(&self, url: &str) -> Option<Value> {
        let response = self.client.get(url).send().await.ok()?;
        serde_json::from_str(&response.text().await.ok()?).ok()
    }
}

fn head(journal: &Path) -> u64 {
    let database = open(journal);
    database
        .query_row("SELECT coalesce(max(sequence), 0) FROM events", [], |row| row.get::<_, i64>(0))
        .unwrap()
        .unsigned_abs()
}

pub(crate) fn open(journal: &Path) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(journal.join("journal.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    database
}

/// Runs `onhand verify` on a journal.
pub(crate) fn verify(journal: &Path) -> std::process::Output {
    onhand().arg("verify").arg("--data-dir").arg(journal).output().unwrap()
}

//! A chain of stores and a centre, and what must be true of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use reqwest::Client;
use serde_json::Value;

use crate::line::Line;
use crate::process::{Broker, Service, eventually, free_port, onhand};

pub(crate) struct Store {
    pub(crate) id: String,
    pub(crate) service: Service,
}

/// Stores, centres and the broker between them. Fields drop in order: services before the broker.
pub(crate) struct Chain {
    pub(crate) stores: Vec<Store>,
    pub(crate) centres: Vec<Service>,
    pub(crate) broker: Broker,
    /// Lines of services that reach the broker by one of their own.
    pub(crate) lines: BTreeMap<String, Line>,
    folder: tempfile::TempDir,
    client: Client,
}

/// What is special about a chain.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    /// More flags of every store.
    pub(crate) store_args: &'a [&'a str],
    /// More flags of every centre.
    pub(crate) centre_args: &'a [&'a str],
    /// Services that reach the broker by a line of their own.
    pub(crate) lines: &'a [&'a str],
    /// More environment, by service.
    pub(crate) env: BTreeMap<String, Vec<(String, String)>>,
}

/// An item as both sides tell it: quantity, units reserved, version.
type Items = BTreeMap<String, [i64; 3]>;

impl Chain {
    /// Stores and one centre.
    pub(crate) async fn start(ids: &[&str]) -> Self {
        Self::with_centres(ids, &["central"]).await
    }

    /// Stores and several centres, which give a store a second and a half to answer.
    pub(crate) async fn with_centres(ids: &[&str], centre_ids: &[&str]) -> Self {
        Self::with(ids, centre_ids, &Setup::default()).await
    }

    /// The same, and something special about it.
    pub(crate) async fn with(ids: &[&str], centre_ids: &[&str], setup: &Setup<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports: Vec<_> = setup.lines.iter().map(|id| (*id, free_port(), free_port())).collect();
        let listeners = ports.iter().map(|(_, behind, front)| (*behind, *front)).collect();
        let broker = Broker::start(&folder.path().join("kafka"), listeners);
        let mut lines = BTreeMap::new();
        for (id, behind, front) in ports {
            lines.insert(id.to_owned(), Line::open(front, behind).await);
        }
        let start = async |id: &str, args: &[&str], more: &[&str]| {
            let kafka = lines.get(id).map_or(&broker.address, |line| &line.address);
            let data = folder.path().join(id);
            let place = ["--kafka", kafka, "--data-dir", data.to_str().unwrap()];
            let args = [args, &place[..], more].concat();
            let env = setup.env.get(id).cloned().unwrap_or_default();
            let log = folder.path().join(format!("{id}.log"));
            Service::start_in(&args, env, free_port(), &log).await
        };
        let mut stores = Vec::new();
        for id in ids {
            let args = ["store", "--store-id", id, "--heartbeat-ms", "200"];
            let service = start(id, &args, setup.store_args).await;
            stores.push(Store { id: (*id).to_owned(), service });
        }
        let mut centres = Vec::new();
        for id in centre_ids {
            let args = ["central", "--centre-id", id];
            let args =
                [&args[..], &["--gap-grace-ms", "500", "--step-timeout-ms", "1500"]].concat();
            centres.push(start(id, &args, setup.centre_args).await);
        }
        Self { stores, centres, broker, lines, folder, client: Client::new() }
    }

    /// A store by its name.
    pub(crate) fn store(&mut self, id: &str) -> &mut Service {
        let store = self.stores.iter_mut().find(|store| store.id == id);
        &mut store.unwrap().service
    }

    /// Folder of a store's journal.
    pub(crate) fn journal(&self, store: &str) -> std::path::PathBuf {
        self.folder.path().join(store)
    }

    /// The end of what each service logged.
    pub(crate) fn last_words(&self) -> String {
        let stores = self.stores.iter().map(|store| &store.service);
        let mut words = String::new();
        for service in stores.chain(&self.centres) {
            let log = std::fs::read_to_string(&service.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines.len().saturating_sub(8);
            writeln!(words, "{}:\n{}", service.log.display(), lines[end..].join("\n")).unwrap();
        }
        words
    }

    /// Deletes the database of the only centre and starts it anew.
    pub(crate) async fn lose_centre(&mut self) {
        self.lose("central", 0).await;
    }

    /// Deletes the database of a centre and starts it anew.
    pub(crate) async fn lose(&mut self, id: &str, place: usize) {
        self.centres[place].kill();
        std::fs::remove_dir_all(self.folder.path().join(id)).unwrap();
        self.centres[place].start_again().await;
    }

    /// Waits until every centre says that it has everything each store has, and holds it to that.
    /// Gives the stores' digests.
    pub(crate) async fn converged(&self) -> BTreeMap<String, String> {
        let mut all = Vec::new();
        for centre in &self.centres {
            all.push(self.converged_at(centre).await);
        }
        let first = all.pop().unwrap();
        assert!(all.iter().all(|other| *other == first), "the centres differ");
        first
    }

    async fn converged_at(&self, centre: &Service) -> BTreeMap<String, String> {
        let heads: BTreeMap<String, u64> = self
            .stores
            .iter()
            .map(|store| (store.id.clone(), head(&self.journal(&store.id))))
            .collect();
        let url = format!("{}/api/stores", centre.url);
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
            let here = self.items(&centre.url, &store.id).await;
            assert_eq!(here, there, "the centre differs from store {}", store.id);
        }
        digests
    }

    /// Units on hand of each item of a store, as a service tells them.
    pub(crate) async fn on_hand(&self, url: &str, store: &str) -> BTreeMap<String, i64> {
        let items = self.items(url, store).await;
        items.into_iter().map(|(sku, [on_hand, ..])| (sku, on_hand)).collect()
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

    /// A metric of a service; 0 where it has none.
    pub(crate) async fn metric(&self, url: &str, name: &str) -> u64 {
        let text = self.client.get(format!("{url}/metrics")).send().await.unwrap();
        let text = text.text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    pub(crate) async fn get(&self, url: &str) -> Option<Value> {
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

/// Runs `onhand store recover` on a store's folder.
pub(crate) fn recover(chain: &Chain, store: &str, more: &[&str]) -> std::process::Output {
    let mut command = onhand();
    command.args(["--log", "warn", "store", "recover", "--store-id", store]);
    command.args(["--kafka", &chain.broker.address]).args(more);
    command.arg("--data-dir").arg(chain.journal(store)).output().unwrap()
}

/// Runs `onhand verify` on a store's journal and what a centre shows of it.
pub(crate) fn verify_at(chain: &Chain, store: &str, central: &str) -> std::process::Output {
    let mut command = onhand();
    command.arg("verify").arg("--data-dir").arg(chain.journal(store));
    command.args(["--central", central]).output().unwrap()
}

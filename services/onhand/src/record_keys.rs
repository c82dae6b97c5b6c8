//! The keys of records: which a service signs with, and whose signatures it asks for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use event_log::{EventLog, KafkaLog, RecordKey, RecordKeys, SignedLog, Speaker};
use service_kit::key_file::{KeyFile, KeyRing};
use shared_events::{StoreId, Timestamp};
use tracing::{info, warn};

/// Keys by which stores and centres prove to each other who wrote a record.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RecordKeyArgs {
    /// File with this service's own key: it signs the records it writes with the first key in it. Of
    /// several stores in one process, a folder with STORE.key for each.
    #[arg(long, env = "ONHAND_RECORD_KEY", value_name = "FILE")]
    record_key: Option<PathBuf>,
    /// Folder with the keys of the others: STORE.key for each store, centres/CENTRE.key for each
    /// centre. A centre puts aside what is not signed by the store it speaks for; a store executes
    /// only what a centre has signed. Read again while it runs.
    #[arg(long, env = "ONHAND_RECORD_KEYS", value_name = "DIR")]
    record_keys: Option<PathBuf>,
    /// Records that the broker took before this moment may be without a signature, as in
    /// 2026-11-21T18:00:00Z: for topics that were written before there were keys.
    #[arg(long, env = "ONHAND_RECORD_KEYS_SINCE", value_name = "TIME")]
    record_keys_since: Option<Timestamp>,
}

/// Whose service this is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Own<'a> {
    /// A store's.
    Store(&'a str),
    /// A centre's.
    Centre(&'a str),
}

impl RecordKeyArgs {
    /// Puts the keys before the broker; without any it is left as it is.
    pub(crate) fn before(
        &self,
        log: Arc<KafkaLog>,
        own: Own<'_>,
    ) -> Result<Arc<dyn EventLog>, String> {
        if !self.wanted()? {
            return Ok(log);
        }
        let own_key = self.record_key.as_deref().map(Followed::open).transpose()?;
        let folder = self.record_keys.as_deref().map(Folder::open).transpose()?;
        let (own, stores) = match own {
            Own::Store(id) => (Owner::Store(id.to_owned()), None),
            Own::Centre(id) => (Owner::Centre(id.to_owned()), folder.as_ref()),
        };
        info!(
            signs = own_key.is_some(),
            stores = stores.map_or(0, |folder| folder.names().0),
            centres = folder.as_ref().map_or(0, |folder| folder.names().1),
            "records have keys"
        );
        Ok(self.signed(log, Keys { own, own_key, folder: folder.map(Arc::new) }))
    }

    /// The same for each of several stores, in their order: each signs with its own key, all look into one folder.
    pub(crate) fn before_each(
        &self,
        log: &Arc<KafkaLog>,
        stores: &[StoreId],
    ) -> Result<Vec<Arc<dyn EventLog>>, String> {
        let wanted = self.wanted()?;
        let folder = self.record_keys.as_deref().map(Folder::open).transpose()?.map(Arc::new);
        let centres = folder.as_ref().map_or(0, |folder| folder.names().1);
        if wanted {
            info!(signs = self.record_key.is_some(), centres, "records have keys");
        }
        let before = |store: &StoreId| -> Result<Arc<dyn EventLog>, String> {
            if !wanted {
                return Ok(Arc::<KafkaLog>::clone(log));
            }
            let own_key = self.record_key.as_ref().map(|keys| keys.join(format!("{store}.key")));
            let own_key = own_key.as_deref().map(Followed::open).transpose()?;
            let own = Owner::Store(store.to_string());
            let keys = Keys { own, own_key, folder: folder.clone() };
            Ok(self.signed(Arc::clone(log), keys))
        };
        stores.iter().map(before).collect()
    }

    fn wanted(&self) -> Result<bool, String> {
        let wanted = self.record_key.is_some() || self.record_keys.is_some();
        if !wanted && self.record_keys_since.is_some() {
            return Err("--record-keys-since needs --record-keys".to_owned());
        }
        Ok(wanted)
    }

    fn signed(&self, log: Arc<KafkaLog>, keys: Keys) -> Arc<dyn EventLog> {
        let since = self.record_keys_since.map(Timestamp::unix_millis);
        Arc::new(SignedLog::new(log, Arc::new(keys), since))
    }
}

/// Whose service this is.
#[derive(Debug)]
enum Owner {
    Store(String),
    Centre(String),
}

#[derive(Debug)]
struct Keys {
    own: Owner,
    own_key: Option<Followed>,
    folder: Option<Arc<Folder>>,
}

impl RecordKeys for Keys {
    fn signing(&self) -> Option<Arc<RecordKey>> {
        self.own_key.as_ref()?.keys().into_iter().next()
    }

    fn verifying(&self, speaker: Speaker<'_>) -> Option<Vec<Arc<RecordKey>>> {
        let own = match (&self.own, speaker) {
            (Owner::Store(own), Speaker::Store(id)) => own == id,
            (Owner::Centre(own), Speaker::Centre(id)) => own == id,
            _ => false,
        };
        // What this one wrote itself it can tell without the folder.
        if own && let Some(key) = &self.own_key {
            return Some(key.keys());
        }
        let folder = self.folder.as_ref()?;
        match (&self.own, speaker) {
            (Owner::Centre(_), Speaker::Store(id)) => Some(folder.of(&format!("{id}.key"))),
            // A store reads no other store's records.
            (Owner::Store(_), Speaker::Store(_)) => None,
            (_, Speaker::Centre(id)) => {
                folder.has_centres().then(|| folder.of(&format!("{CENTRES}/{id}.key")))
            }
            (_, Speaker::AnyCentre) => Some(folder.of_centres()),
        }
    }
}

/// Where the keys of centres are, below those of stores.
const CENTRES: &str = "centres";
/// Time between two looks at a folder.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A key file, and its keys ready for use.
#[derive(Debug)]
struct Followed {
    file: KeyFile,
    ready: Mutex<(Arc<KeyRing>, Vec<Arc<RecordKey>>)>,
}

impl Followed {
    fn open(path: &Path) -> Result<Self, String> {
        let file = KeyFile::open(path).map_err(|error| error.to_string())?;
        let ring = file.ring();
        let keys = ready(&ring);
        Ok(Self { file, ready: Mutex::new((ring, keys)) })
    }

    /// The keys now, the one that signs first.
    fn keys(&self) -> Vec<Arc<RecordKey>> {
        let ring = self.file.ring();
        let mut known = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&known.0, &ring) {
            *known = (Arc::clone(&ring), ready(&ring));
        }
        known.1.clone()
    }
}

fn ready(ring: &KeyRing) -> Vec<Arc<RecordKey>> {
    let key = |key: &service_kit::key_file::Key| RecordKey::new(key.id().as_str(), key.secret());
    ring.keys().map(key).map(Arc::new).collect()
}

/// A folder of key files that is followed while files come and go.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    files: Mutex<Files>,
}

#[derive(Debug)]
struct Files {
    looked: Instant,
    /// By path below the folder.
    all: HashMap<String, Followed>,
}

impl Folder {
    /// Opens all files of a folder.
    fn open(path: &Path) -> Result<Self, String> {
        let names = names(path)?;
        let mut all = HashMap::new();
        for name in names {
            let file = Followed::open(&path.join(&name))?;
            all.insert(name, file);
        }
        if all.is_empty() {
            let example = path.join("STORE.key");
            return Err(format!(
                "{} has no keys: put a file {} there for each store; `onhand key FILE` makes one",
                path.display(),
                example.display()
            ));
        }
        let files = Mutex::new(Files { looked: Instant::now(), all });
        Ok(Self { path: path.to_owned(), files })
    }

    /// The keys of a file; none when it is not there.
    fn of(&self, name: &str) -> Vec<Arc<RecordKey>> {
        self.with(|files| files.get(name).map_or_else(Vec::new, Followed::keys))
    }

    /// The keys of all centres.
    fn of_centres(&self) -> Vec<Arc<RecordKey>> {
        self.with(|files| {
            let centres = files.iter().filter(|(name, _)| is_centre(name));
            centres.flat_map(|(_, file)| file.keys()).collect()
        })
    }

    fn has_centres(&self) -> bool {
        self.with(|files| files.keys().any(|name| is_centre(name)))
    }

    /// Stores and centres with a key.
    fn names(&self) -> (usize, usize) {
        self.with(|files| {
            let centres = files.keys().filter(|name| is_centre(name)).count();
            (files.len() - centres, centres)
        })
    }

    fn with<T>(&self, look: impl FnOnce(&HashMap<String, Followed>) -> T) -> T {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.looked.elapsed() >= LOOK_EVERY {
            files.looked = Instant::now();
            self.look(&mut files.all);
        }
        look(&files.all)
    }

    /// Takes in new files and lets go of those that are gone.
    fn look(&self, all: &mut HashMap<String, Followed>) {
        let names = match names(&self.path) {
            Ok(names) => names,
            Err(error) => {
                warn!(%error, "the folder of record keys cannot be read; those known are used");
                return;
            }
        };
        all.retain(|name, _| names.contains(name));
        for name in names {
            let path = self.path.join(&name);
            let Entry::Vacant(place) = all.entry(name) else { continue };
            match Followed::open(&path) {
                Ok(file) => {
                    info!(key = place.key(), "a new record key");
                    place.insert(file);
                }
                Err(error) => warn!(%error, "a record key cannot be read"),
            }
        }
    }
}

fn is_centre(name: &str) -> bool {
    name.starts_with(CENTRES) && name.contains('/')
}

/// The key files of a folder, by path below it.
fn names(folder: &Path) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for (below, prefix) in [(folder.to_owned(), ""), (folder.join(CENTRES), "centres/")] {
        let entries = match std::fs::read_dir(&below) {
            Ok(entries) => entries,
            Err(_missing) if !prefix.is_empty() => continue,
            Err(error) => return Err(format!("{}: {error}", below.display())),
        };
        for entry in entries {
            let entry = entry.map_err(|error| format!("{}: {error}", below.display()))?;
            if let Some(name) = entry.file_name().to_str().filter(|name| name.ends_with(".key")) {
                names.push(format!("{prefix}{name}"));
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use test_support::eventually;

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    fn put(path: &Path, ids: &[&str]) {
        let lines = ids.iter().map(|id| {
            let line = service_kit::key_file::new_line(&id.parse().unwrap()).unwrap();
            line.trim_end().to_owned()
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        // At once, as whoever changes keys has to: a file is never seen half written.
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    fn ids(keys: &Keys, speaker: Speaker<'_>) -> Vec<String> {
        let keys = keys.verifying(speaker).unwrap();
        keys.iter().map(|key| key.id().to_owned()).collect()
    }

    #[test]
    fn new_stores_and_rotated_keys_are_known_while_the_service_runs() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("central.key");
        put(&own, &["c-1"]);
        let stores = folder.path().join("keys");
        std::fs::create_dir(&stores).unwrap();
        put(&stores.join("A.key"), &["a-1"]);
        let keys = Keys {
            own: Owner::Centre("central".to_owned()),
            own_key: Some(Followed::open(&own).unwrap()),
            folder: Some(Arc::new(Folder::open(&stores).unwrap())),
        };
        assert_eq!(ids(&keys, Speaker::Store("A")), ["a-1"]);
        assert!(ids(&keys, Speaker::Store("B")).is_empty(), "nobody is believed to be B");
        put(&stores.join("B.key"), &["b-1"]);
        put(&stores.join("A.key"), &["a-2", "a-1"]);
        put(&own, &["c-2", "c-1"]);
        let becomes = |what, wanted: &[&str], now: &dyn Fn() -> Vec<String>| {
            eventually(what, SOON, || (now() == wanted).then_some(()));
        };
        becomes("a new store", &["b-1"], &|| ids(&keys, Speaker::Store("B")));
        becomes("a rotated key", &["a-2", "a-1"], &|| ids(&keys, Speaker::Store("A")));
        becomes("its own", &["c-2"], &|| vec![keys.signing().unwrap().id().to_owned()]);
        std::fs::remove_file(stores.join("B.key")).unwrap();
        becomes("a store that is gone", &[], &|| ids(&keys, Speaker::Store("B")));
    }
}

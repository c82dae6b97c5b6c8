//! Several stores in one process, behind one listener.
//!
//! Each is a store like any other, with a journal, threads and an interface of its own, the latter beneath
//! `/stores/ID`. One that fails ends them all, with its name: the process is started again, and finds out
//! from the journals what holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use access::{Access, Doors};
use anyhow::Context as _;
use event_log::EventLog;
use service_kit::server::{self, Listener, beneath};
use service_kit::{http, sqlite};
use shared_events::StoreId;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{Interface, root};
use crate::app::App;
use crate::config::Config;

/// Journals that are opened at the same time: most of it is waiting for the disk.
const OPENED_AT_ONCE: usize = 8;

/// Memory for the pages of all journals together, in KiB, and the least of each.
const CACHE_KIB_OF_ALL: u32 = 128 * 1_024;
const LEAST_CACHE_KIB: u32 = 256;

/// Stores, built and not yet serving.
#[derive(Debug)]
pub struct Several {
    apps: Vec<App>,
    access: Access,
    admin: Option<Listener>,
}

impl Several {
    /// Opens the journals, a few at a time. Blocks.
    ///
    /// # Errors
    /// The first that cannot be opened, with its name.
    pub fn build(stores: Vec<(Config, Arc<dyn EventLog>)>) -> anyhow::Result<Self> {
        let each =
            u32::try_from(stores.len()).ok().and_then(|all| CACHE_KIB_OF_ALL.checked_div(all));
        let cache_kib = each.unwrap_or_default().clamp(LEAST_CACHE_KIB, sqlite::CACHE_KIB);
        let left = Mutex::new(stores.into_iter());
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
        let open = || {
            let mut apps = Vec::new();
            while let Some((config, log)) = next() {
                let store = config.store.clone();
                match App::build(config, log).and_then(|app| app.with_cache(cache_kib)) {
                    Ok(app) => apps.push(app),
                    Err(error) => {
                        // Nobody needs to open the others.
                        while next().is_some() {}
                        return Err(error).with_context(|| format!("open store {store}"));
                    }
                }
            }
            Ok(apps)
        };
        let opened: anyhow::Result<Vec<_>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..OPENED_AT_ONCE).map(|_| scope.spawn(open)).collect();
            let joined = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_panic| anyhow::bail!("opening a journal panicked"))
            });
            joined.collect()
        });
        let mut apps: Vec<_> = opened?.into_iter().flatten().collect();
        apps.sort_by(|one, other| one.store().cmp(other.store()));
        Ok(Self { apps, access: Access::default(), admin: None })
    }

    /// Asks callers who they are; `of` gives what is each store's own of it.
    ///
    /// # Errors
    /// That of `of`.
    pub fn guarded(
        mut self,
        access: Access,
        of: impl Fn(&StoreId, &Access) -> anyhow::Result<Access>,
    ) -> anyhow::Result<Self> {
        let apps = self.apps.into_iter().map(|app| {
            let own = of(app.store(), &access)?;
            Ok(app.guarded(own))
        });
        self.apps = apps.collect::<anyhow::Result<_>>()?;
        self.access = access;
        Ok(self)
    }

    /// Serves what is for operators on a listener of its own, and nowhere else.
    #[must_use]
    pub fn with_admin(mut self, listener: impl Into<Listener>) -> Self {
        self.apps.iter_mut().for_each(App::admin_apart);
        self.access.admin_apart = true;
        self.admin = Some(listener.into());
        self
    }

    /// Serves until `stop`, then drains: requests, journals, relays.
    ///
    /// # Errors
    /// When a part of a store ends that should not, with the store's name, or a listener fails.
    pub async fn run(
        self,
        listener: impl Into<Listener>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let Self { apps, access, admin } = self;
        let root = root::Root::new(apps.iter().map(App::state).collect());
        let (interface, counts) = (Interface::of_several(), root.counts());
        let doors = at_the_door(&apps, &interface, root.doors(&access));
        let (stop, served) = (stop.child_token(), CancellationToken::new());
        let mut stores = JoinSet::new();
        for app in apps {
            let (store, served) = (app.store().clone(), served.clone());
            let working = app.start(&stop).with_context(|| format!("start store {store}"))?;
            stores.spawn(async move {
                working.until(served).await.with_context(|| format!("store {store}"))
            });
        }
        let main = server::serve_bounded(listener.into(), doors.main, counts.clone(), stop.clone());
        let operators = async {
            match admin.zip(doors.admin) {
                Some((listener, router)) => {
                    server::serve_bounded(listener, router, counts.clone(), stop.clone()).await
                }
                None => Ok(()),
            }
        };
        let serving = async { tokio::try_join!(main, operators).map(|((), ())| ()) };
        let mut serving = std::pin::pin!(serving);
        let mut result = tokio::select! {
            ended = &mut serving => ended,
            failed = stores.join_next() => {
                // The others answer what they have been asked, and no more.
                stop.cancel();
                let failed = joined(failed);
                failed.and(serving.await)
            }
        };
        served.cancel();
        while let Some(ended) = stores.join_next().await {
            result = result.and(joined(Some(ended)));
        }
        result
    }
}

fn joined(ended: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>) -> anyhow::Result<()> {
    ended.map_or(Ok(()), |ended| ended.context("join a store")?)
}

/// Each store's interface beneath its name, with bounds and counts of its own.
fn at_the_door(apps: &[App], interface: &Interface, root: Doors) -> Doors {
    let (mut main, mut admin) = (HashMap::new(), HashMap::new());
    for app in apps {
        let doors = app.doors(interface);
        let requests = app.requests();
        main.insert(app.store().to_string(), http::bounded(doors.main, requests));
        if let Some(router) = doors.admin {
            admin.insert(app.store().to_string(), http::bounded(router, requests));
        }
    }
    Doors {
        main: beneath::router(main, root.main),
        admin: root.admin.map(|root| beneath::router(admin, root)),
    }
}

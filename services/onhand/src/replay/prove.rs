//! Proof that centre, store and file agree, item by item, once the centre has caught up.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared_events::{Sku, StoreId};
use tokio_util::sync::CancellationToken;

use super::findings::{Findings, Items, Level, Verdict};
use super::pairs::Pairs;
use crate::web::{Page, below, get, page};

const ASK_EVERY: Duration = Duration::from_millis(200);

/// A store that took part.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) store: StoreId,
    pub(super) url: Url,
    pub(super) pairs: Pairs,
    /// Epoch and sequence of the newest event of this run; the centre must have come this far, since
    /// `fresh` alone may still be about a heartbeat from before.
    pub(super) newest: Option<(u64, u64)>,
}

/// Asks the centre and the stores.
#[derive(Debug)]
pub(super) struct Prover {
    pub(super) client: Client,
    pub(super) centre: Url,
    pub(super) within: Duration,
    pub(super) stop: CancellationToken,
}

impl Prover {
    /// Waits for the centre, compares all pairs and gives the verdict with its reasons as text.
    ///
    /// # Errors
    /// When the centre does not catch up in time, or a service does not answer.
    pub(super) async fn prove(&self, claims: &[Claim]) -> anyhow::Result<(Verdict, Vec<String>)> {
        self.stop
            .run_until_cancelled(async {
                let started = Instant::now();
                self.caught_up(claims, started).await?;
                let waited = started.elapsed();
                let mut findings = Findings::default();
                for claim in claims {
                    let (store, centre) = tokio::try_join!(
                        self.items(&claim.url, &claim.store),
                        self.items(&self.centre, &claim.store),
                    )?;
                    findings.compare(&claim.store, &claim.pairs, &store, &centre);
                }
                Ok(findings.verdict(waited, started.elapsed().saturating_sub(waited)))
            })
            .await
            .unwrap_or_else(|| Ok((Verdict::Stopped, Vec::new())))
    }

    async fn caught_up(&self, claims: &[Claim], started: Instant) -> anyhow::Result<()> {
        let url = below(&self.centre, &["api", "stores"]);
        loop {
            let missing = match get::<Stores>(&self.client, url.clone()).await {
                Ok(stores) => claims.iter().find_map(|claim| behind(claim, &stores)),
                Err(error) => Some(format!("{error:#}")),
            };
            let Some(missing) = missing else { return Ok(()) };
            if started.elapsed() >= self.within {
                bail!(
                    "not proved: the centre has not caught up within {:?}: {missing}",
                    self.within
                );
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// All items that a service knows of a store.
    async fn items(&self, service: &Url, store: &StoreId) -> anyhow::Result<Items> {
        let list = below(service, &["api", "query", "inventory", "store", store.as_str()]);
        let mut items = Items::new();
        let mut after: Option<String> = None;
        loop {
            let page: Page<Item> = self.patiently(page(&list, after.as_ref())).await?;
            items.extend(page.items.into_iter().map(|item| (item.sku, item.level)));
            if page.next.is_none() {
                return Ok(items);
            }
            if page.next == after {
                bail!("{list} gives the same page for ever");
            }
            after = page.next;
        }
    }

    async fn patiently<T: DeserializeOwned>(&self, url: Url) -> anyhow::Result<T> {
        let started = Instant::now();
        loop {
            match get(&self.client, url.clone()).await {
                Err(_) if started.elapsed() < self.within => tokio::time::sleep(ASK_EVERY).await,
                answered => return answered.context("not proved"),
            }
        }
    }
}

#[derive(Debug, Deserialize)]
struct Item {
    sku: Sku,
    #[serde(flatten)]
    level: Level,
}

#[derive(Debug, Deserialize)]
struct Stores {
    stores: Vec<Known>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    store_id: StoreId,
    freshness: Freshness,
    epoch: u64,
    applied_through: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Freshness {
    state: String,
    lag_events: u64,
}

/// What keeps the centre from speaking about this store, if anything does.
fn behind(claim: &Claim, stores: &Stores) -> Option<String> {
    let store = &claim.store;
    let Some(known) = stores.stores.iter().find(|known| known.store_id == *store) else {
        return Some(format!("it has not heard of store {store}"));
    };
    let Freshness { state, lag_events } = &known.freshness;
    if state != "fresh" {
        return Some(format!("store {store} is {state}, {lag_events} events behind"));
    }
    let applied = (known.epoch, known.applied_through);
    (claim.newest > Some(applied)).then(|| {
        format!("of store {store} it has applied event {} of epoch {}", applied.1, applied.0)
    })
}

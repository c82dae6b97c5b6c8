//! How far an answer can be believed: in its body, and for caches in its headers.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use inventory_core::Freshness;
use serde::Serialize;
use service_kit::{ErrorCode, Problem};
use shared_events::Timestamp;
use utoipa::ToSchema;

use super::State;
use crate::read_model::Seen;

/// How far a store's numbers can be believed.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FreshnessView {
    /// `fresh`, `lagging`, `unknown`, `stale`, `diverged`, `dark` or `switchedOff`.
    state: &'static str,
    /// Since when: an operator's word at its own time, everything else by what this centre saw itself.
    #[schema(value_type = String)]
    since: Timestamp,
    /// Milliseconds since the store's last heartbeat arrived; absent when none did since this centre
    /// started.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    /// Events the store reported that are not applied here.
    lag_events: u64,
    /// What the state would be, had nobody switched the store off; absent when nobody has.
    #[serde(skip_serializing_if = "Option::is_none")]
    otherwise: Option<&'static str>,
}

impl FreshnessView {
    pub(super) fn new(seen: &Seen) -> Self {
        Self {
            state: seen.freshness.name(),
            since: seen.since,
            age_ms: seen.age_ms,
            lag_events: seen.view.missing,
            otherwise: seen.switched_off.as_ref().map(|_| seen.contact.name()),
        }
    }
}

/// The oldest knowledge behind a sum.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AsOf {
    /// Milliseconds since the last heartbeat of the store that was heard longest ago, of those that
    /// contribute.
    pub(super) age_ms: u64,
}

/// Stores that ever had the item and count 0, by the reason.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Excluded {
    /// Out of contact: there may be more than is said.
    dark: usize,
    /// Switched off by an operator.
    switched_off: usize,
}

/// What a sum over stores rests on.
#[derive(Debug)]
pub(super) struct Basis {
    /// The worst name among all stores in question, since any of them may have changed the sum.
    pub(super) freshness: &'static str,
    /// Absent where a store that contributes was not heard since this centre started, or none does.
    pub(super) as_of: Option<AsOf>,
    /// Stores whose units are counted as available.
    pub(super) contributing: usize,
    /// Those whose units are not.
    pub(super) excluded: Excluded,
}

impl Basis {
    /// Over all stores in question, of which some hold the item. An operator's switch says nothing about
    /// how old a number is, so it is not among the worst.
    pub(super) fn new<'a>(
        all: impl IntoIterator<Item = &'a Seen>,
        holding: impl IntoIterator<Item = &'a Seen>,
    ) -> Self {
        let worst = all.into_iter().map(|seen| seen.contact).max_by_key(|state| state.doubt());
        let (mut contributing, mut excluded) = (0, Excluded::default());
        let mut oldest = Some(0);
        for seen in holding {
            match seen.freshness {
                Freshness::Dark => excluded.dark += 1,
                Freshness::SwitchedOff => excluded.switched_off += 1,
                _ => {
                    contributing += 1;
                    oldest = oldest.zip(seen.age_ms).map(|(oldest, age_ms)| age_ms.max(oldest));
                }
            }
        }
        Self {
            freshness: worst.unwrap_or(Freshness::Unknown).name(),
            as_of: oldest.filter(|_| contributing > 0).map(|age_ms| AsOf { age_ms }),
            contributing,
            excluded,
        }
    }
}

/// An answer with its age, for caches between here and the caller: none serves it once it is older than
/// the bound at which a store is stale.
#[derive(Debug)]
pub(super) struct Dated<T> {
    body: T,
    age_ms: Option<u64>,
    stale_after_ms: u64,
}

impl<T> Dated<T> {
    /// `age_ms` is that of the oldest knowledge in the answer; `None` when that is not known.
    pub(super) fn new(state: &State, age_ms: Option<u64>, body: T) -> Self {
        Self { body, age_ms, stale_after_ms: state.model.bounds().stale_after_ms }
    }
}

impl<T: Serialize> IntoResponse for Dated<T> {
    fn into_response(self) -> Response {
        // Written to a vector: to the buffer that axum's own JSON takes, each piece costs far more.
        let body = match serde_json::to_vec(&self.body) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body),
            Err(error) => {
                return Problem::new(ErrorCode::Internal, error.to_string()).into_response();
            }
        };
        match self.age_ms {
            // Rounded so that nothing is kept for longer than it may be.
            Some(age_ms) => {
                let age = age_ms.div_ceil(1_000).to_string();
                let cache = format!("max-age={}", self.stale_after_ms / 1_000);
                ([(header::AGE, age), (header::CACHE_CONTROL, cache)], body).into_response()
            }
            None => ([(header::CACHE_CONTROL, "no-store")], body).into_response(),
        }
    }
}

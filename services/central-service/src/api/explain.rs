//! Why a number is what it is: term by term, each with what made it.

use std::sync::Arc;

use axum::extract::State as Ctx;
use inventory_core::Freshness;
use serde::Serialize;
use service_kit::Problem;
use service_kit::extract::{Path, Query};
use shared_events::policy::{SafetyStock, Selling};
use shared_events::{ReservationId, Sku, StoreId, Timestamp};
use utoipa::ToSchema;

use super::as_of::{self, AsOfQuery, ExplanationThen, NowOrThen};
use super::freshness::{Dated, FreshnessView};
use super::{State, now, unknown_store};
use crate::commitments::{AskKey, Commitment, Commitments};
use crate::read_model::{Seen, Shelf};

/// Reservations a term lists at most.
const MAX_LISTED: usize = 100;

/// How much may be offered, and why.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    /// The store.
    #[schema(value_type = String)]
    store_id: StoreId,
    /// The item.
    #[schema(value_type = String)]
    sku: Sku,
    /// Units that may be offered online: the sum of the terms, at least 0; 0 in a store that is not
    /// sold from.
    available: i64,
    /// Whether the store may be sold from at all.
    sellable: bool,
    /// Why not; absent when it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    /// How far its numbers can be believed.
    freshness: FreshnessView,
    /// What it is made of.
    terms: Vec<Term>,
}

/// One term.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Term {
    /// `onHand`, `reserved`, `expired`, `holds`, `safetyStock` or `staleness`.
    pub(super) term: &'static str,
    /// What it adds, in units; negative where it takes away.
    pub(super) units: i64,
    /// What that means.
    pub(super) because: String,
    /// `store/epoch/sequence` of the event that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) event_id: Option<String>,
    /// The reservations behind it, those first that end first, at most 100; of the past all of them,
    /// those first that were made last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) reservations: Vec<ReservedUnits>,
}

/// Units of one reservation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReservedUnits {
    /// The reservation, of whichever centre.
    #[schema(value_type = String)]
    pub(super) reservation_id: ReservationId,
    /// Which of its asks.
    pub(super) attempt: u32,
    /// Units.
    pub(super) quantity: i64,
    /// Until when.
    #[schema(value_type = String)]
    pub(super) expires_at: Timestamp,
    /// The event that promised them; in answers of the past only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) event_id: Option<String>,
}

/// Why so many units of an item in a store may be offered; as of a point, why it stood so.
#[utoipa::path(
    get, path = "/api/query/inventory/{storeId}/{sku}/explain", tag = "queries",
    params(("storeId" = String, Path), ("sku" = String, Path), AsOfQuery),
    security(("bearer" = ["staff"])),
    responses(
        (status = 200, description = "Term by term.", body = NowOrThen<Explanation, ExplanationThen>),
        (status = 410, description = "The history does not reach back that far.", body = Problem),
        (status = "4XX", description = "No such store.", body = Problem),
    )
)]
pub(super) async fn explain(
    Ctx(state): Ctx<Arc<State>>,
    Path((store, sku)): Path<(StoreId, Sku)>,
    Query(query): Query<AsOfQuery>,
) -> Result<Dated<NowOrThen<Explanation, ExplanationThen>>, Problem> {
    if let Some(point) = query.point()? {
        let then = NowOrThen::Then(as_of::explain(&state, store, sku, point).await?);
        return Ok(Dated::new(&state, None, then));
    }
    let (index, seen) = state.model.store(&store).ok_or_else(|| unknown_store(&store))?;
    let now_ms = now().unix_millis();
    let policy = policy(&state, &store, &sku);
    let (units, terms) = state.model.explained(&seen, index, &sku, now_ms, |shelf, promised| {
        (shelf.terms, terms(&seen, policy, shelf, promised, now_ms))
    });
    let explanation = Explanation {
        available: units.available(),
        sellable: units.sellable,
        because: (!units.sellable).then(|| unsellable(&seen)),
        freshness: FreshnessView::new(&seen),
        terms,
        store_id: store,
        sku,
    };
    Ok(Dated::new(&state, seen.age_ms, NowOrThen::Now(explanation)))
}

/// Why a store is not sold from.
fn unsellable(seen: &Seen) -> String {
    let Some(Selling { changed_at, changed_by, reason, .. }) = &seen.switched_off else {
        return format!(
            "it has not been heard for a while: {} since {}",
            seen.contact.name(),
            seen.since
        );
    };
    let said = format!("switched off by centre {changed_by} at {changed_at}");
    reason.as_ref().map_or_else(|| said.clone(), |reason| format!("{said}: {}", reason.as_str()))
}

fn terms(
    seen: &Seen,
    policy: String,
    shelf: &Shelf,
    commitments: &Commitments,
    now_ms: i64,
) -> Vec<Term> {
    let units = shelf.terms;
    let event_id =
        shelf.level.map(|level| format!("{}/{}/{}", seen.view.id, level.epoch, level.sequence));
    let kept = |commitment: &Commitment, _over: bool| match commitment {
        Commitment::Kept(units) => Some(*units),
        Commitment::Hold(_) | Commitment::Ended => None,
    };
    let expired = |commitment: &Commitment, over: bool| kept(commitment, over).filter(|_| over);
    let held = |commitment: &Commitment, over: bool| match commitment {
        Commitment::Hold(units) if !over => Some(*units),
        Commitment::Hold(_) | Commitment::Kept(_) | Commitment::Ended => None,
    };
    vec![
        Term {
            term: "onHand",
            units: units.on_hand,
            because: "physically present, as the store says".to_owned(),
            event_id: event_id.clone(),
            reservations: Vec::new(),
        },
        Term {
            term: "reserved",
            units: -units.reserved,
            because: "kept by the store for reservations of all centres".to_owned(),
            event_id,
            reservations: listed(commitments, now_ms, kept),
        },
        Term {
            term: "expired",
            units: units.expired,
            because: "of these, for reservations whose time is over".to_owned(),
            event_id: None,
            reservations: listed(commitments, now_ms, expired),
        },
        Term {
            term: "holds",
            units: -units.holds,
            because: "asked for by reservations of this centre; the store has not answered yet"
                .to_owned(),
            event_id: None,
            reservations: listed(commitments, now_ms, held),
        },
        Term {
            term: "safetyStock",
            units: -units.safety_stock,
            because: policy,
            event_id: None,
            reservations: Vec::new(),
        },
        Term {
            term: "staleness",
            units: -units.staleness,
            because: staleness(seen),
            event_id: None,
            reservations: Vec::new(),
        },
    ]
}

fn staleness(seen: &Seen) -> String {
    match seen.contact {
        Freshness::Stale => {
            let since = seen.switched_off.is_none().then(|| format!(" since {}", seen.since));
            let since = since.unwrap_or_default();
            format!("kept back while the store is stale{since}: more with every minute")
        }
        _ => "the store is not stale".to_owned(),
    }
}

fn policy(state: &State, store: &StoreId, sku: &Sku) -> String {
    let applying = state.model.safety_stocks(|all| all.applying(store, sku).cloned());
    let Some(SafetyStock { scope, changed_at, changed_by, .. }) = applying else {
        return "no policy applies".to_owned();
    };
    let place = match scope.store_id {
        Some(store) => format!("store {store}"),
        None => "every store".to_owned(),
    };
    let item = match scope.sku {
        Some(sku) => format!("item {sku}"),
        None => "every item".to_owned(),
    };
    format!("the policy for {item} in {place}, set at {changed_at} by centre {changed_by}")
}

/// The chosen commitments, each with its units; the choice knows whether its time is over.
fn listed(
    commitments: &Commitments,
    now_ms: i64,
    chosen: impl Fn(&Commitment, bool) -> Option<i64>,
) -> Vec<ReservedUnits> {
    let listed = commitments.iter().filter_map(|(key, commitment)| {
        reserved_units(key, chosen(commitment, key.expires_at_ms <= now_ms)?)
    });
    listed.take(MAX_LISTED).collect()
}

fn reserved_units(key: &AskKey, quantity: i64) -> Option<ReservedUnits> {
    Some(ReservedUnits {
        reservation_id: key.reservation_id.clone(),
        attempt: key.attempt,
        quantity,
        expires_at: Timestamp::from_unix_millis(key.expires_at_ms).ok()?,
        event_id: None,
    })
}

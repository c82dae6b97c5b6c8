//! Why a number is what it is: term by term, each with what made it.

use axum::Json;
use axum::extract::State as Ctx;
use serde::Serialize;
use service_kit::Problem;
use service_kit::extract::Path;
use shared_events::{ReservationId, Sku, StoreId, Timestamp};
use utoipa::ToSchema;

use super::{FreshnessView, State, now, unknown_store};
use crate::commitments::{AskKey, Commitment};

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
    /// Units that may be offered online: the sum of the terms, at least 0; 0 while the store is dark.
    available: i64,
    /// Whether the store may be sold from at all.
    sellable: bool,
    /// How far its numbers can be believed.
    freshness: FreshnessView,
    /// What it is made of.
    terms: Vec<Term>,
}

/// One term.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Term {
    /// `onHand`, `reserved`, `expired`, `holds` or `safetyStock`.
    term: &'static str,
    /// What it adds, in units; negative where it takes away.
    units: i64,
    /// What that means.
    because: String,
    /// `store/epoch/sequence` of the event that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// The reservations behind it, those first that end first; at most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reservations: Vec<ReservedUnits>,
}

/// Units of one reservation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReservedUnits {
    /// The reservation, of whichever centre.
    #[schema(value_type = String)]
    reservation_id: ReservationId,
    /// Which of its asks.
    attempt: u32,
    /// Units.
    quantity: i64,
    /// Until when.
    #[schema(value_type = String)]
    expires_at: Timestamp,
}

/// Why so many units of an item in a store may be offered.
#[utoipa::path(
    get, path = "/api/query/inventory/{storeId}/{sku}/explain", tag = "queries",
    params(("storeId" = String, Path), ("sku" = String, Path)),
    responses(
        (status = 200, description = "Term by term.", body = Explanation),
        (status = "4XX", description = "No such store.", body = Problem),
    )
)]
pub(super) async fn explain(
    Ctx(state): Ctx<State>,
    Path((store, sku)): Path<(StoreId, Sku)>,
) -> Result<Json<Explanation>, Problem> {
    let (index, seen) = state.model.store(&store).ok_or_else(|| unknown_store(&store))?;
    let now_ms = now().unix_millis();
    let (shelf, commitments) = state.model.explained(&seen, index, &sku, now_ms);
    let event_id = shelf.level.map(|level| format!("{store}/{}/{}", level.epoch, level.sequence));
    let listed = |chosen: fn(&Commitment) -> Option<i64>, expired: Option<bool>| {
        let listed = commitments.iter().filter_map(|(key, commitment)| {
            let over = key.expires_at_ms <= now_ms;
            let quantity =
                chosen(commitment).filter(|_| expired.is_none_or(|want| want == over))?;
            reserved_units(key, quantity)
        });
        listed.take(MAX_LISTED).collect::<Vec<_>>()
    };
    let kept = |commitment: &Commitment| match commitment {
        Commitment::Kept(units) => Some(*units),
        Commitment::Hold(_) | Commitment::Ended => None,
    };
    let held = |commitment: &Commitment| match commitment {
        Commitment::Hold(units) => Some(*units),
        Commitment::Kept(_) | Commitment::Ended => None,
    };
    let terms = shelf.terms;
    let policy = state.model.safety_stocks(|all| all.applying(&store, &sku).cloned());
    let policy = policy.map_or_else(
        || "no policy applies".to_owned(),
        |policy| {
            let of = policy.scope;
            let place = of.store_id.map_or("every store".to_owned(), |id| format!("store {id}"));
            let item = of.sku.map_or("every item".to_owned(), |sku| format!("item {sku}"));
            format!(
                "the policy for {item} in {place}, set at {} by centre {}",
                policy.changed_at, policy.changed_by
            )
        },
    );
    let term = |term, units: i64, because: &str, event_id, reservations| Term {
        term,
        units,
        because: because.to_owned(),
        event_id,
        reservations,
    };
    let terms_told = vec![
        term(
            "onHand",
            terms.on_hand,
            "physically present, as the store says",
            event_id.clone(),
            vec![],
        ),
        term(
            "reserved",
            -terms.reserved,
            "kept by the store for reservations of all centres",
            event_id,
            listed(kept, None),
        ),
        term(
            "expired",
            terms.expired,
            "of these, for reservations whose time is over",
            None,
            listed(kept, Some(true)),
        ),
        term(
            "holds",
            -terms.holds,
            "asked for by reservations of this centre, not answered by the store yet",
            None,
            listed(held, Some(false)),
        ),
        term("safetyStock", -terms.safety_stock, &policy, None, vec![]),
    ];
    Ok(Json(Explanation {
        available: terms.available(),
        sellable: terms.sellable,
        freshness: FreshnessView::new(&seen),
        terms: terms_told,
        store_id: store,
        sku,
    }))
}

fn reserved_units(key: &AskKey, quantity: i64) -> Option<ReservedUnits> {
    Some(ReservedUnits {
        reservation_id: key.reservation_id.clone(),
        attempt: key.attempt,
        quantity,
        expires_at: Timestamp::from_unix_millis(key.expires_at_ms).ok()?,
    })
}

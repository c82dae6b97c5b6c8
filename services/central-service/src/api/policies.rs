//! Safety stock: units that are kept back from online customers.
#![expect(unused_qualifications, reason = "the path macro repeats the query types")]

use std::sync::Arc;

use access::Principal;
use axum::Json;
use axum::extract::State as Ctx;
use serde::{Deserialize, Serialize};
use service_kit::extract::{Json as Body, Query};
use service_kit::{ErrorCode, Problem};
use shared_events::policy::{SafetyStock, Scope};
use shared_events::{CentreId, MAX_UNITS, Sku, StoreId, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::{State, refused, require_ready};
use crate::ledger::Ask;

/// What a policy applies to: the chain, a store, an item, or an item in a store.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ScopeQuery {
    /// This store; every store when absent.
    #[param(value_type = Option<String>)]
    store_id: Option<StoreId>,
    /// This item; every item when absent.
    #[param(value_type = Option<String>)]
    sku: Option<Sku>,
}

impl From<ScopeQuery> for Scope {
    fn from(query: ScopeQuery) -> Self {
        Self { store_id: query.store_id, sku: query.sku }
    }
}

/// A safety stock policy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyView {
    /// The store; every store when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    store_id: Option<StoreId>,
    /// The item; every item when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    sku: Option<Sku>,
    /// Units of each item in each store that are not offered online; absent once removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<i64>,
    /// When it was set.
    #[schema(value_type = String)]
    changed_at: Timestamp,
    /// The centre where it was set.
    #[schema(value_type = String)]
    changed_by: CentreId,
}

impl From<SafetyStock> for PolicyView {
    fn from(policy: SafetyStock) -> Self {
        let SafetyStock { scope: Scope { store_id, sku }, units, changed_at, changed_by } = policy;
        Self { store_id, sku, units, changed_at, changed_by }
    }
}

/// All policies.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Policies {
    /// The more specific one wins: item in a store, item, store, chain.
    policies: Vec<PolicyView>,
}

/// All safety stock policies.
#[utoipa::path(
    get, path = "/api/policies/safety-stock", tag = "policies",
    security(("bearer" = ["admin"])),
    responses((status = 200, description = "All of them, the most general first.", body = Policies))
)]
pub(super) async fn safety_stocks(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
) -> Json<Policies> {
    let mut all = state.model.safety_stocks(|all| {
        let of_its_stores = |policy: &&SafetyStock| {
            policy.scope.store_id.as_ref().is_none_or(|store| principal.stores.include(store))
        };
        all.all()
            .filter(|policy| policy.units.is_some())
            .filter(of_its_stores)
            .cloned()
            .collect::<Vec<_>>()
    });
    all.sort_by(|a, b| a.scope.cmp(&b.scope));
    Json(Policies { policies: all.into_iter().map(PolicyView::from).collect() })
}

/// Units to keep back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SafetyStockBody {
    /// Units of each item in each store, 0 to 1,000,000,000.
    #[schema(minimum = 0, maximum = 1_000_000_000, example = 2)]
    units: i64,
}

/// Keep units back from online customers.
#[utoipa::path(
    put, path = "/api/policies/safety-stock", tag = "policies", request_body = SafetyStockBody,
    params(ScopeQuery),
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "On disk, and in force.", body = PolicyView),
        (status = "4XX", description = "Refused; nothing was done.", body = Problem),
    )
)]
pub(super) async fn set(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    Query(scope): Query<ScopeQuery>,
    Body(body): Body<SafetyStockBody>,
) -> Result<Json<PolicyView>, Problem> {
    require_scope(&principal, &scope)?;
    if !(0..=MAX_UNITS).contains(&body.units) {
        let detail = format!("units are 0 to {MAX_UNITS}");
        return Err(Problem::new(ErrorCode::InvalidField, detail).field("units"));
    }
    change(&state, scope.into(), Some(body.units)).await
}

/// Take a policy back; the next more general one is in force then.
#[utoipa::path(
    delete, path = "/api/policies/safety-stock", tag = "policies", params(ScopeQuery),
    security(("bearer" = ["admin"])),
    responses(
        (status = 200, description = "On disk, and no longer in force.", body = PolicyView),
        (status = 404, description = "There is no policy of exactly this scope.", body = Problem),
    )
)]
pub(super) async fn remove(
    Ctx(state): Ctx<Arc<State>>,
    principal: Principal,
    Query(scope): Query<ScopeQuery>,
) -> Result<Json<PolicyView>, Problem> {
    require_scope(&principal, &scope)?;
    let scope = Scope::from(scope);
    if state.model.safety_stocks(|all| all.get(&scope).is_none()) {
        require_ready(&state)?;
        let detail = "there is no safety stock policy of exactly this scope";
        return Err(Problem::new(ErrorCode::NotFound, detail));
    }
    change(&state, scope, None).await
}

/// What holds in every store is not for somebody who is bound to some.
fn require_scope(principal: &Principal, scope: &ScopeQuery) -> Result<(), Problem> {
    match &scope.store_id {
        Some(store) => principal.require_store(store),
        None => principal.require_all_stores("name one of them in storeId"),
    }
    .map_err(|problem| problem.field("storeId"))
}

async fn change(
    state: &State,
    scope: Scope,
    units: Option<i64>,
) -> Result<Json<PolicyView>, Problem> {
    let asked = state.ledger.ask(|reply| Ask::SafetyStock { scope, units, reply });
    let policy = asked.await.map_err(|refusal| refused(&refusal))?;
    Ok(Json(policy.into()))
}

//! The guard in front of every route: nothing is served that its rule does not allow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts as _, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use service_kit::metrics::Common;
use service_kit::server::{self, ClientIdentity, Listener};
use service_kit::{ErrorCode, Problem, http};
use shared_events::StoreId;
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;
use tracing::debug;

use crate::audit::{AuditLog, Watch};
use crate::principal::{Principal, Scope, not_its_store};
use crate::rate::Rate;
use crate::rules::{Rule, Rules};
use crate::tokens::{Tokens, Untrusted};

/// What serves the description is not described by it.
const DOCS: &str = "/api/docs";
const DESCRIPTION: &str = "/api/openapi.json";
const METRICS: &str = "/metrics";

/// How a service lets callers in. As it comes, everybody may everything: for services that only their
/// own machine reaches (see [`crate::start`]).
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Which tokens are believed; without, nobody is asked.
    pub tokens: Option<Arc<Tokens>>,
    /// Web pages that may call, by their origin; none unless named.
    pub origins: Vec<HeaderValue>,
    /// Whether metrics ask for `stock:read`.
    pub protect_metrics: bool,
    /// Whether the API's description asks for a token.
    pub protect_docs: bool,
    /// Whether operations for operators have a listener of their own, and are nowhere else.
    pub admin_apart: bool,
    /// Where it is written down what operators do.
    pub audit: Option<Arc<AuditLog>>,
    /// How often a subject may ask; as often as it likes without.
    pub rate: Option<Rate>,
}

/// A service's interface, guarded.
#[derive(Debug, Clone)]
pub struct Doors {
    /// For everybody.
    pub main: Router,
    /// For operators; absent where they come in with everybody else.
    pub admin: Option<Router>,
}

impl Doors {
    /// Serves until `stop`, operators on a listener of their own where there is one.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn serve(
        self,
        main: Listener,
        admin: Option<Listener>,
        common: &Common,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let served = server::serve(main, self.main, common, stop.clone());
        match admin.zip(self.admin) {
            None => served.await,
            Some((listener, router)) => {
                let operators = server::serve(listener, router, common, stop);
                tokio::try_join!(served, operators).map(|((), ())| ())
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Only,
    Main,
    Admin,
}

#[derive(Debug)]
struct Gate {
    tokens: Option<Arc<Tokens>>,
    rules: Rules,
    /// The store this is, where it is one.
    home: Option<StoreId>,
    door: Door,
    docs: Rule,
    audit: Option<Arc<AuditLog>>,
    rate: Option<Rate>,
}

impl Access {
    /// Puts the guard in front of a service's routes. `home` is the store that the service is.
    #[must_use]
    pub fn guard(&self, router: Router, mut rules: Rules, home: Option<&StoreId>) -> Doors {
        if self.protect_metrics {
            rules.set(Method::GET, METRICS, Rule::OneOf([Scope::StockRead].into()));
        }
        let docs = if self.protect_docs { Rule::OneOf(Scope::ALL.into()) } else { Rule::Public };
        let router = http::completed(router);
        let through = |door| {
            let gate = Gate {
                tokens: self.tokens.clone(),
                rules: rules.clone(),
                home: home.cloned(),
                door,
                docs: docs.clone(),
                audit: self.audit.clone(),
                rate: self.rate.clone(),
            };
            let guarded = router.clone().layer(from_fn_with_state(Arc::new(gate), guarded));
            if self.origins.is_empty() { guarded } else { guarded.layer(self.cors()) }
        };
        if self.admin_apart {
            Doors { main: through(Door::Main), admin: Some(through(Door::Admin)) }
        } else {
            Doors { main: through(Door::Only), admin: None }
        }
    }

    fn cors(&self) -> CorsLayer {
        let header = HeaderName::from_static;
        CorsLayer::new()
            .allow_origin(self.origins.clone())
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_MATCH,
                header("idempotency-key"),
                header("last-event-id"),
                header("prefer"),
                header("traceparent"),
            ])
            .expose_headers([header::AGE, header::ETAG, header::LOCATION, header::RETRY_AFTER])
            .max_age(Duration::from_secs(600))
    }
}

async fn guarded(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let admitted = match parts.extensions.get::<MatchedPath>().cloned() {
        Some(path) => gate.admit(&mut parts, path.as_str()).await,
        // No such path: nothing to guard.
        None => return next.run(Request::from_parts(parts, body)).await,
    };
    match admitted {
        Ok(principal) => {
            let act = gate.act(&parts, &principal);
            parts.extensions.insert(principal);
            let request = Request::from_parts(parts, body);
            let mut response = match act {
                Some(act) => act.watch(request, next).await,
                None => next.run(request).await,
            };
            if gate.tokens.is_some() {
                let vary = HeaderValue::from_name(header::AUTHORIZATION);
                response.headers_mut().append(header::VARY, vary);
            }
            response
        }
        Err(refused) => *refused,
    }
}

impl Gate {
    /// What has to be written down: whatever operators change.
    fn act(&self, parts: &Parts, principal: &Principal) -> Option<Watch> {
        let path = parts.extensions.get::<MatchedPath>()?;
        let admin = self.rules.of(&parts.method, path.as_str()).is_some_and(Rule::is_admin);
        let log = self.audit.as_ref().filter(|_| admin && !parts.method.is_safe())?;
        Some(Watch { log: Arc::clone(log), principal: principal.subject.clone() })
    }

    async fn admit(&self, parts: &mut Parts, path: &str) -> Result<Principal, Box<Response>> {
        let rule = self.rule(&parts.method, path)?;
        let Rule::OneOf(scopes) = rule else {
            // Where nobody is asked, everybody is the same.
            let asked = self.tokens.is_some();
            return Ok(if asked { Principal::nobody() } else { Principal::unnamed() });
        };
        let mut principal = self.named(parts, scopes).await?;
        if let Some(store) =
            parts.extensions.get::<ClientIdentity>().and_then(ClientIdentity::store)
        {
            principal.narrow(store).map_err(|problem| Box::new(problem.into_response()))?;
        }
        if let Some(home) = &self.home
            && !principal.stores.include(home)
        {
            return Err(Box::new(not_its_store().into_response()));
        }
        self.require_named_store(parts, &principal).await?;
        Ok(principal)
    }

    /// Who the caller is by its token, where that is asked.
    async fn named(
        &self,
        parts: &Parts,
        scopes: &BTreeSet<Scope>,
    ) -> Result<Principal, Box<Response>> {
        let Some(tokens) = &self.tokens else {
            return Ok(Principal::unnamed());
        };
        let token = bearer(&parts.headers)?;
        let principal = tokens.principal(token).await.map_err(|untrusted| {
            debug!(?untrusted, "a token was refused");
            self::untrusted(&untrusted)
        })?;
        if !scopes.iter().any(|scope| principal.may(*scope)) {
            return Err(lacking(scopes.iter().copied()));
        }
        if let (Some(rate), Some(subject)) = (&self.rate, &principal.subject) {
            rate.admit(subject, &parts.extensions)?;
        }
        Ok(principal)
    }

    fn rule(&self, method: &Method, path: &str) -> Result<&Rule, Box<Response>> {
        let rule = if path.starts_with(DOCS) || path == DESCRIPTION {
            Some(&self.docs)
        } else {
            self.rules.of(method, path)
        };
        let Some(rule) = rule else {
            let (code, detail) = if self.rules.has(path) {
                (ErrorCode::MethodNotAllowed, "see /api/docs for what there is")
            } else {
                // A route that nobody described: it does not say whom it is for, so it is for nobody.
                (ErrorCode::Forbidden, "the route is not described")
            };
            let mut response = Problem::new(code, detail).into_response();
            if code == ErrorCode::MethodNotAllowed
                && let Ok(allow) = HeaderValue::try_from(self.rules.methods(path))
            {
                response.headers_mut().insert(header::ALLOW, allow);
            }
            return Err(Box::new(response));
        };
        let here = match self.door {
            Door::Only => true,
            Door::Main => !rule.is_admin(),
            Door::Admin => rule.is_admin() || *rule == Rule::Public,
        };
        if here {
            return Ok(rule);
        }
        let detail = "operations for operators have a listener of their own, and only those";
        Err(Box::new(Problem::new(ErrorCode::NotFound, detail).into_response()))
    }

    /// A store in the path has to be one of the principal's; whether it exists is not said.
    async fn require_named_store(
        &self,
        parts: &mut Parts,
        principal: &Principal,
    ) -> Result<(), Box<Response>> {
        let named = RawPathParams::from_request_parts(parts, &()).await;
        let named = named.iter().flatten().find(|(name, _)| *name == "storeId");
        let store = match named.map(|(_, store)| StoreId::parse(store)) {
            Some(Ok(store)) => store,
            // The handler says what is wrong with it.
            Some(Err(_)) | None => return Ok(()),
        };
        principal.require_store(&store).map_err(|problem| Box::new(problem.into_response()))
    }
}

/// The one token of a request.
fn bearer(headers: &HeaderMap) -> Result<&str, Box<Response>> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        let detail = "send one header, as in `Authorization: Bearer TOKEN`";
        return Err(challenge(detail, "Bearer"));
    };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    token.ok_or_else(|| {
        challenge("only bearer tokens are understood", "Bearer error=\"invalid_request\"")
    })
}

fn untrusted(why: &Untrusted) -> Box<Response> {
    if *why == Untrusted::NoKeys {
        return Box::new(Problem::new(ErrorCode::NotReady, why.to_string()).into_response());
    }
    challenge(&why.to_string(), "Bearer error=\"invalid_token\"")
}

fn challenge(detail: &str, how: &'static str) -> Box<Response> {
    let mut response = Problem::new(ErrorCode::Unauthenticated, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(how));
    Box::new(response)
}

fn lacking(scopes: impl Iterator<Item = Scope>) -> Box<Response> {
    let names: Vec<_> = scopes.map(Scope::as_str).collect();
    let detail = format!("the token lacks the scope {}", names.join(" or "));
    let mut response = Problem::new(ErrorCode::Forbidden, detail).into_response();
    let how = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", names.join(" "));
    if let Ok(how) = HeaderValue::try_from(how) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
    }
    Box::new(response)
}

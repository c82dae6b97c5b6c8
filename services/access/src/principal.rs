//! Who sent a request, and what they may.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use service_kit::{ErrorCode, Problem, clock};
use shared_events::{StoreId, Subject};

use crate::tokens::LEEWAY_SECONDS;

/// What a token allows. None implies another: a token says all it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Reads stock, its history and its freshness.
    StockRead,
    /// Changes stock.
    StockWrite,
    /// Reserves, and fulfils or cancels what the same subject reserved.
    ReservationsWrite,
    /// Works in a shop or for its customers: sees everybody's reservations and decides on them.
    Staff,
    /// Operates the chain: policies, comparisons, replays.
    Admin,
}

impl Scope {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::StockRead, Self::StockWrite, Self::ReservationsWrite, Self::Staff, Self::Admin];

    /// As tokens and the API's description name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StockRead => "stock:read",
            Self::StockWrite => "stock:write",
            Self::ReservationsWrite => "reservations:write",
            Self::Staff => "staff",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| format!("expected one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// The stores a principal sees and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stores {
    /// Every store, also those to come.
    All,
    /// These, and nothing of any other.
    Only(BTreeSet<StoreId>),
}

impl Stores {
    /// Whether a store is among them.
    #[must_use]
    pub fn include(&self, store: &StoreId) -> bool {
        match self {
            Self::All => true,
            Self::Only(stores) => stores.contains(store),
        }
    }
}

/// Who sent a request. Every handler can ask for it; the guard puts it into the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// `None` where nobody is asked who they are: a service without keys, which serves its own
    /// machine only, and routes that are public.
    pub subject: Option<Subject>,
    /// What it may.
    pub scopes: BTreeSet<Scope>,
    /// Where it may.
    pub stores: Stores,
    /// When its token expires, in seconds since the Unix epoch; what outlives a request ends then.
    pub until: Option<u64>,
}

impl Principal {
    /// Whoever works on a machine whose services have no keys: everything is theirs already.
    #[must_use]
    pub fn unnamed() -> Self {
        Self { subject: None, scopes: Scope::ALL.into(), stores: Stores::All, until: None }
    }

    /// Whoever uses what is public: nothing else is theirs.
    #[must_use]
    pub fn nobody() -> Self {
        Self { subject: None, scopes: BTreeSet::new(), stores: Stores::All, until: None }
    }

    /// How long its token is still valid; without end where there is none.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        let now = clock::unix_millis().unsigned_abs();
        let left = |until: u64| until.saturating_add(LEEWAY_SECONDS).saturating_mul(1_000);
        self.until
            .map_or(Duration::MAX, |until| Duration::from_millis(left(until).saturating_sub(now)))
    }

    /// Whether it may.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// The answer to a token of other stores; the same for a store that exists and one that does not.
#[must_use]
pub fn not_its_store() -> Problem {
    Problem::new(ErrorCode::Forbidden, "the token is bound to other stores")
}

impl Principal {
    /// Refuses what is about a store that is not its.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`].
    pub fn require_store(&self, store: &StoreId) -> Result<(), Problem> {
        if self.stores.include(store) { Ok(()) } else { Err(not_its_store()) }
    }

    /// Refuses what is about every store, when it is bound to some.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], with what to ask instead.
    pub fn require_all_stores(&self, instead: &str) -> Result<(), Problem> {
        match self.stores {
            Stores::All => Ok(()),
            Stores::Only(_) => {
                let detail = format!("the token is bound to stores: {instead}");
                Err(Problem::new(ErrorCode::Forbidden, detail))
            }
        }
    }

    /// Whether it may see and change what a subject made: its own, or anybody's as staff.
    #[must_use]
    pub fn owns(&self, maker: Option<&Subject>) -> bool {
        self.may(Scope::Staff) || (maker.is_some() && self.subject.as_ref() == maker)
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::new(ErrorCode::Internal, "the request did not pass the guard"))
    }
}

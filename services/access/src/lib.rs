//! Who asks, and what they may: the one place that decides it for stores and the centre.
//!
//! [`principal`] is who sent a request. [`tokens`] decides which tokens are believed, by the keys of a
//! key file or by those of an issuer ([`jwks`]); [`mint`] makes tokens where there is no issuer.
//! [`rules`] reads from a service's own description who may use which operation, [`guard`] stands in
//! front of every route and holds to it, and asks [`Rate`] whether one subject asks too often. [`start`] says where a service without keys may listen.

pub mod audit;
mod claims;
pub mod guard;
pub mod jwks;
pub mod mint;
pub mod principal;
mod rate;
pub mod rules;
pub mod start;
pub mod tokens;
mod verified;

pub use guard::{Access, Doors};
pub use principal::{Principal, Scope, Stores};
pub use rate::{DEFAULT_MAX_RATE, Rate};
pub use rules::Rules;
pub use tokens::Tokens;

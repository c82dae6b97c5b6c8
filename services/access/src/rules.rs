//! Who may use which operation, as the service's own description says: there is no second list.

use std::collections::{BTreeSet, HashMap};

use axum::http::Method;
use service_kit::Problem;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, ResponseBuilder};

use crate::principal::Scope;

/// The security scheme of the descriptions.
pub const SCHEME: &str = "bearer";

/// Who may use an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Everybody.
    Public,
    /// Whoever has one of these scopes.
    OneOf(BTreeSet<Scope>),
}

impl Rule {
    /// Whether it is for operators alone.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        matches!(self, Self::OneOf(scopes) if scopes.iter().eq([&Scope::Admin]))
    }
}

/// An operation that does not say who may use it: a defect of the service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{method} {path} does not say who may use it: give it security((\"bearer\" = [SCOPE])) or security(())"
)]
pub struct Undeclared {
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: String,
}

/// The rule of each operation.
#[derive(Debug, Clone, Default)]
pub struct Rules(HashMap<String, HashMap<Method, Rule>>);

impl Rules {
    /// The rules of a description, which gets the security scheme and the answers that follow from them.
    ///
    /// # Errors
    /// [`Undeclared`].
    pub fn declared(description: &mut OpenApi) -> Result<Self, Undeclared> {
        let mut rules = Self::default();
        for (path, item) in &mut description.paths.paths {
            for (method, operation) in operations(item) {
                let rule = rule(operation)
                    .ok_or_else(|| Undeclared { method: method.clone(), path: path.clone() })?;
                if rule != Rule::Public {
                    add_answers(operation);
                }
                rules.0.entry(path.clone()).or_default().insert(method, rule);
            }
        }
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("Scopes are in the claim `scope`; see docs/security.md."))
            .build();
        description
            .components
            .get_or_insert_with(Components::new)
            .add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
        Ok(rules)
    }

    /// The rule of an operation; `None` for what is not described. `HEAD` is a `GET`.
    #[must_use]
    pub fn of(&self, method: &Method, path: &str) -> Option<&Rule> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.0.get(path)?.get(method)
    }

    /// Whether a path is described at all.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The methods of a path, as the header `Allow` has them.
    pub(crate) fn methods(&self, path: &str) -> String {
        let methods = self.0.get(path).into_iter().flat_map(HashMap::keys);
        let mut names: Vec<_> = methods.map(Method::as_str).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.sort_unstable();
        names.join(",")
    }

    pub(crate) fn set(&mut self, method: Method, path: &str, rule: Rule) {
        self.0.entry(path.to_owned()).or_default().insert(method, rule);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, item.get.as_mut()),
        (Method::PUT, item.put.as_mut()),
        (Method::POST, item.post.as_mut()),
        (Method::DELETE, item.delete.as_mut()),
        (Method::PATCH, item.patch.as_mut()),
        (Method::OPTIONS, item.options.as_mut()),
        (Method::HEAD, item.head.as_mut()),
        (Method::TRACE, item.trace.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

/// What an operation declares: each requirement is one way in, with one scope.
fn rule(operation: &Operation) -> Option<Rule> {
    let declared = serde_json::to_value(operation.security.as_ref()?).ok()?;
    let requirements: Vec<HashMap<String, Vec<String>>> = serde_json::from_value(declared).ok()?;
    if requirements.iter().all(HashMap::is_empty) {
        return (!requirements.is_empty()).then_some(Rule::Public);
    }
    let mut scopes = BTreeSet::new();
    for requirement in requirements {
        let names = requirement.get(SCHEME).filter(|_| requirement.len() == 1)?;
        let [name] = names.as_slice() else { return None };
        scopes.insert(name.parse().ok()?);
    }
    Some(Rule::OneOf(scopes))
}

fn add_answers(operation: &mut Operation) {
    for (status, description) in [
        ("401", "No token, or one that is not valid here."),
        ("403", "The token does not allow it."),
    ] {
        let problem = Ref::from_schema_name(<Problem as utoipa::ToSchema>::name());
        let content = ContentBuilder::new().schema(Some(problem)).build();
        let response = ResponseBuilder::new()
            .description(description)
            .content("application/problem+json", content)
            .build();
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
    }
}

//! The compose files, as `docker compose` lays them over each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::files::{entries, list, plain, yaml};

pub(crate) const ONE: &str = "docker-compose.yml";
pub(crate) const THREE: &str = "deploy/compose.cluster.yml";

/// The chain on one broker.
pub(crate) fn one() -> Value {
    yaml(ONE)
}

/// The chain on three brokers.
pub(crate) fn three() -> Value {
    let mut below = one();
    lay_over(&mut below, &yaml(THREE));
    below
}

/// Mappings are merged, a volume takes the place of one with the same target, other lists grow.
fn lay_over(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                match below.get_mut(name) {
                    Some(Value::Array(old)) if name == "volumes" => {
                        let target = |mount: &Value| {
                            mount
                                .as_str()
                                .and_then(|mount| mount.split(':').nth(1))
                                .map(str::to_owned)
                        };
                        let new: BTreeSet<_> = list(value).filter_map(target).collect();
                        old.retain(|mount| {
                            target(mount).is_none_or(|target| !new.contains(&target))
                        });
                        old.extend(list(value).cloned());
                    }
                    Some(Value::Array(old)) => old.extend(list(value).cloned()),
                    Some(old) => lay_over(old, value),
                    None => {
                        below.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (below, above) => *below = above.clone(),
    }
}

/// Services by name.
pub(crate) fn services(of: &Value) -> Vec<(&str, &Value)> {
    entries(&of["services"]).collect()
}

/// Those that run the program as a service, with the command they run.
pub(crate) fn onhand(of: &Value) -> Vec<(&str, &str, &Value)> {
    services(of)
        .into_iter()
        .filter(|(_, service)| service["build"].is_object())
        .map(|(name, service)| (name, service["command"][0].as_str().expect("a command"), service))
        .filter(|(_, command, _)| matches!(*command, "store" | "central"))
        .collect()
}

/// A service's environment, with `${NAME:-default}` at its default.
pub(crate) fn environment(service: &Value) -> BTreeMap<String, String> {
    entries(&service["environment"])
        .map(|(name, value)| (name.to_owned(), defaulted(&plain(value))))
        .collect()
}

fn defaulted(text: &str) -> String {
    match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(variable) => variable.split_once(":-").map_or("", |(_, default)| default).to_owned(),
        None => text.to_owned(),
    }
}

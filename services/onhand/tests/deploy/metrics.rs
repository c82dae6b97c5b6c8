//! Alerts and the dashboard ask for numbers that the code counts, by the names it gives them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use inventory_core::Freshness;
use serde_json::Value;
use shared_events::ledger::ReservationState;

use crate::alerts::rules;
use crate::files::{json, list, path, plain};

/// Crates that count, and what they put before every name.
const PREFIXES: [(&str, &str); 3] = [
    ("services/service-kit", "onhand"),
    ("services/store-service", "onhand_store"),
    ("services/central-service", "onhand_central"),
];

/// What a crate registers, with its unit. That something is a counter or a histogram is not said there.
fn registered(krate: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    sources(&path(krate).join("src"), &mut |text| {
        for call in ["register(", "register_with_unit("] {
            for (at, _) in text.match_indices(&format!(".{call}")) {
                let arguments = &text[at..];
                let Some(name) = arguments.split('"').nth(1).filter(|_| literal_first(arguments))
                else {
                    continue;
                };
                let unit = if call == "register_with_unit(" { "_seconds" } else { "" };
                names.insert(format!("{name}{unit}"));
            }
        }
    });
    names
}

/// Whether a call's first argument is a text: other things are registered, too.
fn literal_first(call: &str) -> bool {
    call.split_once('(').is_some_and(|(_, arguments)| arguments.trim_start().starts_with('"'))
}

fn sources(folder: &Path, each: &mut dyn FnMut(&str)) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, each);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            each(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// Every name that `/metrics` can show, without the endings that kinds of metrics have.
fn counted() -> BTreeSet<String> {
    PREFIXES
        .iter()
        .flat_map(|(krate, prefix)| {
            registered(krate).into_iter().map(move |name| format!("{prefix}_{name}"))
        })
        .collect()
}

/// Expressions by who asks them.
fn asked() -> Vec<(String, String)> {
    let mut asked: Vec<_> =
        rules().iter().map(|rule| (plain(&rule["alert"]), plain(&rule["expr"]))).collect();
    for panel in list(&json("deploy/grafana/onhand.json")["panels"]) {
        for target in list(&panel["targets"]) {
            asked.push((plain(&panel["title"]), plain(&target["expr"])));
        }
    }
    asked
}

fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("onhand_"))
}

#[test]
fn every_number_that_is_asked_for_is_counted() {
    let counted = counted();
    assert!(counted.len() > 30, "the code was read: {counted:?}");
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let asked = asked();
    for (who, expression) in &asked {
        for word in words(expression) {
            let known = ["", "_total", "_bucket", "_sum", "_count"]
                .iter()
                .any(|ending| word.strip_suffix(ending).is_some_and(|name| counted.contains(name)));
            if !known {
                missing.entry(word).or_default().insert(who);
            }
        }
    }
    assert!(missing.is_empty(), "nothing counts {missing:#?}");
}

/// Values that a label is compared with in an expression.
fn compared<'a>(expression: &'a str, metric: &str, label: &str) -> Vec<&'a str> {
    expression
        .match_indices(&format!("{metric}{{"))
        .filter_map(|(at, _)| expression[at..].split('}').next())
        .filter_map(|selector| selector.split(&format!("{label}=")).nth(1))
        .filter_map(|rest| rest.trim_start_matches('~').split('"').nth(1))
        .flat_map(|values| values.split('|'))
        .collect()
}

#[test]
fn states_that_are_asked_for_are_states_that_there_are() {
    use ReservationState::{
        Confirmed, Fulfilled, Rejected, Released, Requested, Resourcing, Short,
    };
    let reservations: Vec<_> =
        [Requested, Confirmed, Resourcing, Short, Fulfilled, Released, Rejected]
            .map(inventory_core::saga::requests::name)
            .into();
    let mut seen = 0;
    for (who, expression) in asked() {
        for state in compared(&expression, "onhand_central_store_freshness", "state") {
            seen += 1;
            assert!(Freshness::NAMES.contains(&state), "{who}: no store is {state}");
        }
        for state in compared(&expression, "onhand_central_reservations_total", "state") {
            seen += 1;
            assert!(reservations.contains(&state), "{who}: no reservation is {state}");
        }
    }
    assert!(seen > 5, "expressions were understood");
}

#[test]
fn the_dashboard_has_a_row_for_every_promise_and_no_panel_over_another() {
    let dashboard = json("deploy/grafana/onhand.json");
    let panels: Vec<&Value> = list(&dashboard["panels"]).collect();
    let rows: Vec<_> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|row| plain(&row["title"]))
        .collect();
    for promise in 1..=7 {
        assert!(
            rows.iter().any(|row| row.starts_with(&format!("P{promise} "))),
            "no row for P{promise}"
        );
    }
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(plain(&panel["id"])), "two panels are number {}", panel["id"]);
        let side = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(x < 24 && taken.insert((x, y)), "{} lies over another", panel["title"]);
            }
        }
        for target in list(&panel["targets"]) {
            assert_eq!(target["datasource"]["uid"], "prometheus", "{}", panel["title"]);
        }
    }
}

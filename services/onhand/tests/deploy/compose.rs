//! `docker-compose.yml` and `deploy/compose.cluster.yml`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::compose_files::{environment, one, onhand, services, three};
use crate::files::{entries, list, path, plain, text, yaml};
use crate::program::assert_understood;

#[test]
fn every_setting_of_a_service_is_one_of_the_program_and_understood() {
    for chain in [one(), three()] {
        let found = onhand(&chain);
        assert_eq!(found.len(), 5, "three stores and two centres");
        for (name, command, service) in found {
            assert_understood(name, command, &environment(service));
        }
    }
}

#[test]
fn every_store_and_centre_has_a_name_and_a_disk_of_its_own() {
    let chain = one();
    let mut seen = BTreeSet::new();
    for (name, command, service) in onhand(&chain) {
        let id = if command == "store" { "ONHAND_STORE_ID" } else { "ONHAND_CENTRE_ID" };
        assert!(seen.insert(environment(service)[id].clone()), "{name}: its id is another's");
        assert!(seen.insert(plain(&service["volumes"][0])), "{name}: its volume is another's");
    }
}

#[test]
fn every_service_reads_the_keys_that_are_made_at_the_first_start_and_none_is_shipped() {
    for chain in [one(), three()] {
        let maker = &chain["services"]["keys"];
        assert_eq!(maker["command"], json!(["key", "/keys/tokens.key", "--if-missing"]));
        assert_eq!(maker["volumes"], json!(["keys:/keys"]));
        assert_eq!(maker["restart"], "no", "it has done its work when it ends");
        for (name, _, service) in onhand(&chain) {
            assert_eq!(environment(service)["ONHAND_TOKEN_KEYS"], "/keys/tokens.key", "{name}");
            assert!(list(&service["volumes"]).any(|mount| mount == "keys:/keys:ro"), "{name}");
            assert!(!service["depends_on"]["keys"].is_null(), "{name} starts without keys");
        }
    }
}

/// Each signs with a key that is made for it, and asks the others for theirs.
#[test]
fn every_service_signs_its_records() {
    for chain in [one(), three()] {
        let script = plain(&chain["services"]["record-keys"]["command"][0]);
        for (name, _, service) in onhand(&chain) {
            let (all, own) = (environment(service), name.rsplit('-').next().expect("a name"));
            let key = match name.starts_with("centre") {
                true => format!("centres/{own}"),
                false => own.to_uppercase(),
            };
            assert_eq!(all["ONHAND_RECORD_KEY"], format!("/keys/records/{key}.key"), "{name}");
            assert_eq!(all["ONHAND_RECORD_KEYS"], "/keys/records", "{name}");
            assert!(script.split([' ', ';']).any(|made| made == key), "{script}");
            assert!(!service["depends_on"]["record-keys"].is_null(), "{name} starts without keys");
        }
    }
}

#[test]
fn images_are_pinned() {
    let program = format!("onhand:{}", env!("CARGO_PKG_VERSION"));
    for (name, service) in services(&three()) {
        let image = service["image"].as_str().expect("an image");
        let (_, tag) =
            image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag"));
        let numbers = tag.trim_start_matches('v').split('.').filter(|n| n.parse::<u32>().is_ok());
        assert!(numbers.count() >= 3, "{name}: {image} is not one version");
        assert!(service["build"].is_null() || image == program, "{name}: {image}, not {program}");
    }
}

#[test]
fn every_service_has_the_least_rights_and_bounds() {
    for (name, service) in services(&three()) {
        assert_eq!(service["read_only"], true, "{name} writes its root");
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name} keeps capabilities");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        let user = service["user"].as_str().unwrap_or_default();
        assert!(
            user.split(':').next().is_some_and(|id| id.parse().is_ok_and(|id: u32| id > 0)),
            "{name} is {user}"
        );
        for bound in ["mem_limit", "cpus", "pids_limit", "restart", "logging"] {
            assert!(!service[bound].is_null(), "{name} has no {bound}");
        }
        assert!(service["privileged"].is_null() && service["cap_add"].is_null(), "{name}");
    }
}

#[test]
fn ports_are_published_to_this_machine_only_and_once() {
    let mut seen = BTreeSet::new();
    for (name, service) in services(&three()) {
        for port in list(&service["ports"]).map(plain) {
            let rest = port.strip_prefix("127.0.0.1:").unwrap_or_else(|| panic!("{name}: {port}"));
            assert!(seen.insert(rest.split(':').next().map(str::to_owned)), "{name}: {port} twice");
        }
    }
}

#[test]
fn a_service_is_reached_and_checked_at_the_port_it_listens_on() {
    for (name, _, service) in onhand(&one()) {
        let listen = &environment(service)["ONHAND_LISTEN"];
        let (address, port) = listen.rsplit_once(':').expect("a port");
        assert_eq!(address, "0.0.0.0", "{name}: others in the network must reach it");
        assert!(plain(&service["ports"][0]).ends_with(&format!(":{port}")), "{name}");
        assert_eq!(service["healthcheck"]["test"], json!(["CMD", "onhand-ready", port]), "{name}");
    }
}

#[test]
fn the_core_comes_up_alone_and_waits_for_what_can_say_that_it_is_well() {
    let chain = three();
    let all: BTreeMap<_, _> = services(&chain).into_iter().collect();
    let core: BTreeSet<_> = all
        .iter()
        .filter(|(_, service)| service["profiles"].is_null())
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(
        core.len(),
        10,
        "two kinds of keys, three brokers, three stores, two centres: {core:?}"
    );
    for (name, service) in &all {
        for (on, how) in entries(&service["depends_on"]) {
            let other = all.get(on).unwrap_or_else(|| panic!("{name} waits for {on}"));
            assert!(
                !core.contains(name) || core.contains(on),
                "{name} needs {on}, which is not of the core"
            );
            if matches!(on, "keys" | "record-keys") {
                assert_eq!(how["condition"], "service_completed_successfully", "{name}");
                continue;
            }
            assert_eq!(how["condition"], "service_healthy", "{name} waits for {on}");
            assert!(other["healthcheck"]["test"].is_array(), "{on} cannot say that it is well");
        }
        if !core.contains(name) {
            assert_eq!(service["profiles"], json!(["observability"]), "{name}");
        }
    }
}

#[test]
fn volumes_are_declared_and_files_are_there() {
    let chain = three();
    for (name, service) in services(&chain) {
        for mount in list(&service["volumes"]).map(plain) {
            let from = mount.split(':').next().unwrap_or_default();
            match from.strip_prefix("./") {
                Some(file) => {
                    assert!(path(file).exists(), "{name} mounts {file}");
                    assert!(mount.ends_with(":ro"), "{name} may write {file}");
                }
                None => assert!(
                    chain["volumes"].as_object().is_some_and(|v| v.contains_key(from)),
                    "{name}: {from}"
                ),
            }
        }
    }
}

#[test]
fn prometheus_scrapes_every_store_and_centre_under_its_name() {
    let mut wanted = BTreeSet::new();
    for (name, command, service) in onhand(&one()) {
        let settings = environment(service);
        let (label, id) = match command {
            "store" => ("store", &settings["ONHAND_STORE_ID"]),
            _ => ("centre", &settings["ONHAND_CENTRE_ID"]),
        };
        wanted.insert((format!("onhand-{command}"), format!("{name}:8080"), label, id.clone()));
    }
    let config = yaml("deploy/prometheus/prometheus.yml");
    let mut found = BTreeSet::new();
    for job in list(&config["scrape_configs"]) {
        for group in list(&job["static_configs"]) {
            let (label, id) = entries(&group["labels"]).next().expect("a label");
            let label = if label == "store" { "store" } else { "centre" };
            found.insert((plain(&job["job_name"]), plain(&group["targets"][0]), label, plain(id)));
        }
    }
    assert_eq!(found, wanted);
}

#[test]
fn a_collector_fetches_metrics_where_prometheus_does() {
    let jobs = |scrapes: &Value| -> BTreeSet<String> {
        let jobs = list(scrapes).flat_map(|job| {
            let name = plain(&job["job_name"]);
            let targets = list(&job["static_configs"]).cloned().collect::<Vec<_>>();
            targets.into_iter().map(move |target| format!("{name} {target}"))
        });
        jobs.collect()
    };
    let prometheus = yaml("deploy/prometheus/prometheus.yml");
    let collector = yaml("deploy/otel-collector/metrics.yaml");
    let fetched = jobs(&collector["receivers"]["prometheus"]["config"]["scrape_configs"]);
    assert_eq!(fetched, jobs(&prometheus["scrape_configs"]));
}

#[test]
fn traces_have_a_way_from_the_services_to_jaeger() {
    let chain = one();
    let settings = text("deploy/observability.env");
    assert!(settings.contains("COMPOSE_PROFILES=observability"));
    assert!(settings.contains("OTEL_EXPORTER_OTLP_ENDPOINT=http://otel-collector:4318\n"));
    let config = yaml("deploy/otel-collector/config.yaml");
    assert_eq!(config["receivers"]["otlp"]["protocols"]["http"]["endpoint"], "0.0.0.0:4318");
    assert_eq!(
        config["exporters"]["otlphttp/jaeger"]["endpoint"],
        "${env:JAEGER_OTLP:-http://jaeger:4318}"
    );
    assert!(
        chain["services"]["jaeger"].is_object() && chain["services"]["otel-collector"].is_object()
    );
    for (signal, pipeline) in entries(&config["service"]["pipelines"]) {
        for (part, kind) in
            [("receivers", "receivers"), ("processors", "processors"), ("exporters", "exporters")]
        {
            for named in list(&pipeline[part]) {
                assert!(
                    config[kind]
                        .as_object()
                        .is_some_and(|k| k.contains_key(named.as_str().unwrap_or_default())),
                    "{signal}: {named}"
                );
            }
        }
    }
    // Unless asked for, nothing is exported to a collector that does not run.
    for (name, _, service) in onhand(&chain) {
        assert_eq!(environment(service)["OTEL_EXPORTER_OTLP_ENDPOINT"], "", "{name}");
    }
}

#[test]
fn grafana_finds_its_source_and_its_dashboard() {
    let sources = yaml("deploy/grafana/provisioning/datasources/prometheus.yml");
    let source = &sources["datasources"][0];
    assert_eq!(
        (&source["uid"], &source["url"]),
        (&json!("prometheus"), &json!("http://prometheus:9090"))
    );
    let folder = yaml("deploy/grafana/provisioning/dashboards/onhand.yml");
    let folder = plain(&folder["providers"][0]["options"]["path"]);
    let mounts: Vec<Value> = list(&one()["services"]["grafana"]["volumes"]).cloned().collect();
    assert!(
        mounts.contains(&json!(format!("./deploy/grafana/onhand.json:{folder}/onhand.json:ro")))
    );
}

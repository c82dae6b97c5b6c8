//! `deploy/kubernetes`: the pieces fit each other and the program. `scripts/check-deploy` has kustomize build it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::files::{documents, entries, list, path, plain, yaml};
use crate::program::assert_understood;

const FILES: [&str; 5] = [
    "chain/namespace.yaml",
    "chain/settings.yaml",
    "chain/centres.yaml",
    "chain/network.yaml",
    "store-group/stores.yaml",
];
const KUSTOMIZATIONS: [&str; 5] =
    ["chain", "store-group", "example", "example/north", "example/south"];

fn all() -> Vec<Value> {
    FILES.iter().flat_map(|file| documents(&format!("deploy/kubernetes/{file}"))).collect()
}

fn of_kind(kind: &str) -> Vec<Value> {
    all().into_iter().filter(|object| object["kind"] == kind).collect()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("a name")
}

fn kustomization(folder: &str) -> Value {
    yaml(&format!("deploy/kubernetes/{folder}/kustomization.yaml"))
}

/// Whether every label that is asked for is there.
fn selects(selector: &Value, labels: &Value) -> bool {
    entries(selector).count() > 0 && entries(selector).all(|(label, value)| labels[label] == *value)
}

/// Settings of a container: the chain's, and its own as a pod of that name gets them.
fn settings(set: &Value) -> BTreeMap<String, String> {
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let mut settings = BTreeMap::new();
    for source in list(&container["envFrom"]) {
        let wanted = source["configMapRef"]["name"].as_str().expect("a ConfigMap");
        let maps = of_kind("ConfigMap");
        let map = maps
            .iter()
            .find(|map| name(map) == wanted)
            .unwrap_or_else(|| panic!("no ConfigMap {wanted}"));
        settings.extend(entries(&map["data"]).map(|(name, value)| (name.to_owned(), plain(value))));
    }
    for entry in list(&container["env"]) {
        let value = match entry["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some(field) => {
                assert_eq!(field, "metadata.name");
                format!("{}-north-0", name(set))
            }
            // As Kubernetes puts what stands before it in.
            None => settings.iter().fold(plain(&entry["value"]), |value, (name, earlier)| {
                value.replace(&format!("$({name})"), earlier)
            }),
        };
        settings.insert(plain(&entry["name"]), value);
    }
    settings
}

#[test]
fn every_setting_of_a_pod_is_one_of_the_program_and_understood() {
    for set in of_kind("StatefulSet") {
        let container = &set["spec"]["template"]["spec"]["containers"][0];
        let command = container["args"][0].as_str().expect("a command");
        let mut settings = settings(&set);
        let id = if command == "store" { "ONHAND_STORE_ID" } else { "ONHAND_CENTRE_ID" };
        assert!(settings.contains_key(id), "{}: each pod its own name", name(&set));
        assert_understood(name(&set), command, &settings);
        // What the groups of the example add.
        for group in ["north", "south"] {
            let kustomization = kustomization(&format!("example/{group}"));
            let patch = plain(&kustomization["patches"][0]["patch"]);
            let patch: Value = serde_saphyr::from_str(&patch).expect("a patch");
            for added in list(&patch).map(|operation| &operation["value"]) {
                settings.insert(plain(&added["name"]), plain(&added["value"]));
            }
            if command == "store" {
                assert!(settings.contains_key("ONHAND_LOCATION"));
                assert_understood(group, command, &settings);
            }
        }
    }
}

#[test]
fn a_pod_may_do_nothing_but_its_work() {
    let namespace = &of_kind("Namespace")[0];
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    for set in of_kind("StatefulSet") {
        let pod = &set["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["enableServiceLinks"], false, "ONHAND_PORT is a setting of ours");
        let context = &pod["securityContext"];
        assert_eq!(context["runAsNonRoot"], true);
        assert_eq!(context["runAsUser"], 65532, "as the image");
        assert_eq!(context["fsGroup"], 65532, "or it could not write its disk");
        assert_eq!(context["seccompProfile"], json!({"type": "RuntimeDefault"}));
        for container in list(&pod["containers"]) {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
            assert!(container["resources"]["requests"]["memory"].is_string());
            assert!(container["resources"]["limits"]["memory"].is_string());
        }
    }
}

#[test]
fn every_pod_reads_the_keys_of_a_secret_that_is_not_shipped() {
    assert!(of_kind("Secret").is_empty());
    for set in of_kind("StatefulSet") {
        let pod = &set["spec"]["template"]["spec"];
        let keys = json!({
            "name": "keys", "secret": { "secretName": "onhand-keys", "defaultMode": 0o440 },
        });
        assert_eq!(pod["volumes"][0], keys, "readable to its group, as the program wants it");
        let mount = &pod["containers"][0]["volumeMounts"][1];
        assert_eq!(*mount, json!({ "name": "keys", "mountPath": "/keys", "readOnly": true }));
        assert!(settings(&set)["ONHAND_TOKEN_KEYS"].starts_with("/keys/"));
    }
}

/// Where a path in a container comes from: the Secret and its key, as a pod of this name has it.
fn secret_of(pod: &Value, path: &str, id: &str) -> Option<(String, String)> {
    for mount in list(&pod["containers"][0]["volumeMounts"]) {
        let mut volumes = list(&pod["volumes"]);
        let Some(volume) = volumes.find(|volume| volume["name"] == mount["name"]) else {
            continue;
        };
        if let Some(file) = mount["subPathExpr"].as_str() {
            if plain(&mount["mountPath"]) == path {
                let key = file.replace("$(ONHAND_STORE_ID)", id);
                return Some((plain(&volume["secret"]["secretName"]), key));
            }
            continue;
        }
        let Some(file) = path.strip_prefix(&format!("{}/", plain(&mount["mountPath"]))) else {
            continue;
        };
        for source in list(&volume["projected"]["sources"]).map(|source| &source["secret"]) {
            let item = list(&source["items"]).find(|item| item["path"] == file);
            if let Some(item) = item {
                return Some((plain(&source["name"]), plain(&item["key"])));
            }
            if source["items"].is_null() && !file.contains('/') {
                return Some((plain(&source["name"]), file.to_owned()));
            }
        }
    }
    None
}

#[test]
fn every_pod_signs_with_its_own_key_and_has_those_it_asks_for() {
    let named = |secret: &str, key: &str| Some((secret.to_owned(), key.to_owned()));
    let (stores, centres) = ("onhand-store-keys", "onhand-centre-keys");
    for set in of_kind("StatefulSet") {
        let pod = &set["spec"]["template"]["spec"];
        for volume in list(&pod["volumes"]) {
            let modes = [&volume["secret"]["defaultMode"], &volume["projected"]["defaultMode"]];
            assert!(modes.iter().any(|mode| **mode == 0o440), "{volume}: not for others to read");
        }
        let (settings, is_store) = (settings(&set), name(&set) == "store");
        let (id, own) = (format!("{}-north-0", name(&set)), &settings["ONHAND_RECORD_KEY"]);
        let folder = &settings["ONHAND_RECORD_KEYS"];
        if is_store {
            assert_eq!(secret_of(pod, own, &id), named(stores, "store-north-0.key"));
            assert_eq!(secret_of(pod, &format!("{folder}/A.key"), &id), None, "no other store's");
        } else {
            assert_eq!(*own, format!("{folder}/centres/{id}.key"));
            assert_eq!(secret_of(pod, &format!("{folder}/A.key"), &id), named(stores, "A.key"));
        }
        // As many centres as the example has.
        let count = kustomization("example")["replicas"][0]["count"].as_u64().expect("a number");
        for centre in 0..count {
            let path = format!("{folder}/centres/centre-{centre}.key");
            let key = format!("centre-{centre}.key");
            assert_eq!(secret_of(pod, &path, &id), named(centres, &key));
        }
    }
}

#[test]
fn services_budgets_and_rules_select_the_pods_they_mean() {
    let sets = of_kind("StatefulSet");
    for set in &sets {
        let labels = &set["spec"]["template"]["metadata"]["labels"];
        assert!(selects(&set["spec"]["selector"]["matchLabels"], labels), "{}", name(set));
        let service = set["spec"]["serviceName"].as_str().expect("a service");
        let services = of_kind("Service");
        let headless = services
            .iter()
            .find(|found| name(found) == service)
            .unwrap_or_else(|| panic!("no {service}"));
        assert_eq!(headless["spec"]["clusterIP"], "None", "{service} gives each pod a name");
        let budgets = of_kind("PodDisruptionBudget");
        let budget = budgets
            .iter()
            .find(|budget| selects(&budget["spec"]["selector"]["matchLabels"], labels));
        assert_eq!(budget.expect("a budget")["spec"]["maxUnavailable"], 1);
        let reached = of_kind("NetworkPolicy")
            .iter()
            .any(|rule| selects(&rule["spec"]["podSelector"]["matchLabels"], labels));
        assert!(reached, "nobody may call {}", name(set));
    }
    for service in of_kind("Service") {
        let found = sets.iter().filter(|set| {
            selects(&service["spec"]["selector"], &set["spec"]["template"]["metadata"]["labels"])
        });
        assert_eq!(found.count(), 1, "{} selects one kind of pod", name(&service));
    }
}

#[test]
fn ports_probes_and_disks_fit() {
    for set in of_kind("StatefulSet") {
        let template = &set["spec"]["template"];
        let container = &template["spec"]["containers"][0];
        let settings = settings(&set);
        let port = plain(&container["ports"][0]["containerPort"]);
        assert!(settings["ONHAND_LISTEN"].ends_with(&format!(":{port}")));
        assert_eq!(template["metadata"]["annotations"]["prometheus.io/port"], port.as_str());
        assert_eq!(template["metadata"]["annotations"]["prometheus.io/path"], "/metrics");
        for (probe, asked) in
            [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
        {
            let get = &container[probe]["httpGet"];
            assert_eq!(
                (&get["path"], &get["port"]),
                (&json!(asked), &container["ports"][0]["name"]),
                "{probe}"
            );
        }
        let disk = &set["spec"]["volumeClaimTemplates"][0];
        assert_eq!(
            disk["spec"]["accessModes"],
            json!(["ReadWriteOncePod"]),
            "one process, one journal"
        );
        let mount = &container["volumeMounts"][0];
        assert_eq!(
            (mount["name"].as_str(), mount["mountPath"].as_str()),
            (Some(name(disk)), Some(settings["ONHAND_DATA_DIR"].as_str()))
        );
        for service in of_kind("Service") {
            assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
        }
        for rule in of_kind("NetworkPolicy") {
            for inward in list(&rule["spec"]["ingress"]) {
                assert_eq!(plain(&inward["ports"][0]["port"]), port, "{}", name(&rule));
            }
        }
    }
}

#[test]
fn kustomizations_name_what_is_there_and_the_image_of_this_version() {
    for folder in KUSTOMIZATIONS {
        let kustomization = kustomization(folder);
        for resource in list(&kustomization["resources"]).map(plain) {
            assert!(
                path(&format!("deploy/kubernetes/{folder}/{resource}")).exists(),
                "{folder}: {resource}"
            );
        }
        for image in list(&kustomization["images"]) {
            assert_eq!(
                (&image["name"], &image["newTag"]),
                (&json!("onhand"), &json!(env!("CARGO_PKG_VERSION"))),
                "{folder}"
            );
        }
        let known = all();
        let named = list(&kustomization["patches"]).map(|patch| &patch["target"]["name"]);
        for wanted in
            named.chain(list(&kustomization["replicas"]).map(|replicas| &replicas["name"]))
        {
            assert!(
                known.iter().any(|object| object["metadata"]["name"] == *wanted),
                "{folder}: {wanted}"
            );
        }
    }
}

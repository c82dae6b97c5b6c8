//! Secrets planted in every source, and everything that services say at the highest level of detail.

use std::path::Path;
use std::process::Stdio;

use reqwest::Client;
use serde_json::json;

use crate::chain::write_private;
use crate::running::{Running, free_port, onhand, run, said, start_with};

/// Secrets, each by the place it was planted in.
struct Planted(Vec<(&'static str, String)>);

impl Planted {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn plant(&mut self, place: &'static str, secret: &str) -> String {
        self.0.push((place, secret.to_owned()));
        secret.to_owned()
    }

    /// The secrets of a key file that was made.
    fn dig(&mut self, place: &'static str, file: &Path) {
        let text = std::fs::read_to_string(file).unwrap();
        let secrets = text.lines().filter_map(|line| line.split_once(' '));
        self.0.extend(secrets.map(|(_kid, secret)| (place, secret.to_owned())));
    }

    #[track_caller]
    fn not_in(&self, what: &str, text: &str) {
        assert!(!self.0.is_empty() && !text.is_empty(), "{what}: nothing to look for or in");
        for (place, secret) in &self.0 {
            // Also not a part of it that is long enough to help.
            let part = secret.get(secret.len() / 4..secret.len() * 3 / 4).unwrap();
            let at = text.find(part);
            let around = at.map(|at| text.get(at.saturating_sub(200)..at));
            assert!(at.is_none(), "{what} has the secret of {place}, behind: {around:?}");
        }
    }
}

struct Chain {
    planted: Planted,
    folder: tempfile::TempDir,
    services: Vec<(Running, String)>,
}

impl Chain {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let mut planted = Planted::new();
        let (keys, own, others) = (path("tokens.key"), path("own.key"), path("others"));
        std::fs::create_dir(&others).unwrap();
        let other = path("others/B.key");
        for file in [&keys, &own, &other] {
            assert!(run(&["key", file]).status.success());
            planted.dig("a key file", Path::new(file));
        }
        let password = path("password");
        write_private(
            Path::new(&password),
            &planted.plant("the brokers", "sasl-planted-a8d1c0ffee"),
        );
        let headers = planted.plant("the collector", "otlp-planted-77aa01beef42");
        let otlp = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1".to_owned()),
            ("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer {headers}")),
            ("ONHAND_LOG", "trace".to_owned()),
        ];
        let broker = [
            "--kafka",
            "127.0.0.1:1",
            "--kafka-security-protocol",
            "sasl_plaintext",
            "--kafka-sasl-mechanism",
            "PLAIN",
            "--kafka-sasl-username",
            "store-a",
            "--kafka-sasl-password-file",
            &password,
        ];
        let secrets =
            ["--token-keys", &keys, "--record-key", &own, "--record-keys", &others, "--listen"];
        let store: &[_] = &["store", "--store-id", "A", "--witness-wait-ms", "0"];
        let mut services = Vec::new();
        for (service, name) in [(store, "store"), (&["central"], "central")] {
            let listen = format!("127.0.0.1:{}", free_port());
            let (data, log) = (path(name), folder.path().join(format!("{name}.log")));
            let args =
                [service, &broker[..], &secrets[..], &[&listen, "--data-dir", &data]].concat();
            services.push((start_with(&args, &otlp, &log), listen));
        }
        for (service, listen) in &mut services {
            service.answers(listen).await;
        }
        Self { planted, folder, services }
    }

    fn token(&mut self, scope: &str) -> String {
        let keys = self.folder.path().join("tokens.key");
        let keys = keys.to_str().unwrap();
        let made = run(&["token", "--key", keys, "--subject", "ops", "--scope", scope]);
        let token = String::from_utf8(made.stdout).unwrap();
        self.planted.plant("a token", token.trim())
    }
}

/// What callers send, well or badly, with a token.
async fn ask_everything(address: &str, token: &str) -> String {
    let client = Client::new();
    let (mut answers, base) = (String::new(), format!("http://{address}"));
    let sale = json!({"storeId": "A", "sku": "X", "delta": 1});
    let policy = json!({"units": 1, "sku": "X"});
    for (method, path, body) in [
        ("GET", "/api/stores", None),
        ("GET", "/api/query/inventory/store/A", None),
        ("GET", "/api/none", None),
        ("GET", "/metrics", None),
        ("GET", "/api/openapi.json", None),
        ("POST", "/api/commands/inventory/adjust", Some(sale.to_string())),
        ("POST", "/api/commands/inventory/adjust", Some("{".to_owned())),
        ("PUT", "/api/policies/safety-stock", Some(policy.to_string())),
        ("POST", "/api/sync", Some("{}".to_owned())),
    ] {
        let method = method.parse().unwrap();
        let mut request = client.request(method, format!("{base}{path}")).bearer_auth(token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.unwrap();
        answers.push_str(&format!("{:?}\n", answer.headers()));
        answers.push_str(&answer.text().await.unwrap());
    }
    answers
}

#[tokio::test]
async fn planted_secrets_are_in_no_log_answer_metric_or_audit() {
    let mut chain = Chain::start().await;
    let all = chain.token("stock:read,stock:write,reservations:write,staff,admin");
    let forged = chain.planted.plant("a bad token", "ey-planted-0123456789abcdef.payload.sign");
    let mut told = String::new();
    for (_service, address) in &chain.services {
        told.push_str(&ask_everything(address, &all).await);
        told.push_str(&ask_everything(address, &forged).await);
    }
    chain.planted.not_in("an answer", &told);
    for (service, _address) in chain.services.drain(..) {
        let log = service.log.clone();
        // Its last lines are those of its end.
        service.stop();
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains("TRACE") || log.contains("\"level\":\"TRACE\""), "not all was said");
        chain.planted.not_in("a log", &log);
    }
    for name in ["store", "central"] {
        let audit = std::fs::read_to_string(chain.folder.path().join(name).join("audit.jsonl"));
        let audit = audit.unwrap();
        assert!(audit.contains("\"principal\":\"ops\""), "{audit}");
        chain.planted.not_in("the audit log", &audit);
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_refused_without_being_repeated() {
    let mut planted = Planted::new();
    let secret = planted.plant("the command line", "planted-5eaf00d5eaf00d");
    let base = ["store", "--store-id", "A", "--kafka", "127.0.0.1:1", "--data-dir", "/nowhere"];
    for wrong in [
        ["--jwks".to_owned(), format!("https://u:{secret}@issuer.example/keys")],
        ["--kafka-property".to_owned(), format!("sasl.password={secret}")],
        ["--kafka-property".to_owned(), format!("ssl.key.password={secret}")],
    ] {
        let args: Vec<&str> = base.into_iter().chain(wrong.iter().map(String::as_str)).collect();
        let refused = run(&args);
        assert_eq!(refused.status.code(), Some(64), "{}", said(&refused));
        planted.not_in(&wrong[0], &said(&refused));
    }
    let help = onhand()
        .args(["store", "--help"])
        .env("ONHAND_JWKS", format!("https://u:{secret}@issuer.example/keys"))
        .env("ONHAND_KAFKA_PROPERTIES", format!("sasl.password={secret}"))
        .stderr(Stdio::null())
        .output()
        .unwrap();
    planted.not_in("--help", &String::from_utf8(help.stdout).unwrap());
}

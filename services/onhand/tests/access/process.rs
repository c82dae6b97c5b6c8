//! Whole processes: where they listen without keys, and keys that change while they run.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::running::{PATIENCE, free_port, run, said, start};

async fn status(port: u16, token: Option<&str>) -> u16 {
    let url = format!("http://127.0.0.1:{port}/api/query/inventory/store/A/X");
    let mut request = reqwest::Client::new().get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap().status().as_u16()
}

/// A way to start a service: the address that matters is the main one, or that for operators.
#[derive(Debug, Clone, Copy)]
struct Start {
    service: &'static [&'static str],
    address: &'static str,
    keys: bool,
    admin: bool,
}

/// Every combination.
fn starts() -> Vec<Start> {
    let store: &[_] =
        &["store", "--store-id", "A", "--kafka", "127.0.0.1:1", "--witness-wait-ms", "0"];
    let central: &[_] = &["central", "--kafka", "127.0.0.1:1"];
    let mut all = Vec::new();
    for service in [store, central] {
        for address in ["127.0.0.1", "[::1]", "0.0.0.0", "[::]"] {
            for (keys, admin) in [(false, false), (false, true), (true, false), (true, true)] {
                all.push(Start { service, address, keys, admin });
            }
        }
    }
    all
}

#[tokio::test]
async fn without_keys_a_service_serves_its_own_machine_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let keys = path("tokens.key");
    assert!(run(&["key", &keys]).status.success());
    let mut serving = Vec::new();
    for start_as in starts() {
        let Start { service, address, keys: with_keys, admin } = start_as;
        let (port, own) = (free_port(), free_port());
        let (listen, own_listen) = (format!("{address}:{port}"), format!("127.0.0.1:{own}"));
        let data = path(&port.to_string());
        let mut args = [service, &["--data-dir", &data][..]].concat();
        if admin {
            args.extend(["--listen", &own_listen, "--admin-listen", &listen]);
        } else {
            args.extend(["--listen", &listen]);
        }
        if with_keys {
            args.extend(["--token-keys", &keys]);
        }
        if with_keys || address == "127.0.0.1" || address == "[::1]" {
            let log = folder.path().join(format!("{port}.log"));
            let asked = if admin || address != "[::1]" {
                format!("127.0.0.1:{}", if admin { own } else { port })
            } else {
                listen.clone()
            };
            serving.push((start(&args, &log), asked, start_as));
            continue;
        }
        // TLS tells the caller who answers, and a certificate which store calls: neither is a key.
        let tls = ["--tls-cert", "c", "--tls-key", "k", "--tls-client-ca", "a"];
        for args in [args.clone(), [&args[..], &tls].concat()] {
            let refused = run(&args);
            assert_eq!(refused.status.code(), Some(64), "{start_as:?}");
            let told = said(&refused);
            assert!(told.contains("onhand key") && told.contains("--token-keys"), "{told}");
            assert!(!Path::new(&data).exists(), "nothing was opened");
        }
    }
    // A chain for trying things out has no address to be given.
    assert_eq!(run(&["dev", "--listen", "0.0.0.0:1"]).status.code(), Some(64));
    for (mut running, asked, start_as) in serving {
        running.answers(&asked).await;
        let log = std::fs::read_to_string(&running.log).unwrap();
        let warned = log.contains("nobody is asked who they are");
        assert_eq!(warned, !start_as.keys, "{start_as:?}: {log}");
    }
}

#[tokio::test]
async fn a_key_is_rotated_while_a_store_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let keys = path("tokens.key");
    let token = || {
        let made = run(&["token", "--key", &keys, "--subject", "x", "--scope", "stock:read"]);
        assert!(made.status.success(), "{}", said(&made));
        assert!(made.stderr.is_empty(), "{}", said(&made));
        let text = String::from_utf8(made.stdout).unwrap();
        assert_eq!(text.lines().count(), 1);
        text.trim().to_owned()
    };
    assert!(run(&["key", &keys]).status.success());
    let old = token();
    let (port, data) = (free_port(), path("A"));
    let listen = format!("127.0.0.1:{port}");
    let mut running = start(
        &[
            "store",
            "--store-id",
            "A",
            "--kafka",
            "127.0.0.1:1",
            "--witness-wait-ms",
            "0",
            "--data-dir",
            &data,
            "--listen",
            &listen,
            "--token-keys",
            &keys,
            "--log",
            "debug",
        ],
        &folder.path().join("log"),
    );
    running.answers(&listen).await;
    assert_eq!((status(port, None).await, status(port, Some(&old)).await), (401, 200));

    assert!(run(&["key", &keys, "--rotate"]).status.success());
    let new = token();
    let becomes = async |token: &str, wanted: u16| {
        let deadline = Instant::now() + PATIENCE;
        while status(port, Some(token)).await != wanted {
            assert!(Instant::now() < deadline, "it stays otherwise than {wanted}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    becomes(&new, 200).await;
    assert_eq!(status(port, Some(&old)).await, 200, "what was signed before is still valid");

    let text = std::fs::read_to_string(&keys).unwrap();
    let secrets: Vec<_> =
        text.lines().filter_map(|line| line.split_once(' ')).map(|(_, secret)| secret).collect();
    let first = text.lines().find(|line| line.starts_with('k')).unwrap();
    crate::chain::write_private(Path::new(&keys), &format!("{first}\n"));
    becomes(&old, 401).await;
    assert_eq!(status(port, Some(&new)).await, 200);

    let log = std::fs::read_to_string(&running.log).unwrap();
    for secret in secrets.iter().copied().chain([old.as_str(), new.as_str()]) {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

#[test]
fn key_files_are_private_and_never_written_over() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.key");
    let file = path.to_str().unwrap();
    assert!(run(&["key", file, "--if-missing"]).status.success());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let made = std::fs::read_to_string(&path).unwrap();
    assert!(run(&["key", file, "--if-missing"]).status.success());
    let refused = run(&["key", file]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("--rotate"), "{}", said(&refused));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), made);
    for _rotation in 0..15 {
        assert!(run(&["key", file, "--rotate"]).status.success());
    }
    assert!(std::fs::read_to_string(&path).unwrap().ends_with(&made));
    assert_eq!(run(&["key", file, "--rotate"]).status.code(), Some(1), "a ring has 16 keys");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "no draft is left behind");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let token = ["token", "--key", file, "--subject", "x", "--scope", "admin"];
    assert!(said(&run(&token)).contains("chmod 600"));
    assert_eq!(run(&["token", "--key", file, "--subject", "x"]).status.code(), Some(64));
    let forever = [&token[..], &["--valid", "367d"]].concat();
    assert_eq!(run(&forever).status.code(), Some(64));
}

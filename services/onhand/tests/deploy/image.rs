//! `deploy/Dockerfile` and what it copies.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Command;

use crate::files::{path, text};

#[test]
fn the_image_is_built_by_the_repository_s_toolchain_and_from_one_version_of_its_bases() {
    let file = text("deploy/Dockerfile");
    let toolchain = text("rust-toolchain.toml");
    let channel = toolchain.split('"').nth(1).expect("a channel");
    let bases: Vec<_> = file.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert_eq!(bases.len(), 2, "one that builds, one that runs");
    assert!(bases[0].starts_with(&format!("rust:{channel}-")), "{} is not {channel}", bases[0]);
    assert!(file.contains(&format!("RUSTUP_TOOLCHAIN={channel}\n")));
    for base in bases {
        let tag = base.split(' ').next().and_then(|image| image.split(':').nth(1)).expect("a tag");
        assert!(tag.chars().filter(char::is_ascii_digit).count() >= 3, "{base} is not one version");
    }
    assert!(file.contains("--locked") && file.contains("\nUSER 65532:65532\n"));
}

#[test]
fn the_build_is_given_what_it_reads_and_nothing_else() {
    let ignore = text(".dockerignore");
    let mut lines = ignore.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"), "nothing, but for");
    let given: Vec<_> = lines.map(|line| line.strip_prefix('!').expect("an exception")).collect();
    for name in [
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
        "shared-events",
        "services",
        "deploy/onhand-ready",
    ] {
        assert!(given.contains(&name), "{name} is not given");
    }
    for name in given {
        assert!(path(name).exists(), "{name} is not there");
    }
}

/// Runs the health check against a listener that answers with this status.
fn ready(status: &'static str) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        // To the end of its headers: what is left unread would reset the connection.
        let asked: Vec<_> = BufReader::new(&stream)
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").expect("an answer");
        asked
    });
    let ran = Command::new(path("deploy/onhand-ready")).arg(port).status().expect("bash");
    let asked = answering.join().expect("an answer was given");
    assert_eq!(asked[0], "GET /readyz HTTP/1.1");
    ran.success()
}

#[test]
fn the_health_check_says_what_readyz_says() {
    assert!(ready("200 OK"));
    assert!(!ready("503 Service Unavailable"));
    let free =
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let nobody =
        Command::new(path("deploy/onhand-ready")).arg(free.to_string()).output().expect("bash");
    assert!(!nobody.status.success(), "nobody listens there");
}

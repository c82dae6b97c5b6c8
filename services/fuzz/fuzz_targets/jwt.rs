//! Any token, and any claims in a well-signed one: refused, or somebody who has a name, a time and our
//! issuer's word.
//!
//! Input: claims as JSON; the same bytes are also tried as the token itself.
#![no_main]

use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;

use access::Tokens;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use service_kit::key_file::KeyFile;
use tokio::runtime::{Builder, Runtime};

struct Service {
    runtime: Runtime,
    tokens: Tokens,
    key: EncodingKey,
}

static SERVICE: LazyLock<Service> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    std::fs::write(&path, format!("k {}\n", "A".repeat(43))).expect("a file");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, private).expect("private");
    let keys = KeyFile::open(&path).expect("keys");
    let key = EncodingKey::from_secret(keys.ring().signing().secret());
    let tokens = Tokens::new(Some(keys), None, "onhand".to_owned(), "onhand".to_owned());
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    Service { runtime, tokens, key }
});

fuzz_target!(|input: &[u8]| {
    let service = &*SERVICE;
    if let Ok(token) = std::str::from_utf8(input) {
        let untrusted = service.runtime.block_on(service.tokens.principal(token));
        assert!(untrusted.is_err(), "nobody has the key");
    }
    let Ok(claims) = serde_json::from_slice::<Value>(input) else { return };
    let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::HS256) };
    let Ok(token) = encode(&header, &claims, &service.key) else { return };
    if let Ok(principal) = service.runtime.block_on(service.tokens.principal(&token)) {
        assert!(claims["exp"].is_number() && claims["iss"] == "onhand", "{claims}");
        assert_eq!(claims["sub"].as_str(), principal.subject.as_ref().map(|name| name.as_str()));
        let ours = |aud: &Value| aud == "onhand";
        let aud = &claims["aud"];
        assert!(ours(aud) || aud.as_array().is_some_and(|all| all.iter().any(ours)), "{claims}");
    }
});

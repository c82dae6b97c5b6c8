//! What a token costs a request: `cargo run --release -p access --example token_cost`.
#![expect(clippy::print_stdout, reason = "it tells its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use access::Tokens;
use access::jwks::{KeySet, Pace};
use jsonwebtoken::{Algorithm, EncodingKey};
use service_kit::key_file::KeyFile;

#[path = "../tests/it/support.rs"]
#[expect(dead_code, clippy::unwrap_used, clippy::indexing_slicing, reason = "the tests' support")]
mod support;
use support::{Keys, Pair, but, header_of, set_of, signed};

/// Tokens of one measurement.
const TOKENS: u32 = 2_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let pairs = [
        Pair::new(Algorithm::RS256, "r"),
        Pair::new(Algorithm::ES256, "e"),
        Pair::new(Algorithm::EdDSA, "d"),
    ];
    let files = Keys::new();
    let path = files.folder.path().join("jwks.json");
    std::fs::write(&path, set_of(&pairs.each_ref())).expect("a file");
    let source = path.to_str().expect("UTF-8").parse().expect("a file");
    let pace = Pace { every: Duration::from_secs(3_600), cooldown: Duration::from_secs(3_600) };
    let set = KeySet::follow(source, pace, None).await.expect("a key set");
    let file = KeyFile::open(&files.file).expect("a key file");
    let tokens = Tokens::new(Some(file), Some(set), "onhand".to_owned(), "onhand".to_owned());
    let secret = EncodingKey::from_secret(&[0; 32]);
    let kinds = pairs.iter().map(|pair| (pair.algorithm, pair.kid(), &pair.key));
    for (algorithm, kid, key) in kinds.chain([(Algorithm::HS256, "k1", &secret)]) {
        // Each of another subject, so that each is seen for the first time.
        let minted: Vec<_> = (0..TOKENS)
            .map(|number| {
                let claims = but(&serde_json::json!({ "sub": format!("till-{number}") }));
                signed(&header_of(algorithm, kid), &claims, key)
            })
            .collect();
        for time in ["first", "again"] {
            let began = Instant::now();
            for token in &minted {
                assert!(black_box(tokens.principal(black_box(token)).await).is_ok());
            }
            let each = began.elapsed() / TOKENS;
            let tenths = each.as_nanos() / 100;
            println!("{algorithm:?}, {time}: {}.{} us", tenths / 10, tenths % 10);
        }
    }
}

//! Keys of an issuer: of three kinds, rotated, away, slow, and not what they should be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use access::Tokens;
use access::jwks::{KeySet, Pace, Source};
use access::tokens::Untrusted;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jsonwebtoken::{Algorithm, EncodingKey};
use service_kit::key_file::KeyFile;

use crate::support::{Keys, Pair, claims, header_of, ours, set_of, signed};

/// An issuer that can be told what to answer, and counts how often it is asked.
#[derive(Clone, Default)]
struct Issuer {
    says: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

async fn keys(State(issuer): State<Issuer>) -> Response {
    issuer.asked.fetch_add(1, Ordering::SeqCst);
    let says = issuer.says.lock().unwrap().clone();
    match says.as_deref() {
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some("slow") => std::future::pending().await,
        Some("elsewhere") => (StatusCode::FOUND, [(header::LOCATION, "/keys2")]).into_response(),
        Some(text) => text.to_owned().into_response(),
    }
}

impl Issuer {
    fn says(&self, text: &str) {
        *self.says.lock().unwrap() = Some(text.to_owned());
    }

    fn is_away(&self) {
        *self.says.lock().unwrap() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Starts it; gives its address.
    async fn open(&self) -> Source {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(keys).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/keys").parse().unwrap()
    }

    async fn tokens(&self, cooldown: Duration) -> Tokens {
        let pace = Pace { every: Duration::from_secs(3_600), cooldown };
        believing(KeySet::follow(self.open().await, pace, None).await.unwrap())
    }
}

fn believing(set: Arc<KeySet>) -> Tokens {
    Tokens::new(None, Some(set), "onhand".to_owned(), "onhand".to_owned())
}

fn is_invalid(answer: &Result<access::Principal, Untrusted>) -> bool {
    matches!(answer, Err(Untrusted::Invalid(_)))
}

#[tokio::test]
async fn each_kind_of_key_is_believed_for_its_own_algorithm() {
    let pairs = [
        Pair::new(Algorithm::RS256, "r"),
        Pair::new(Algorithm::ES256, "e"),
        Pair::new(Algorithm::EdDSA, "d"),
    ];
    let issuer = Issuer::default();
    issuer.says(&set_of(&pairs.each_ref()));
    let tokens = issuer.tokens(Duration::ZERO).await;
    for pair in &pairs {
        assert!(tokens.principal(&pair.token()).await.is_ok(), "{:?}", pair.algorithm);
        for other in &pairs {
            if other.algorithm != pair.algorithm {
                let kid = other.published["kid"].as_str().unwrap();
                let token = signed(&header_of(pair.algorithm, kid), &claims(), &pair.key);
                assert!(is_invalid(&tokens.principal(&token).await), "{kid}");
            }
        }
    }
    let rsa = &pairs[0];
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let token = signed(&header_of(algorithm, "r"), &claims(), &rsa.key);
        assert!(is_invalid(&tokens.principal(&token).await), "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_public_key_is_never_taken_for_a_secret() {
    let pair = Pair::new(Algorithm::RS256, "r");
    let files = Keys::new();
    let issuer = Issuer::default();
    // Even a set that offers a secret of its own.
    let mut set: serde_json::Value = serde_json::from_str(&set_of(&[&pair])).unwrap();
    set["keys"].as_array_mut().unwrap().push(
        serde_json::json!({ "kty": "oct", "kid": "o", "alg": "HS256", "k": crate::support::SECRET }),
    );
    issuer.says(&set.to_string());
    let pace = Pace { every: Duration::from_secs(3_600), cooldown: Duration::ZERO };
    let set = KeySet::follow(issuer.open().await, pace, None).await.unwrap();
    let file = KeyFile::open(&files.file).unwrap();
    let tokens = Tokens::new(Some(file), Some(set), "onhand".to_owned(), "onhand".to_owned());
    let modulus = pair.published["n"].as_str().unwrap();
    let text = pair.published.to_string();
    for secret in [modulus.as_bytes(), text.as_bytes(), &[0; 32]] {
        for kid in ["r", "o"] {
            let key = EncodingKey::from_secret(secret);
            let token = signed(&header_of(Algorithm::HS256, kid), &claims(), &key);
            assert!(is_invalid(&tokens.principal(&token).await), "{kid}");
        }
    }
    assert!(tokens.principal(&pair.token()).await.is_ok());
    assert!(tokens.principal(&ours(&claims())).await.is_ok());
    // And without a key file no secret is believed at all.
    let only_set = issuer.tokens(Duration::ZERO).await;
    assert!(is_invalid(&only_set.principal(&ours(&claims())).await));
}

#[tokio::test]
async fn a_flood_of_unknown_names_asks_the_issuer_once_in_a_cooldown() {
    let pair = Pair::new(Algorithm::EdDSA, "d");
    let issuer = Issuer::default();
    issuer.says(&set_of(&[&pair]));
    let tokens = Arc::new(issuer.tokens(Duration::from_secs(3_600)).await);
    assert_eq!(issuer.asked(), 1);
    let flood = (0..200).map(|number| {
        let (tokens, kid) = (Arc::clone(&tokens), format!("made-up-{number}"));
        let token = signed(&header_of(Algorithm::EdDSA, &kid), &claims(), &pair.key);
        tokio::spawn(async move { tokens.principal(&token).await })
    });
    for answer in flood.collect::<Vec<_>>() {
        assert!(is_invalid(&answer.await.unwrap()));
    }
    assert_eq!(issuer.asked(), 1, "the start was within the cooldown");
    assert!(tokens.principal(&pair.token()).await.is_ok());

    let eager = Arc::new(issuer.tokens(Duration::ZERO).await);
    let token = signed(&header_of(Algorithm::EdDSA, "made-up"), &claims(), &pair.key);
    assert!(is_invalid(&eager.principal(&token).await));
    assert_eq!(issuer.asked(), 3, "without a cooldown it is asked again");
}

#[tokio::test]
async fn a_new_key_is_found_by_the_first_token_that_names_it() {
    let (old, new) = (Pair::new(Algorithm::ES256, "old"), Pair::new(Algorithm::ES256, "new"));
    let issuer = Issuer::default();
    issuer.says(&set_of(&[&old]));
    let tokens = issuer.tokens(Duration::ZERO).await;
    assert!(is_invalid(&tokens.principal(&new.token()).await));
    issuer.says(&set_of(&[&new, &old]));
    assert!(tokens.principal(&new.token()).await.is_ok());
    assert!(tokens.principal(&old.token()).await.is_ok());
    issuer.says(&set_of(&[&new]));
    let stranger = signed(&header_of(Algorithm::ES256, "x"), &claims(), &old.key);
    assert!(is_invalid(&tokens.principal(&stranger).await));
    assert!(is_invalid(&tokens.principal(&old.token()).await), "it was taken out");
}

/// What one key of a name verified says nothing of another, and a set that did not change changes nothing.
#[tokio::test]
async fn a_token_that_was_verified_goes_with_the_keys_that_verified_it() {
    let (old, new) = (Pair::new(Algorithm::ES256, "e"), Pair::new(Algorithm::ES256, "e"));
    let stranger = signed(&header_of(Algorithm::ES256, "x"), &claims(), &old.key);
    let issuer = Issuer::default();
    issuer.says(&set_of(&[&old]));
    let tokens = issuer.tokens(Duration::ZERO).await;
    let token = old.token();
    for _again in 0..3 {
        assert!(tokens.principal(&token).await.is_ok());
        // Has the set read anew.
        assert!(is_invalid(&tokens.principal(&stranger).await));
    }
    // A token of the same claims with another signature, or for another algorithm by its header, is
    // another token.
    let (said, signature) = token.rsplit_once('.').unwrap();
    let (_, claims) = said.split_once('.').unwrap();
    let broken = format!("{said}.{}", signature.chars().rev().collect::<String>());
    assert!(is_invalid(&tokens.principal(&broken).await));
    let (header, _) =
        new.token().split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(is_invalid(&tokens.principal(&format!("{header}.{claims}.{}", "A".repeat(86))).await));
    issuer.says(&set_of(&[&new]));
    assert!(is_invalid(&tokens.principal(&stranger).await));
    assert!(is_invalid(&tokens.principal(&token).await), "its key is another one now");
    assert!(tokens.principal(&new.token()).await.is_ok());
}

#[tokio::test]
async fn a_token_expires_although_it_was_verified() {
    let pair = Pair::new(Algorithm::EdDSA, "d");
    let issuer = Issuer::default();
    issuer.says(&set_of(&[&pair]));
    let tokens = issuer.tokens(Duration::ZERO).await;
    // Its time is over, but for what clocks may differ: by then it is not believed any more.
    let last = crate::support::seconds() - access::tokens::LEEWAY_SECONDS + 1;
    let token = signed(
        &header_of(Algorithm::EdDSA, "d"),
        &crate::support::but(&serde_json::json!({ "exp": last })),
        &pair.key,
    );
    let first = tokens.principal(&token).await;
    while crate::support::seconds() <= last + access::tokens::LEEWAY_SECONDS {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(tokens.principal(&token).await, Err(Untrusted::Expired), "at first: {first:?}");
}

#[tokio::test]
async fn the_last_good_set_goes_on_while_the_issuer_is_away_slow_or_talks_nonsense() {
    let pair = Pair::new(Algorithm::EdDSA, "d");
    let issuer = Issuer::default();
    issuer.says(&set_of(&[&pair]));
    let tokens = issuer.tokens(Duration::ZERO).await;
    let stranger = signed(&header_of(Algorithm::EdDSA, "x"), &claims(), &pair.key);
    let huge = format!("{}{}", set_of(&[&pair]), " ".repeat(300_000));
    let trouble =
        ["slow", "elsewhere", "nonsense", "{}", r#"{"keys":[]}"#, r#"{"keys":[7]}"#, &huge];
    for trouble in trouble {
        issuer.says(trouble);
        assert!(is_invalid(&tokens.principal(&stranger).await));
        assert!(tokens.principal(&pair.token()).await.is_ok(), "{trouble:.20}");
    }
    issuer.is_away();
    assert!(is_invalid(&tokens.principal(&stranger).await));
    assert!(tokens.principal(&pair.token()).await.is_ok());
}

#[tokio::test]
async fn a_service_starts_while_the_issuer_is_away_and_believes_nobody_until_it_is_back() {
    let pair = Pair::new(Algorithm::EdDSA, "d");
    let issuer = Issuer::default();
    let tokens = issuer.tokens(Duration::ZERO).await;
    assert_eq!(tokens.principal(&pair.token()).await, Err(Untrusted::NoKeys));
    issuer.says(&set_of(&[&pair]));
    assert!(tokens.principal(&pair.token()).await.is_ok());
}

#[tokio::test]
async fn a_set_in_a_file_is_read_anew_and_has_to_be_there_at_the_start() {
    let (old, new) = (Pair::new(Algorithm::ES256, "old"), Pair::new(Algorithm::ES256, "new"));
    let folder = Keys::new().folder;
    let path = folder.path().join("jwks.json");
    let source: Source = path.to_str().unwrap().parse().unwrap();
    let pace = Pace { every: Duration::from_secs(3_600), cooldown: Duration::ZERO };
    assert!(KeySet::follow(source.clone(), pace, None).await.is_err());
    std::fs::write(&path, set_of(&[&old])).unwrap();
    let tokens = believing(KeySet::follow(source, pace, None).await.unwrap());
    assert!(is_invalid(&tokens.principal(&new.token()).await));
    std::fs::write(&path, set_of(&[&new])).unwrap();
    assert!(tokens.principal(&new.token()).await.is_ok());
}

#[test]
fn a_key_set_is_a_file_or_a_web_address_without_a_password() {
    for good in ["keys.json", "/etc/keys", "https://id.example/keys", "http://10.0.0.1/keys"] {
        assert!(good.parse::<Source>().is_ok(), "{good}");
    }
    for bad in ["", "ftp://id.example", "file:///etc/passwd", "https://a:b@id.example", "https://"]
    {
        assert!(bad.parse::<Source>().is_err(), "{bad}");
    }
}

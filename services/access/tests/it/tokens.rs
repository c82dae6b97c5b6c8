//! Tokens of forgers, and tokens that are merely wrong.

use access::tokens::{LEEWAY_SECONDS, Untrusted};
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{
    Keys, ask, ask_with, but, claims, doors, header_of, ours, seconds, signed, write_private,
};

/// Asserts that a token is refused, without a word of why that could help a forger.
async fn refused(keys: &Keys, token: &str, why: &str) {
    let doors = doors(&keys.access(), None);
    let answer = ask(&doors.main, "GET /read", Some(token)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{why}: {}", answer.body);
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer error=\"invalid_token\"", "{why}");
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["code"], "unauthenticated");
    let told =
        ["the token is not valid here", "the token has expired", "the token is not valid yet"];
    assert!(told.contains(&problem["detail"].as_str().unwrap()), "{why}: {problem}");
}

fn by_hand(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test]
async fn a_token_of_ours_is_believed_and_says_who_asks() {
    let keys = Keys::new();
    let doors = doors(&keys.access(), None);
    let answer = ask(&doors.main, "GET /read", Some(&ours(&claims()))).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "till-7"));
    assert_eq!(answer.headers[header::VARY], "authorization");
    for scheme in ["bearer", "BEARER"] {
        let line = format!("{scheme} {}", ours(&claims()));
        let answer = ask_with(&doors.main, "GET /read", &[("authorization", &line)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{scheme}");
    }
    let several = ours(&but(&json!({ "aud": ["other", "onhand"] })));
    assert_eq!(ask(&doors.main, "GET /read", Some(&several)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn no_algorithm_is_no_signature() {
    let keys = Keys::new();
    for name in ["none", "None", "NONE", "nOnE", "", "HS999"] {
        for signature in ["", "AAAA"] {
            let header = json!({ "alg": name, "typ": "JWT", "kid": "k1" });
            refused(&keys, &by_hand(&header, &claims(), signature), name).await;
        }
    }
    refused(&keys, &by_hand(&json!({ "kid": "k1" }), &claims(), ""), "no alg").await;
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let key = EncodingKey::from_secret(&[0; 32]);
        let token = signed(&header_of(algorithm, "k1"), &claims(), &key);
        refused(&keys, &token, "an algorithm that is not on the list").await;
    }
}

#[tokio::test]
async fn what_a_token_says_is_checked_claim_by_claim() {
    let keys = Keys::new();
    let (now, far) = (seconds(), seconds() + 100_000);
    for (changes, why) in [
        (json!({ "aud": "other" }), "for somebody else"),
        (json!({ "aud": ["other"] }), "for others"),
        (json!({ "aud": [] }), "for nobody"),
        (json!({ "aud": null }), "no audience"),
        (json!({ "aud": 7 }), "an audience that is none"),
        (json!({ "iss": "other" }), "of somebody else"),
        (json!({ "iss": null }), "of nobody"),
        (json!({ "iss": ["onhand", "other"] }), "of several"),
        (json!({ "sub": null }), "about nobody"),
        (json!({ "sub": "" }), "about an empty name"),
        (json!({ "sub": "till 7" }), "about a name with a space"),
        (json!({ "sub": "x".repeat(129) }), "about a long name"),
        (json!({ "exp": null }), "without an end"),
        (json!({ "exp": far.to_string() }), "an end that is a text"),
        (json!({ "exp": -1 }), "an end before time"),
        (json!({ "exp": 1e30 }), "an end behind time"),
        (json!({ "exp": true }), "an end that is none"),
        (json!({ "exp": now - LEEWAY_SECONDS - 5 }), "over"),
        (json!({ "nbf": now + LEEWAY_SECONDS + 60 }), "not begun"),
        (json!({ "nbf": "0" }), "a beginning that is a text"),
        (json!({ "stores": [] }), "bound to no store"),
        (json!({ "stores": "A" }), "stores that are no list"),
        (json!({ "stores": ["A/B"] }), "a store that cannot be"),
        (json!({ "scope": ["stock:read"] }), "scopes that are no text"),
    ] {
        refused(&keys, &ours(&but(&changes)), why).await;
    }
    let twice = claims().to_string().replacen('{', r#"{"exp":1,"#, 1);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"k1"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(twice));
    let key = EncodingKey::from_secret(&[0; 32]);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    refused(&keys, &format!("{message}.{signature}"), "two ends").await;
}

#[tokio::test]
async fn clocks_may_differ_a_little() {
    let keys = Keys::new();
    let tokens = keys.tokens();
    let just_over = ours(&but(&json!({ "exp": seconds() - 5 })));
    assert!(tokens.principal(&just_over).await.is_ok());
    let about_to_begin = ours(&but(&json!({ "nbf": seconds() + 5 })));
    assert!(tokens.principal(&about_to_begin).await.is_ok());
    let over = ours(&but(&json!({ "exp": seconds() - LEEWAY_SECONDS - 5 })));
    assert_eq!(tokens.principal(&over).await, Err(Untrusted::Expired));
}

#[tokio::test]
async fn the_header_of_a_token_leads_nowhere() {
    let keys = Keys::new();
    let key = EncodingKey::from_secret(&[0; 32]);
    let good = header_of(Algorithm::HS256, "k1");
    let foreign = EncodingKey::from_secret(&[7; 32]);
    for (header, key, why) in [
        (Header::new(Algorithm::HS256), &key, "no kid"),
        (header_of(Algorithm::HS256, "k2"), &key, "an unknown kid"),
        (header_of(Algorithm::HS256, "../../dev/null"), &key, "a kid that is a path"),
        (header_of(Algorithm::HS256, "k1' OR '1'='1"), &key, "a kid that is a statement"),
        (header_of(Algorithm::HS256, ""), &key, "an empty kid"),
        (good.clone(), &foreign, "another secret"),
        (Header { crit: Some(vec!["b64".to_owned()]), ..good.clone() }, &key, "something critical"),
        (Header { typ: Some("dpop+jwt".to_owned()), ..good.clone() }, &key, "another type"),
        (Header { jku: Some("http://127.0.0.1:1/".to_owned()), ..good.clone() }, &foreign, "a jku"),
    ] {
        refused(&keys, &signed(&header, &claims(), key), why).await;
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused_whatever_its_size() {
    let keys = Keys::new();
    let long = ours(&but(&json!({ "padding": "x".repeat(8_192) })));
    assert!(long.len() > access::tokens::MAX_TOKEN_BYTES);
    refused(&keys, &long, "longer than 8 KiB").await;
    let nested = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let nested = format!("{0}.{0}.AAAA", URL_SAFE_NO_PAD.encode(nested));
    let whole = ours(&claims());
    let (message, _) = whole.rsplit_once('.').unwrap();
    for token in ["", ".", "..", "a.b", "a.b.c", "....", "x", &nested, message, &whole[1..]] {
        refused(&keys, token, token).await;
    }
    let flipped = whole.replacen('.', ".e", 1);
    refused(&keys, &flipped, "other claims under the signature").await;
}

#[tokio::test]
async fn a_request_has_one_token_in_one_header() {
    let keys = Keys::new();
    let doors = doors(&keys.access(), None);
    let line = format!("Bearer {}", ours(&claims()));
    for lines in [
        &[][..],
        &[("authorization", line.as_str()), ("authorization", "Bearer x")],
        &[("authorization", line.as_str()), ("authorization", line.as_str())],
        &[("authorization", "Basic dXNlcjpwYXNz")],
        &[("authorization", "Bearer")],
        &[("authorization", &line[7..])],
    ] {
        let answer = ask_with(&doors.main, "GET /read", lines).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{lines:?}");
        assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE), "{lines:?}");
    }
    let in_url = format!("GET /read?access_token={}", ours(&claims()));
    assert_eq!(ask(&doors.main, &in_url, None).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_that_was_rotated_verifies_until_it_is_taken_out() {
    let keys = Keys::new();
    let tokens = keys.tokens();
    let old = ours(&claims());
    assert!(tokens.principal(&old).await.is_ok());
    let new = "k2 BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA\n";
    write_private(&keys.file, new);
    // The file is looked at once a second.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while tokens.principal(&old).await.is_ok() {
        assert!(std::time::Instant::now() < deadline, "the key is still believed");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    write_private(&keys.file, "broken");
    assert!(tokens.principal(&old).await.is_err());
}

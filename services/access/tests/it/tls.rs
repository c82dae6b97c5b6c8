//! A key set behind a certificate, as issuers have theirs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use access::Tokens;
use access::jwks::{Error, KeySet, Pace, Source};
use access::tokens::Untrusted;
use axum::Router;
use jsonwebtoken::Algorithm;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use service_kit::metrics::Common;
use service_kit::server::{self, Listener, Tls, TlsFiles};
use tokio_util::sync::CancellationToken;

use crate::support::{Pair, set_of};

/// Of a chain's own; its certificate is in the file.
fn authority(file: &Path) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(file, authority.pem()).unwrap();
    authority
}

/// An issuer with a certificate of an authority, which publishes a key set.
async fn issuer(folder: &Path, authority: &CertifiedIssuer<'_, KeyPair>, says: String) -> Source {
    let mut params = CertificateParams::new([]).unwrap();
    params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    let pair = KeyPair::generate().unwrap();
    let (cert, key) = (folder.join("cert"), folder.join("key"));
    std::fs::write(&cert, params.signed_by(&pair, authority).unwrap().pem()).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let tls = Tls::load(TlsFiles { cert, key, client_ca: None }).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Listener::from(listener).with_tls(Some(tls));
    let router = Router::new().route("/keys", axum::routing::get(async move || says));
    let common = Common::new("0", PathBuf::new());
    tokio::spawn(async move {
        server::serve(listener, router, &common, CancellationToken::new()).await
    });
    format!("https://{address}/keys").parse().unwrap()
}

fn tokens(set: std::sync::Arc<KeySet>) -> Tokens {
    Tokens::new(None, Some(set), "onhand".to_owned(), "onhand".to_owned())
}

#[tokio::test]
async fn an_issuer_is_believed_by_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (ours, _other) = (authority(&at("ours")), authority(&at("other")));
    let pair = Pair::new(Algorithm::ES256, "e");
    let source = issuer(folder.path(), &ours, set_of(&[&pair])).await;
    let pace = Pace { every: Duration::from_secs(3_600), cooldown: Duration::ZERO };
    let by = async |authorities: Option<&str>| {
        let file = authorities.map(at);
        KeySet::follow(source.clone(), pace, file.as_deref()).await
    };
    let believed = tokens(by(Some("ours")).await.unwrap());
    assert!(believed.principal(&pair.token()).await.is_ok());
    // By another authority, or by those of this machine, it is a stranger that says what it likes.
    for authorities in [Some("other"), None] {
        let stranger = tokens(by(authorities).await.unwrap());
        assert_eq!(stranger.principal(&pair.token()).await, Err(Untrusted::NoKeys));
    }
    std::fs::write(at("empty"), "no certificates").unwrap();
    for unusable in ["empty", "none"] {
        let error = by(Some(unusable)).await.unwrap_err();
        assert!(matches!(error, Error::Authorities { .. }), "{error}");
        assert!(error.to_string().contains(unusable), "the file is named: {error}");
    }
}

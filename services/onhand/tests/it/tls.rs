//! Services behind certificates, their own and their clients'.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use reqwest::{Certificate, Client, Identity};
use serde_json::Value;

use crate::process::{Service, eventually, free_port, onhand};

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Pair {
    cert: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new([]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap().pem();
        Pair { cert, key: key.serialize_pem() }
    }

    /// For a service on this machine.
    fn service(&self) -> Pair {
        self.issue(|params| {
            params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        })
    }

    /// For a client with this name.
    fn client(&self, name: &str) -> Pair {
        self.issue(|params| {
            params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
        })
    }
}

/// A client that believes this authority, with a certificate or without.
fn client(authority: &Authority, shows: Option<&Pair>) -> Client {
    let authority = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let mut client = Client::builder().tls_certs_only([authority]).timeout(Duration::from_secs(20));
    if let Some(Pair { cert, key }) = shows {
        client = client.identity(Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap());
    }
    client.build().unwrap()
}

/// A folder with certificates, and a store that uses them.
struct Shop {
    folder: tempfile::TempDir,
    service: Service,
    url: String,
}

impl Shop {
    fn path(folder: &Path, name: &str) -> PathBuf {
        folder.join(name)
    }

    async fn start(authority: &Authority, pair: &Pair, clients: Option<&Authority>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name| Self::path(folder.path(), name).to_str().unwrap().to_owned();
        std::fs::write(at("cert"), &pair.cert).unwrap();
        std::fs::write(at("key"), &pair.key).unwrap();
        std::fs::write(at("ca"), authority.pem()).unwrap();
        let (port, kafka) = (free_port(), format!("127.0.0.1:{}", free_port()));
        let mut args: Vec<String> =
            ["store", "--store-id", "A", "--kafka", &kafka, "--witness-wait-ms", "0"]
                .map(str::to_owned)
                .into();
        args.extend(["--data-dir".to_owned(), at("A")]);
        args.extend(["--tls-cert".to_owned(), at("cert"), "--tls-key".to_owned(), at("key")]);
        if let Some(clients) = clients {
            std::fs::write(at("clients"), clients.pem()).unwrap();
            args.extend(["--tls-client-ca".to_owned(), at("clients")]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let asking = client(authority, None);
        let service = Service::start_behind(&args, &asking, port, &folder.path().join("log")).await;
        let url = format!("https://127.0.0.1:{port}");
        let ready = format!("{url}/readyz");
        eventually("the store is ready", async || {
            asking.get(&ready).send().await.ok()?.status().is_success().then_some(())
        })
        .await;
        Self { folder, service, url }
    }

    fn write(&self, name: &str, text: &str) {
        // As a whole: a half-written file is another test.
        let (new, path) = (self.folder.path().join("new"), self.folder.path().join(name));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    async fn ask(&self, client: &Client, path: &str) -> reqwest::Result<(u16, Value)> {
        let answer = client.get(format!("{}{path}", self.url)).send().await?;
        Ok((answer.status().as_u16(), answer.json().await.unwrap_or_default()))
    }
}

const ITEM: &str = "/api/query/inventory/store/A/X";

#[tokio::test]
async fn a_renewed_certificate_is_used_for_new_connections_and_a_broken_one_never() {
    let (old, new) = (Authority::new(), Authority::new());
    let shop = Shop::start(&old, &old.service(), None).await;
    let (mut open, newcomer) = (client(&old, None), client(&new, None));
    assert_eq!(shop.ask(&open, ITEM).await.unwrap().0, 200);
    assert!(shop.ask(&newcomer, ITEM).await.is_err(), "it does not know this authority");
    let plain = reqwest::get(format!("{}/livez", shop.service.url)).await;
    assert!(plain.is_err(), "no HTTP where HTTPS is");

    let Pair { cert, key } = new.service();
    shop.write("cert", &cert);
    shop.write("key", &key);
    eventually("the new certificate is used", async || {
        shop.ask(&newcomer, ITEM).await.ok().filter(|(status, _)| *status == 200)
    })
    .await;
    assert_eq!(shop.ask(&open, ITEM).await.unwrap().0, 200, "it has a connection already");
    open = client(&old, None);
    assert!(shop.ask(&open, ITEM).await.is_err());

    shop.write("cert", "no certificate");
    eventually("it is noticed", async || {
        let metrics = newcomer.get(format!("{}/metrics", shop.url)).send().await.ok()?;
        metrics.text().await.ok()?.contains("\nonhand_tls_files_broken 1").then_some(())
    })
    .await;
    assert_eq!(shop.ask(&client(&new, None), ITEM).await.unwrap().0, 200);
    let log = std::fs::read_to_string(&shop.service.log).unwrap();
    assert_eq!(log.matches("the TLS files cannot be used").count(), 1, "{log}");
}

#[tokio::test]
async fn a_client_needs_a_certificate_of_the_named_authority_and_of_this_store_or_none() {
    let (services, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let shop = Shop::start(&services, &services.service(), Some(&clients)).await;
    let nobody = client(&services, None);
    assert_eq!(shop.ask(&nobody, "/livez").await.unwrap().0, 200);
    for path in [ITEM, "/metrics", "/api/openapi.json"] {
        let (status, told) = shop.ask(&nobody, path).await.unwrap();
        assert_eq!((status, told["code"].as_str()), (403, Some("certificate_required")), "{path}");
    }
    let ask = async |pair: &Pair| {
        let (status, told) = shop.ask(&client(&services, Some(pair)), ITEM).await?;
        Ok::<_, reqwest::Error>((status, told["code"].as_str().unwrap_or_default().to_owned()))
    };
    assert_eq!(ask(&clients.client("store:A")).await.unwrap().0, 200);
    assert_eq!(ask(&clients.client("urn:backoffice")).await.unwrap().0, 200);
    let (status, code) = ask(&clients.client("store:B")).await.unwrap();
    assert_eq!((status, code.as_str()), (403, "forbidden"));
    assert!(ask(&strangers.client("store:A")).await.is_err(), "nobody here trusts its authority");
    let expired = clients.issue(|params| {
        params.subject_alt_names = vec![SanType::URI("store:A".try_into().unwrap())];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    assert!(ask(&expired).await.is_err(), "it has expired");
}

#[tokio::test]
async fn the_programs_own_clients_believe_the_authorities_they_are_given() {
    let authority = Authority::new();
    let shop = Shop::start(&authority, &authority.service(), None).await;
    let sales = shop.folder.path().join("sales.csv");
    std::fs::write(&sales, "timestamp,storeId,sku,quantity\n2026-11-21T09:30:00Z,A,X,-3\n")
        .unwrap();
    let store = format!("A={}", shop.url);
    let replay = |more: &[&str]| {
        let args = ["replay", sales.to_str().unwrap(), "--store", &store, "--give-up-after", "2"];
        onhand().args(args).args(more).output().unwrap()
    };
    assert_eq!(replay(&[]).status.code(), Some(1), "the system does not know this authority");
    let ca = shop.folder.path().join("ca");
    let replayed = replay(&["--ca-file", ca.to_str().unwrap()]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    let (_, item) = shop.ask(&client(&authority, None), ITEM).await.unwrap();
    assert_eq!(item["onHand"], 3);

    let port = shop.url.rsplit(':').next().unwrap();
    let asked = |args: &[&str]| onhand().args(["ready", port]).args(args).output().unwrap();
    assert!(asked(&["--tls-cert", "any"]).status.success());
    assert_eq!(asked(&[]).status.code(), Some(1), "it speaks no plain HTTP");
}

#[test]
fn certificates_that_make_no_sense_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (one, other) = (authority.service(), authority.service());
    let at = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (cert, key) = (at("cert", &one.cert), at("key", &one.key));
    let (other, junk) = (at("other", &other.key), at("junk", "junk"));
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    let data = folder.path().join("A").to_str().unwrap().to_owned();
    let start = |flags: &[&str]| {
        let listen = format!("127.0.0.1:{}", free_port());
        let mut args = vec!["store", "--store-id", "A", "--kafka", "127.0.0.1:1"];
        args.extend(["--data-dir", &data, "--listen", &listen]);
        let output = onhand().args(args).args(flags).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (flags, code, said) in [
        (&["--tls-cert", &cert][..], 64, "--tls-key"),
        (&["--tls-key", &key], 64, "--tls-cert"),
        (&["--tls-client-ca", &cert], 64, "--tls-cert"),
        (&["--tls-cert", &cert, "--tls-key", &missing], 1, missing.as_str()),
        (&["--tls-cert", &junk, "--tls-key", &key], 1, "has no certificate"),
        (&["--tls-cert", &cert, "--tls-key", &junk], 1, "has no private key"),
        (&["--tls-cert", &cert, "--tls-key", &other], 1, "do not belong together"),
        (
            &["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", &junk],
            1,
            "has no certificate",
        ),
    ] {
        let (exit, told) = start(flags);
        assert_eq!(exit, Some(code), "{flags:?}: {told}");
        assert!(told.contains(said), "{flags:?}: {told}");
    }
}

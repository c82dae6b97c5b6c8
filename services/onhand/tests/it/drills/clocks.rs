//! Clocks that are an hour wrong, or set while a service runs: what is fresh, and when a promise ends,
//! does not hang on them.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::central::post;
use super::drill::{BOUNDS, Drill, MARGIN, STALE_AFTER, STORES};
use super::frozen::window;
use crate::chain::Setup;
use crate::process::eventually;

/// More than any two of the clocks differ: two hours and a half, in milliseconds.
const GRACE: [&str; 2] = ["--release-grace-ms", "9000000"];
const TTL: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_an_hour_wrong_change_neither_freshness_nor_the_end_of_a_promise() {
    let clocks = Clocks::make();
    let hours = [("north", 1), ("south", -1), ("central", 0)];
    hours.into_iter().for_each(|(service, hours)| clocks.set(service, hours));
    let env = hours.into_iter().map(|(service, _)| clocks.of(service)).collect();
    let centre_args = [&BOUNDS[..], &GRACE].concat();
    let setup = Setup { store_args: &GRACE, centre_args: &centre_args, env, ..Setup::default() };
    let mut drill = Drill::with("wrong-clocks", &setup).await;
    drill.sell();
    drill.sold(50).await;
    promises(&drill, "right", "north is an hour ahead, south an hour behind").await;

    for (hours, how) in [(1, "ahead"), (-1, "behind")] {
        clocks.set("central", hours);
        drill.chain.centres[0].kill_and_restart().await;
        let started = Instant::now();
        for store in STORES {
            drill.fresh_again(store, started, "the centre started with a wrong clock").await;
        }
        promises(&drill, how, &format!("and the centre an hour {how}")).await;
    }
    drill.sold(50).await;
    drill.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_while_a_service_runs_is_no_silence() {
    let clocks = Clocks::make();
    let services = ["north", "south", "central"];
    services.into_iter().for_each(|service| clocks.set(service, 0));
    let env = services.into_iter().map(|service| clocks.of(service)).collect();
    let setup = Setup { centre_args: &BOUNDS, env, ..Setup::default() };
    let mut drill = Drill::with("clock-set", &setup).await;
    drill.sell();
    for (service, hours) in [("north", 1), ("north", -1), ("central", 1), ("central", -1)] {
        drill.sold(50).await;
        clocks.set(service, hours);
        let set = Instant::now();
        window(set, STALE_AFTER).await;
        let until = Instant::now();
        for store in STORES {
            let shown = drill.watch.between(store, set, until);
            let other = shown.iter().find(|one| !one.is("fresh") && !one.is("lagging"));
            assert!(other.is_none(), "the clock of {service} was set by {hours} h: {other:?}");
            let states = drill.watch.states(store, set, until);
            drill.say(format!("{service}'s clock is set to {hours} h; {store}: {states}"));
        }
    }
    drill.sold(50).await;
    drill.end().await;
}

/// Holds freshness, and a promise of each store, to what they must be.
async fn promises(drill: &Drill, name: &str, how: &str) {
    let from = Instant::now();
    tokio::join!(promise(drill, STORES[0], name, how), promise(drill, STORES[1], name, how));
    let until = Instant::now();
    for store in STORES {
        let shown = drill.watch.between(store, from, until);
        let other = shown.iter().find(|one| !one.is("fresh") && !one.is("lagging"));
        assert!(other.is_none(), "{how}: {other:?}");
        drill.say(format!("{how}: {store} is shown as {}", drill.watch.states(store, from, until)));
    }
}

/// A store keeps an item for a customer until the time is over, and lets go then.
async fn promise(drill: &Drill, store: &str, name: &str, how: &str) {
    let sku = format!("CLOCK-{name}");
    let item = format!("/api/query/inventory/store/{store}/{sku}");
    let own = drill.chain.stores.iter().find(|known| known.id == store).unwrap();
    let (own, centre) = (&own.service.url, &drill.chain.centres[0].url);
    let body = json!({"storeId": store, "sku": sku, "quantity": 3});
    let counted = post(&format!("{own}/api/commands/inventory/replace"), &body).await;
    assert_eq!(counted.unwrap().0, 200);
    eventually("the centre knows the item", async || {
        (drill.chain.get(&format!("{centre}{item}")).await?["available"] == 3).then_some(())
    })
    .await;

    let body = json!({
        "orderId": format!("{store}-{name}"), "storeId": store, "ttlSeconds": TTL.as_secs(),
        "lines": [{"sku": sku, "quantity": 1}]
    });
    let asked = Instant::now();
    let (status, answer) = post(&format!("{centre}/api/reservations"), &body).await.unwrap();
    assert_eq!((status, &answer["state"]), (201, &json!("confirmed")), "{how}: {answer}");
    let kept = eventually("the store lets go", async || {
        let item = drill.chain.get(&format!("{own}{item}")).await?;
        (item["reserved"] == 0).then(|| asked.elapsed())
    })
    .await;
    drill.say(format!(
        "{how}: {store} kept a promise of {} s for {:.2} s",
        TTL.as_secs(),
        kept.as_secs_f64()
    ));
    assert!(kept >= TTL, "it was let go before its time");
    assert!(kept < TTL + MARGIN, "it was let go late");
}

/// The clocks of services, each wrong by as much as it is told.
struct Clocks {
    folder: tempfile::TempDir,
}

impl Clocks {
    /// Builds the library that is preloaded; the C compiler is the one that builds SQLite.
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/drills/wrong_clock.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(folder.path().join("wrong_clock.so"))
            .arg(source)
            .output()
            .expect("a C compiler, which also builds SQLite");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Self { folder }
    }

    /// Sets a service's clock, whether it runs or not.
    fn set(&self, service: &str, hours: i64) {
        // In place: the service has the file mapped.
        let path = self.folder.path().join(service);
        let mut file = File::options().create(true).truncate(false).write(true).open(path).unwrap();
        file.write_all(&(hours * 3_600).to_ne_bytes()).unwrap();
    }

    /// The environment in which a service has its clock.
    fn of(&self, service: &str) -> (String, Vec<(String, String)>) {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let library = ("LD_PRELOAD".to_owned(), path("wrong_clock.so"));
        (service.to_owned(), vec![library, ("WRONG_CLOCK".to_owned(), path(service))])
    }
}

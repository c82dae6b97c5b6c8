//! SIGKILL at random points under load: stores, the centre, the broker.

use crate::chain::{Chain, verify};
use crate::load::{Load, each_answer_stands_once};

/// Kills of each kind in one run.
const STORE_KILLS: usize = 32;
const CENTRE_KILLS: usize = 22;
const BROKER_KILLS: usize = 8;

#[derive(Debug, Clone, Copy)]
enum Victim {
    Store,
    Centre,
    Broker,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_stores_centre_and_broker_loses_nothing_and_doubles_nothing() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut chain = Chain::start(&["A", "B", "C"]).await;
    let load = Load::start(&chain, seed);

    let mut victims = [
        vec![Victim::Store; STORE_KILLS],
        vec![Victim::Centre; CENTRE_KILLS],
        vec![Victim::Broker; BROKER_KILLS],
    ]
    .concat();
    random.shuffle(&mut victims);
    for victim in &victims {
        load.more(random.usize(1..60)).await;
        match victim {
            Victim::Store => {
                let place = random.usize(0..chain.stores.len());
                chain.stores[place].service.kill_and_restart().await;
            }
            Victim::Centre => chain.centres[0].kill_and_restart().await,
            Victim::Broker => {
                chain.broker.kill();
                // The stores go on selling without it.
                load.more(random.usize(1..200)).await;
                chain.broker.start_again();
            }
        }
    }
    let answers = load.stop().await;
    assert!(victims.len() >= 60);

    let acknowledged = each_answer_stands_once(&chain, &answers);
    for store in &chain.stores {
        let verified = verify(&chain.journal(&store.id));
        assert!(verified.status.success(), "the chain of {} is broken", store.id);
    }
    let digests = chain.converged().await;
    chain.lose_centre().await;
    assert_eq!(chain.converged().await, digests, "the rebuilt centre differs");
    println!(
        "{} kills, {} answers, {acknowledged} events acknowledged: each stands once, centre = stores",
        victims.len(),
        answers.len()
    );
}

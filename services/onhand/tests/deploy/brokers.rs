//! What is said of brokers and topics, in `deploy/kafka`, `deploy/mirrormaker` and the compose files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shared_events::topic::{TopicSpec, Topics};

use crate::compose_files::{environment, one, onhand, services, three};
use crate::files::text;

fn brokers(chain: &Value) -> Vec<(&str, BTreeMap<String, String>)> {
    let all = services(chain).into_iter();
    all.filter(|(name, _)| name.starts_with("kafka"))
        .map(|(name, service)| (name, environment(service)))
        .collect()
}

/// `NAME://host:port` entries of a listener setting.
fn listeners(text: &str) -> BTreeMap<&str, (&str, &str)> {
    text.split(',')
        .map(|listener| {
            let (name, rest) = listener.split_once("://").expect("NAME://");
            (name, rest.rsplit_once(':').expect("a port"))
        })
        .collect()
}

#[test]
fn services_find_every_broker_where_it_says_it_is() {
    for (chain, count) in [(one(), 1), (three(), 3)] {
        let brokers = brokers(&chain);
        assert_eq!(brokers.len(), count);
        let mut reachable = BTreeSet::new();
        for (name, settings) in &brokers {
            let open = listeners(&settings["KAFKA_LISTENERS"]);
            let told = listeners(&settings["KAFKA_ADVERTISED_LISTENERS"]);
            for (listener, (_, port)) in &told {
                assert_eq!(
                    open[listener].1, *port,
                    "{name} does not listen where it says: {listener}"
                );
            }
            assert_eq!(told["CHAIN"].0, *name, "others know a service by its name");
            let published = format!("127.0.0.1:{0}:{0}", told["HOST"].1);
            let service = &chain["services"][*name];
            assert_eq!(
                (told["HOST"].0, service["ports"][0].as_str()),
                ("localhost", Some(published.as_str()))
            );
            for listener in open.keys() {
                assert!(
                    settings["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]
                        .contains(&format!("{listener}:")),
                    "{name}"
                );
            }
            let voter = format!("{}@{name}:{}", settings["KAFKA_NODE_ID"], open["CONTROLLER"].1);
            assert!(
                settings["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(',').any(|one| one == voter),
                "{voter}"
            );
            reachable.insert(format!("{name}:{}", told["CHAIN"].1));
        }
        for (name, _, service) in onhand(&chain) {
            let asked: BTreeSet<_> =
                environment(service)["ONHAND_KAFKA"].split(',').map(str::to_owned).collect();
            assert_eq!(asked, reachable, "{name}");
        }
    }
}

#[test]
fn brokers_make_no_topics_and_keep_as_many_copies_as_there_are_brokers() {
    for (chain, replicas, in_sync) in [(one(), "1", "1"), (three(), "3", "2")] {
        let brokers = brokers(&chain);
        let ids: BTreeSet<_> =
            brokers.iter().map(|(_, settings)| &settings["CLUSTER_ID"]).collect();
        assert_eq!(ids.len(), 1, "one cluster");
        for (name, settings) in &brokers {
            for (setting, value) in settings {
                let wanted = match setting.as_str() {
                    "KAFKA_AUTO_CREATE_TOPICS_ENABLE" | "KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE" => {
                        "false"
                    }
                    "KAFKA_LOG_MESSAGE_TIMESTAMP_TYPE" => "LogAppendTime",
                    of if of.ends_with("REPLICATION_FACTOR") => replicas,
                    of if of.ends_with("MIN_ISR") || of == "KAFKA_MIN_INSYNC_REPLICAS" => in_sync,
                    _ => continue,
                };
                assert_eq!(value, wanted, "{name} {setting}");
            }
            assert!(settings.contains_key("KAFKA_AUTO_CREATE_TOPICS_ENABLE"), "{name}");
        }
    }
    // The data of one broker must not be taken for a part of three.
    let id = |chain: &Value| brokers(chain)[0].1["CLUSTER_ID"].clone();
    assert_ne!(id(&one()), id(&three()));
    assert_ne!(one()["services"]["kafka"]["volumes"], three()["services"]["kafka"]["volumes"]);
}

fn line(spec: &TopicSpec, keyed: i32) -> String {
    let count =
        if spec.partitions == keyed { "keyed".to_owned() } else { spec.partitions.to_string() };
    let settings: Vec<_> =
        spec.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{} {count} {}", spec.name, settings.join(" "))
}

#[test]
fn topics_made_by_hand_are_those_that_services_make() {
    let script = text("deploy/kafka/create-topics");
    let (_, table) = script.split_once("<<'TABLE'\n").expect("a table");
    let listed: BTreeSet<_> =
        table.lines().filter(|line| *line != "TABLE").map(str::to_owned).collect();
    let topics = Topics::default();
    let keyed = topics.stock_events().partitions;
    let mut made: BTreeSet<_> = topics.shared().iter().map(|spec| line(spec, keyed)).collect();
    made.insert(line(&topics.commands(&"STORE".parse().expect("a store id")), keyed));
    assert_eq!(listed, made);
}

#[test]
fn a_mirror_carries_each_topic_one_way_under_its_own_name() {
    let config = text("deploy/mirrormaker/connect-mirror-maker.properties");
    let settings: BTreeMap<_, _> = config
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .collect();
    assert!(settings["replication.policy.class"].ends_with(".IdentityReplicationPolicy"));
    assert_eq!(settings["sync.topic.configs.enabled"], "false", "settings are Onhand's");
    let carried = |way: &str| -> Vec<String> {
        let topics = settings[format!("{way}.topics").as_str()];
        topics.split(", ").map(|topic| topic.replace("\\\\.", ".")).collect()
    };
    let topics = Topics::default();
    assert_eq!(carried("far->near"), [topics.stock_events().name, topics.heartbeats().name]);
    let commands = topics
        .commands(&"STORE".parse().expect("a store id"))
        .name
        .replace("STORE", "(${env:FAR_STORES})");
    assert_eq!(carried("near->far"), [commands]);
}

//! Every alert says what to do, and was seen firing.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files::{list, plain, text, yaml};

/// All rules of `alerts.yml`.
pub(crate) fn rules() -> Vec<Value> {
    let file = yaml("deploy/prometheus/alerts.yml");
    list(&file["groups"])
        .flat_map(|group| list(&group["rules"]).cloned().collect::<Vec<_>>())
        .collect()
}

/// Level-two headings of the runbook.
fn sections() -> Vec<String> {
    text("docs/runbook.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_alert_says_how_urgent_it_is_what_it_is_and_where_to_read_on() {
    let sections = sections();
    for rule in rules() {
        let name = plain(&rule["alert"]);
        let severity = plain(&rule["labels"]["severity"]);
        assert!(["critical", "warning"].contains(&severity.as_str()), "{name}: {severity}");
        for annotation in ["summary", "description"] {
            assert!(
                plain(&rule["annotations"][annotation]).len() > 15,
                "{name} has no {annotation}"
            );
        }
        let url = plain(&rule["annotations"]["runbook_url"]);
        assert_eq!(url, format!("docs/runbook.md#{}", name.to_lowercase()));
        assert!(sections.contains(&name), "the runbook says nothing of {name}");
    }
}

#[test]
fn every_section_of_the_runbook_is_about_an_alert_and_answers_the_five_questions() {
    let alerts: BTreeSet<_> = rules().iter().map(|rule| plain(&rule["alert"])).collect();
    let found: BTreeSet<_> = sections().into_iter().collect();
    assert_eq!(found, alerts);
    let runbook = text("docs/runbook.md");
    for section in runbook.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap_or_default();
        for answer in ["**Means.**", "**Look", "**Over**"] {
            assert!(section.contains(answer), "{title} has no {answer}");
        }
        assert!(section.to_lowercase().contains("mend.**"), "{title} does not say how to mend it");
        assert!(section.contains("```sh\n"), "{title} has no command");
    }
}

#[test]
fn every_alert_is_seen_quiet_and_seen_firing_by_a_rule_test() {
    let file = yaml("deploy/prometheus/alerts_test.yml");
    assert_eq!(plain(&file["rule_files"][0]), "alerts.yml");
    let cases: Vec<_> = list(&file["tests"])
        .flat_map(|test| list(&test["alert_rule_test"]).cloned().collect::<Vec<_>>())
        .collect();
    for rule in rules() {
        let name = plain(&rule["alert"]);
        let of_it: Vec<_> = cases.iter().filter(|case| plain(&case["alertname"]) == name).collect();
        assert!(
            of_it.iter().any(|case| list(&case["exp_alerts"]).count() > 0),
            "{name} never fires in a test"
        );
        assert!(
            of_it.iter().any(|case| list(&case["exp_alerts"]).count() == 0),
            "{name} is never quiet in a test"
        );
    }
}

//! What counts as proof, and what refutes it.

use super::*;
use crate::replay::pairs::Pair;

fn pair(opening: i64, version: u64, net: i64, sales: u64) -> Pair {
    Pair { opening, opened: Some(version), net, sales, repeated: false }
}

fn items(items: &[(&str, i64, u64)]) -> Items {
    items
        .iter()
        .map(|&(sku, quantity, version)| (sku.parse().unwrap(), Level { quantity, version }))
        .collect()
}

fn verdict(pairs: &[(&str, Pair)], store: &Items, centre: &Items) -> (Verdict, Vec<String>) {
    let pairs: Pairs =
        pairs.iter().map(|(sku, pair)| (sku.parse().unwrap(), pair.clone())).collect();
    let mut findings = Findings::default();
    findings.compare(&"A".parse().unwrap(), &pairs, store, centre);
    findings.verdict(Duration::from_millis(1_200), Duration::from_millis(300))
}

#[test]
fn equal_levels_and_versions_are_proof() {
    let levels = items(&[("x", 0, 3), ("y", 1, 2), ("other", 5, 1)]);
    let pairs = [("x", pair(7, 1, -7, 2)), ("y", pair(0, 1, 1, 1))];
    let (proof, lines) = verdict(&pairs, &levels, &levels);
    assert_eq!(proof, Verdict::Proved);
    let expected = [
        "proved: 2 pairs: centre = store = opening \u{2212} sold; 0 differences",
        "events: the centre applied 5 for them; 0 were accepted before this run, 5 in it",
        "waited 1.2s for the centre to catch up, compared in 300.0ms",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn any_disagreement_refutes() {
    let pairs = [("x", pair(7, 1, -5, 2))];
    let right = items(&[("x", 2, 3)]);
    for (store, centre) in [
        (&right, items(&[("x", 1, 3)])),
        (&right, items(&[("x", 2, 2)])),
        (&right, items(&[])),
        (&items(&[("x", 1, 3)]), items(&[("x", 1, 3)])),
        // Doubled and undone elsewhere: the level alone would not tell.
        (&items(&[("x", 2, 5)]), items(&[("x", 2, 5)])),
    ] {
        let (proof, lines) = verdict(&pairs, store, &centre);
        assert_eq!(proof, Verdict::Refuted);
        assert!(
            lines[1].starts_with("  A/x: expected 2 after 3 events, the store has"),
            "{lines:?}"
        );
    }
}

#[test]
fn the_first_differences_are_shown() {
    let names: Vec<String> = (0..25).map(|number| format!("sku-{number:02}")).collect();
    let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), pair(1, 1, 0, 0))).collect();
    let (_, lines) = verdict(&pairs, &items(&[]), &items(&[]));
    assert_eq!(lines[0], "not proved: 25 of 25 pairs differ; the first of them:");
    assert_eq!(lines.iter().filter(|line| line.starts_with("  A/")).count(), DIFFERENCES_SHOWN);
}

#[test]
fn items_with_a_past_keep_it() {
    let pairs = [("x", pair(7, 7, -5, 2))];
    let levels = items(&[("x", 2, 9)]);
    let (proof, lines) = verdict(&pairs, &levels, &levels);
    assert_eq!(proof, Verdict::Proved);
    assert!(lines[1].ends_with("; 6 were accepted before this run, 3 in it"), "{lines:?}");
    let doubled = items(&[("x", 2, 11)]);
    assert_eq!(verdict(&pairs, &doubled, &doubled).0, Verdict::Refuted);
}

#[test]
fn a_run_that_is_told_again_may_have_successors_but_no_losses() {
    let pairs = [("x", Pair { repeated: true, ..pair(7, 1, -5, 2) })];
    let later = items(&[("x", 2, 9)]);
    let (proof, lines) = verdict(&pairs, &later, &later);
    assert_eq!(proof, Verdict::Proved);
    assert!(lines[1].ends_with("3 in it, 6 of others since"), "{lines:?}");
    let lost = items(&[("x", 2, 2)]);
    assert_eq!(verdict(&pairs, &lost, &lost).0, Verdict::Refuted);
}

#[test]
fn nothing_compared_is_nothing_proved() {
    let unopened = Pair { opening: 7, ..Pair::default() };
    let (proof, lines) = verdict(&[("x", unopened)], &items(&[]), &items(&[]));
    assert_eq!(proof, Verdict::Refuted);
    assert!(lines[0].starts_with("not proved: no item was opened"), "{lines:?}");
    assert_eq!(lines[2], "left out: 1 pairs, their opening was not accepted");
}

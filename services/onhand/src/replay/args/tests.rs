//! What a command line may say.

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn parse(line: &[&str]) -> Result<Args, String> {
    Line::try_parse_from(["replay"].iter().chain(line))
        .map(|line| line.args)
        .map_err(|error| error.to_string())
}

const A: &str = "--store=A=http://127.0.0.1:8081";

#[test]
fn stores_may_be_given_one_by_one_or_as_a_list() {
    let list = "--store=A=http://127.0.0.1:8081,B=http://127.0.0.1:8082";
    let one_by_one = parse(&["f.csv", A, "--store", "B=http://127.0.0.1:8082"]).unwrap();
    assert_eq!(one_by_one.stores, parse(&["f.csv", list]).unwrap().stores);
    assert_eq!(check(&one_by_one), Ok(()));
    assert_eq!(rejects_path(&one_by_one), Path::new("f.csv.rejects.csv"));
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    for (line, reason) in [
        (&["f.csv"][..], "--store"),
        (&[A], "FILE"),
        (&["f.csv", "--store=A"], "expected ID=URL"),
        (&["f.csv", "--store=A=ftp://x"], "expected http://"),
        (&["f.csv", A, "--batch-lines=0"], "--batch-lines"),
        (&["f.csv", A, "--batch-lines=10001"], "--batch-lines"),
        (&["f.csv", A, "--opening=guess"], "[possible values: sum]"),
        (&["f.csv", A, "--on-shortfall=x"], "[possible values: reject, recordDiscrepancy]"),
        (&["f.csv", A, "--prove=http://127.0.0.1:8080"], "--opening"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.contains(reason), "{line:?}: {error}");
    }
}

#[test]
fn a_store_has_one_url() {
    let args = parse(&["f.csv", A, "--store=A=http://127.0.0.1:8082"]).unwrap();
    assert_eq!(check(&args), Err("--store names A twice".to_owned()));
}

#[test]
fn the_rejects_do_not_overwrite_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.csv");
    std::fs::write(&file, "x").unwrap();
    let same = format!("--rejects={}", folder.path().join(".").join("f.csv").display());
    let args = parse(&[&file.display().to_string(), A, &same]).unwrap();
    assert!(check(&args).unwrap_err().contains("--rejects"));
}

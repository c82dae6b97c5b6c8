//! The reference in `run.md` against the command line as it is: every command, flag, variable and default.
//! `UPDATE_DOCS=1` writes it anew.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use crate::cli::Cli;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../run.md");
const BEGIN: &str = "<!-- reference: made from the command line by a test -->\n";
const END: &str = "<!-- reference ends -->\n";

#[test]
fn the_reference_is_what_the_command_line_says() {
    let page = std::fs::read_to_string(PAGE).expect("run.md");
    let (before, rest) = page.split_once(BEGIN).expect("where the reference begins");
    let (committed, behind) = rest.split_once(END).expect("where the reference ends");
    let mut cli = Cli::command();
    cli.build();
    let mut reference = String::new();
    section(&cli, &mut reference);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let page = format!("{before}{BEGIN}{reference}{END}{behind}");
        std::fs::write(PAGE, page).expect("run.md can be written");
    } else {
        assert!(committed == reference, "run.md: see UPDATE_DOCS in {}", file!());
    }
}

fn section(command: &Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or("onhand");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let is_root = !name.contains(' ');
    let told = |arg: &&Arg| {
        let is_help = matches!(arg.get_id().as_str(), "help" | "version");
        !is_help && (is_root || !arg.is_global_set())
    };
    let mut rows: Vec<_> = command.get_arguments().filter(told).collect();
    rows.sort_by_key(|arg| (!arg.is_positional(), !arg.is_required_set()));
    if is_root {
        page.push_str("\n### Every command\n");
    } else {
        write!(page, "\n### `{name}`\n\n{}.\n", about.trim_end_matches('.')).expect("text grows");
    }
    if !rows.is_empty() {
        page.push_str("\n| flag | variable | default | |\n|---|---|---|---|\n");
    }
    for arg in rows {
        page.push_str(&row(arg));
    }
    let told = |inner: &&Command| inner.get_name() != "help" && !inner.is_hide_set();
    for inner in command.get_subcommands().filter(told) {
        section(inner, page);
    }
    if is_root {
        page.push('\n');
    }
}

fn row(arg: &Arg) -> String {
    let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
    let values = arg.get_value_names().unwrap_or_default();
    let values = values.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ");
    let flag = arg.get_long().map_or_else(|| values.clone(), |long| format!("--{long} {values}"));
    let variable = arg.get_env().and_then(|name| name.to_str()).map(code).unwrap_or_default();
    let defaults = arg.get_default_values().iter().filter_map(|value| value.to_str());
    let default = defaults.filter(|value| !value.is_empty()).collect::<Vec<_>>().join(",");
    let default = match default.as_str() {
        "" if arg.is_required_set() => "required".to_owned(),
        "" => String::new(),
        default => code(default),
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let mut help = help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let choices = arg.get_possible_values();
    if !choices.is_empty() {
        let choices: Vec<_> = choices.iter().map(|choice| code(choice.get_name())).collect();
        write!(help, " ({})", choices.join(", ")).expect("text grows");
    }
    format!("| {} | {variable} | {default} | {help} |\n", code(flag.trim()))
}

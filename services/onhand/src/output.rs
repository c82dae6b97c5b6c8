//! What the program says to the person who started it; everything else is a log line.

use std::io::IsTerminal as _;
use std::process::ExitCode;

/// A line on standard output.
#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// A longer text on standard output, coloured on a terminal.
#[expect(clippy::print_stdout, reason = "the answer of a command goes to standard output")]
pub(crate) fn text(coloured: &str, plain: &str) {
    print!("{}", if std::io::stdout().is_terminal() { coloured } else { plain });
}

/// A line on standard error.
#[expect(clippy::print_stderr, reason = "what went wrong goes to standard error")]
pub(crate) fn error(line: &str) {
    eprintln!("onhand: {line}");
}

/// A heading: bold on a terminal.
pub(crate) fn heading(line: &str) {
    if std::io::stdout().is_terminal() {
        say(&format!("\u{1b}[1m{line}\u{1b}[0m"));
    } else {
        say(line);
    }
}

/// Says why the work failed, with its causes on the same line.
pub(crate) fn failed(cause: &anyhow::Error) -> ExitCode {
    error(&format!("{cause:#}"));
    ExitCode::FAILURE
}

//! What the program says to the person who started it; everything else is a log line.

use std::io::IsTerminal as _;
use std::process::ExitCode;

/// A line on standard output.
pub(crate) fn say(line: &str) {
    put(&mut std::io::stdout(), &format!("{line}\n"));
}

/// A longer text on standard output, coloured on a terminal.
pub(crate) fn text(coloured: &str, plain: &str) {
    let mut stdout = std::io::stdout();
    let text = if stdout.is_terminal() { coloured } else { plain };
    put(&mut stdout, text);
}

/// A line on standard error.
pub(crate) fn error(line: &str) {
    put(&mut std::io::stderr(), &format!("onhand: {line}\n"));
}

/// A reader that has gone, as `head` does, is no reason to fail; there is nobody left to tell.
fn put(stream: &mut dyn std::io::Write, text: &str) {
    stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).unwrap_or_default();
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

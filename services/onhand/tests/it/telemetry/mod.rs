//! What operators see: traces in a real collector, metrics that a real checker takes, and neither in the
//! way of anybody.

mod away;
mod collector;
mod metrics;
mod traces;

/// Exit code of a script that cannot have the tool it is for.
const CANNOT_BE_HAD: i32 = 69;

/// A script of the repository.
fn script(name: &str) -> std::process::Command {
    let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    std::process::Command::new(scripts.join(name))
}

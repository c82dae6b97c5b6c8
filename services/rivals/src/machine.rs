//! What the figures were measured on.

use std::fs::read_to_string;
use std::process::Command;

use serde::Serialize;

/// A machine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hardware {
    pub cpu: String,
    pub cores: usize,
    pub memory_mib: u64,
    pub kernel: String,
    /// Kind of file system that PostgreSQL writes to.
    pub file_system: String,
}

impl Hardware {
    /// This machine; what it does not tell is empty.
    pub fn here(folder: &std::path::Path) -> Self {
        let cpu = value(&read("/proc/cpuinfo"), "model name");
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.trim_end_matches(" kB").trim().parse().unwrap_or_default();
        let told = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder).output();
        let file_system = told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned());
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            memory_mib: kib / 1_024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system.unwrap_or_default(),
        }
    }
}

fn read(file: &str) -> String {
    read_to_string(file).unwrap_or_default()
}

fn value(text: &str, name: &str) -> String {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

//! Where and what is measured.

use crate::profile::profile;
use std::fs;
use std::path::{Path, PathBuf};

/// Prints machine, kernel and this program's profile, and when each of the servers was built.
pub fn show(servers: &[(String, PathBuf)]) {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    println!("CPU: {} ({cpus} of them for the load)", cpu_model().unwrap_or_else(|| "unknown".into()));
    println!("kernel: {}", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim_end());
    println!("profile: {}", profile());
    for (name, binary) in servers {
        let built = built(binary).unwrap_or_else(|| "an unknown time".into());
        println!("{name}: {}, of {built}", binary.display());
    }
}

fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// When the file was written.
fn built(binary: &Path) -> Option<String> {
    let time = fs::metadata(binary).and_then(|file| file.modified()).ok()?;
    let time = jiff::Timestamp::try_from(time).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

//! How much memory a process takes, as Linux tells it (proc_pid_status(5)).

use std::fs;

/// The memory in a field of a process's status (`VmRSS:` is resident, `VmHWM:` the most of it), in MB; `None` where there is no such
/// process or it has ended.
pub fn megabytes(process: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kilobytes| kilobytes / 1024.0)
}

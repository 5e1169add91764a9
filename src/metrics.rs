//! What the server itself counts: queries that reach no plugin, panics, work that is refused; and what the system knows of
//! the process.

use crate::seal;
use api::Clock;
use api::metrics::{self, Counter, CounterFamily, GaugeFamily, Metric};
use api::query::Query;
use api::server::Site;
use api::shed::DROPPED;
use api::traffic::{self, Traffic};
use std::fmt::Write;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, OnceLock};

static PANICS: CounterFamily =
    CounterFamily::new("coredns_panics_total", "A metrics that counts the number of panics.", &[]);
static RELOAD_FAILED: CounterFamily =
    CounterFamily::new("coredns_reload_failed_total", "Counter of the number of failed reload attempts.", &[]);
static UNSENT: CounterFamily =
    CounterFamily::new("coredns_server_unsent_replies_total", "Counter of replies that the system did not send.", &[]);

static FALLBACK: GaugeFamily = GaugeFamily::new(
    "coredns_fallback_served",
    "1 while the copy of the last working Corefile is served, because the Corefile is broken.",
    &[],
);

/// Says whether the copy of the last working configuration is served. The metric is there once it has been.
pub fn fallback_served(served: bool) {
    static EVER: AtomicBool = AtomicBool::new(false);
    if EVER.fetch_or(served, Relaxed) || served {
        FALLBACK.register();
        FALLBACK.with(&[]).set(f64::from(u8::from(served)));
    }
}

/// Puts what the server counts on the page.
pub fn register() {
    traffic::ALL.iter().for_each(|m| m.register());
    PANICS.register();
    RELOAD_FAILED.register();
    LazyLock::force(&STARTED);
    metrics::collector("process", process);
}

/// The metrics of one listener.
pub struct Listener {
    site: Site,
    dropped: OnceLock<Traffic>,
}

impl Listener {
    /// For the listener called `label` (`dns://:53`).
    pub fn new(label: &Arc<str>) -> Listener {
        let site = Site { index: 0, server: label.clone(), zone: "dropped".into(), view: "".into() };
        Listener { site, dropped: OnceLock::new() }
    }

    /// A query that no server block answers.
    pub fn dropped(&self, q: &Query) {
        let dropped = self.dropped.get_or_init(|| Traffic::new(&self.site, ""));
        dropped.count_at_once(q, seal::bare_len(q));
    }

    /// A plugin panicked with this query; it is counted as dropped.
    pub fn panicked(&self, q: &Query) {
        panicked();
        self.dropped(q);
    }

    /// What the listener is called.
    pub fn label(&self) -> &str {
        &self.site.server
    }

    /// So much work for this listener was refused or dropped because a limit was reached.
    pub fn shed(&self, reason: &'static str, n: u64) {
        DROPPED.with(&[reason, &self.site.server]).add(n);
    }
}

/// A reload has failed, whoever asked for it.
pub fn reload_failed() {
    RELOAD_FAILED.with(&[]).inc();
}

/// A plugin panicked.
pub fn panicked() {
    PANICS.with(&[]).inc();
}

/// Something that belongs to no listener was refused because a limit was reached.
pub fn shed_elsewhere(reason: &'static str) {
    DROPPED.with(&[reason, ""]).inc();
}

/// A reply could not be sent.
pub fn unsent(e: &io::Error) {
    static COUNTER: LazyLock<Counter> = LazyLock::new(|| UNSENT.with(&[]));
    COUNTER.inc();
    tracing::debug!("a reply could not be sent: {e}");
}

/// When the process started, in seconds since 1970.
static STARTED: LazyLock<f64> = LazyLock::new(|| Clock::system().unix().as_secs_f64());

/// What Linux knows of the process, under the names that all Prometheus clients use.
fn process(out: &mut String) {
    let mut gauge = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    };
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field, the program's name, may have blanks; it ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |n: usize| fields.get(n - 3).and_then(|f| f.parse::<f64>().ok());
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let cpu = field(14).zip(field(15)).map(|(user, system)| (user + system) / ticks);
    gauge("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", cpu);
    gauge("process_max_fds", "gauge", "Maximum number of open file descriptors.", limit("Max open files"));
    let (received, sent) = network().unzip();
    let name = "process_network_receive_bytes_total";
    gauge(name, "counter", "Number of bytes received by the process over the network.", received);
    let name = "process_network_transmit_bytes_total";
    gauge(name, "counter", "Number of bytes sent by the process over the network.", sent);
    let open = fs::read_dir("/proc/self/fd").map(|all| all.count() as f64 - 1.0).ok();
    gauge("process_open_fds", "gauge", "Number of open file descriptors.", open);
    let resident = field(24).map(|pages| pages * rustix::param::page_size() as f64);
    gauge("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident);
    let started = "Start time of the process since unix epoch in seconds.";
    gauge("process_start_time_seconds", "gauge", started, Some(*STARTED));
    gauge("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", field(23));
    let most = limit("Max address space").or(Some(UNLIMITED));
    gauge("process_virtual_memory_max_bytes", "gauge", "Maximum amount of virtual memory available in bytes.", most);
}

/// How the limit on memory is shown where there is none (all bits of the system's value, as other clients show it).
const UNLIMITED: f64 = u64::MAX as f64;

/// Octets that the process's network name space has received and sent at the IP layer.
fn network() -> Option<(f64, f64)> {
    let text = fs::read_to_string("/proc/self/net/netstat").ok()?;
    // Two lines: the names of the counters, and their values.
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let counter = |name| {
        let place = names.split_whitespace().position(|n| n == name)?;
        values.split_whitespace().nth(place)?.parse().ok()
    };
    Some((counter("InOctets")?, counter("OutOctets")?))
}

/// The soft limit on a resource; `None` where there is none.
fn limit(name: &str) -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::process;

    #[test]
    fn the_process_is_shown() {
        let mut page = String::new();
        process(&mut page);
        for name in [
            "process_cpu_seconds_total",
            "process_max_fds",
            "process_network_receive_bytes_total",
            "process_network_transmit_bytes_total",
            "process_open_fds",
            "process_resident_memory_bytes",
            "process_virtual_memory_max_bytes",
        ] {
            let line = page.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{name}: {page}"));
            assert!(line.split(' ').nth(1).is_some_and(|v| v.parse::<f64>().unwrap() >= 0.0), "{line}");
        }
    }
}

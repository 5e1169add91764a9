//! What is counted: under CoreDNS's names, and where it has none, under those in the README.

use api::Rcode;
use api::metrics::{Counter, CounterFamily, DURATION_BUCKETS, Histogram, HistogramFamily, Metric, Unit};
use std::sync::OnceLock;
use std::time::Duration;

/// All of them, for the directive's definition.
pub static ALL: &[&dyn Metric] = &[&BROKEN, &REJECTED, &DURATION, &CHECK_FAILURES, &HITS, &MISSES, &FULL];

static BROKEN: CounterFamily = CounterFamily::new(
    "coredns_forward_healthcheck_broken_total",
    "Counter of the number of complete failures of the healthchecks.",
    &[],
);
static REJECTED: CounterFamily = CounterFamily::new(
    "coredns_forward_max_concurrent_rejects_total",
    "Counter of the number of queries rejected because the concurrent queries were at maximum.",
    &[],
);
static DURATION: HistogramFamily = HistogramFamily::new(
    "coredns_proxy_request_duration_seconds",
    "Histogram of the time each request took.",
    &["proxy_name", "rcode", "to"],
    DURATION_BUCKETS,
    Unit::Seconds,
);
static CHECK_FAILURES: CounterFamily = CounterFamily::new(
    "coredns_proxy_healthcheck_failures_total",
    "Counter of the number of failed healthchecks.",
    &["proxy_name", "to"],
);
static HITS: CounterFamily = CounterFamily::new(
    "coredns_proxy_conn_cache_hits_total",
    "Counter of connection cache hits per upstream and protocol.",
    &["proto", "proxy_name", "to"],
);
static MISSES: CounterFamily = CounterFamily::new(
    "coredns_proxy_conn_cache_misses_total",
    "Counter of connection cache misses per upstream and protocol.",
    &["proto", "proxy_name", "to"],
);
static FULL: CounterFamily = CounterFamily::new(
    "coredns_forward_upstream_full_total",
    "Counter of attempts that were not made because the upstream had as many queries in flight as it may have.",
    &["to"],
);

/// The label `proxy_name`.
const FORWARD: &str = "forward";

/// What one directive counts.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// All upstreams were down.
    pub broken: Counter,
    /// Queries over `max_concurrent`.
    pub rejected: Counter,
}

impl Directive {
    /// Its handles.
    pub fn new() -> Directive {
        Directive { broken: BROKEN.with(&[]), rejected: REJECTED.with(&[]) }
    }
}

/// What is counted for one upstream.
#[derive(Debug)]
pub struct Upstream {
    to: Box<str>,
    /// Failed health checks.
    pub check_failures: Counter,
    /// Connections that were used again, over UDP and over TCP.
    pub hits: [Counter; 2],
    /// Connections that were made, over UDP and over TCP.
    pub misses: [Counter; 2],
    /// Attempts over the limit of queries in flight.
    pub full: Counter,
    /// Durations of exchanges by response code.
    durations: [OnceLock<Histogram>; RCODES.len()],
}

impl Upstream {
    /// Its handles; `to` is its address as the label has it.
    pub fn new(to: &str) -> Upstream {
        Upstream {
            to: to.into(),
            check_failures: CHECK_FAILURES.with(&[FORWARD, to]),
            hits: ["udp", "tcp"].map(|proto| HITS.with(&[proto, FORWARD, to])),
            misses: ["udp", "tcp"].map(|proto| MISSES.with(&[proto, FORWARD, to])),
            full: FULL.with(&[to]),
            durations: [const { OnceLock::new() }; RCODES.len()],
        }
    }

    /// An exchange took so long and ended with this code.
    pub fn observe(&self, rcode: Rcode, duration: Duration) {
        let known = RCODES.iter().position(|known| known.0 == rcode.0);
        let histogram = match known {
            Some(known) => *self.durations[known].get_or_init(|| DURATION.with(&[FORWARD, RCODES[known].1, &self.to])),
            None => DURATION.with(&[FORWARD, &rcode.0.to_string(), &self.to]),
        };
        histogram.observe(duration);
    }
}

/// Response codes that have a name in CoreDNS, with it.
pub const RCODES: [(u16, &str); 20] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
    (11, "DSOTYPENI"),
    (16, "BADSIG"),
    (17, "BADKEY"),
    (18, "BADTIME"),
    (19, "BADMODE"),
    (20, "BADNAME"),
    (21, "BADALG"),
    (22, "BADTRUNC"),
    (23, "BADCOOKIE"),
];

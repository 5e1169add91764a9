//! What is counted: under CoreDNS's names, and where it has none, under those in the README.

use crate::message::Verdict;
use api::Rcode;
use api::metrics::{Counter, CounterFamily, DURATION_BUCKETS, Histogram, HistogramFamily, Metric, Unit};
use std::sync::OnceLock;
use std::time::Duration;

/// All of them, for the directive's definition.
pub static ALL: &[&dyn Metric] =
    &[&BROKEN, &REJECTED, &DURATION, &CHECK_FAILURES, &HITS, &MISSES, &FULL, &IGNORED, &SHARED];

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

static IGNORED: CounterFamily = CounterFamily::new(
    "poddns_forward_ignored_replies_total",
    "Counter of messages from upstreams that are no replies to the queries they were sent.",
    &["reason", "to"],
);
static SHARED: CounterFamily = CounterFamily::new(
    "poddns_forward_shared_total",
    "Counter of queries that were answered with the reply to another client's query for the same.",
    &[],
);

/// The label `proxy_name`.
const FORWARD: &str = "forward";

/// Response codes of which a handle is kept: all that have a name are below.
const NAMED: usize = 24;

/// What one directive counts.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// All upstreams were down.
    pub broken: Counter,
    /// Queries over `max_concurrent`.
    pub rejected: Counter,
    /// Queries that were answered with the reply to another one.
    pub shared: Counter,
}

impl Directive {
    /// Its handles.
    pub fn new() -> Directive {
        Directive { broken: BROKEN.with(&[]), rejected: REJECTED.with(&[]), shared: SHARED.with(&[]) }
    }
}

/// What is counted for one upstream.
#[derive(Debug)]
pub struct Upstream {
    to: Box<str>,
    /// Failed health checks.
    pub check_failures: Counter,
    /// Connections that were used again, over UDP, TCP and TLS.
    pub hits: [Counter; 3],
    /// Connections that were made, over UDP, TCP and TLS.
    pub misses: [Counter; 3],
    /// Attempts over the limit of queries in flight.
    pub full: Counter,
    /// Messages with the ID of no query that waits.
    ignored_ids: Counter,
    /// Messages that are malformed.
    ignored_malformed: Counter,
    /// Messages with another question or none, or that are no replies.
    ignored_questions: Counter,
    /// Durations of exchanges, by the number of the response code.
    durations: [OnceLock<Histogram>; NAMED],
}

impl Upstream {
    /// Its handles; `to` is its address as the label has it.
    pub fn new(to: &str) -> Upstream {
        Upstream {
            to: to.into(),
            check_failures: CHECK_FAILURES.with(&[FORWARD, to]),
            hits: ["udp", "tcp", "tcp-tls"].map(|proto| HITS.with(&[proto, FORWARD, to])),
            misses: ["udp", "tcp", "tcp-tls"].map(|proto| MISSES.with(&[proto, FORWARD, to])),
            full: FULL.with(&[to]),
            ignored_ids: IGNORED.with(&["id", to]),
            ignored_malformed: IGNORED.with(&["malformed", to]),
            ignored_questions: IGNORED.with(&["question", to]),
            durations: [const { OnceLock::new() }; NAMED],
        }
    }

    /// A message was no reply.
    pub fn ignored(&self, verdict: Verdict) {
        match verdict {
            Verdict::Foreign => self.ignored_ids.inc(),
            Verdict::Malformed => self.ignored_malformed.inc(),
            _ => self.ignored_questions.inc(),
        }
    }

    /// An exchange took so long and ended with this code.
    pub fn observe(&self, rcode: Rcode, duration: Duration) {
        let handle = || match rcode.mnemonic() {
            Some(name) => DURATION.with(&[FORWARD, name, &self.to]),
            None => DURATION.with(&[FORWARD, &rcode.0.to_string(), &self.to]),
        };
        let histogram = match self.durations.get(usize::from(rcode.0)) {
            Some(kept) => *kept.get_or_init(handle),
            None => handle(),
        };
        histogram.observe(duration);
    }
}

//! Metrics of the kubernetes directive.

use crate::index::{Backing, Writer};
use crate::objects::Metadata;
use crate::watch::{Doubt, End};
use api::metrics::{Counter, CounterFamily, Gauge, GaugeFamily, Histogram, HistogramFamily, Metric, Unit};
use std::time::Duration;

/// All of them.
pub static ALL: &[&dyn Metric] = &[
    &PROGRAMMING,
    &REQUESTS,
    &REQUEST_DURATION,
    &RATE_LIMITER,
    &CONNECTED,
    &LAST_EVENT,
    &OBJECTS,
    &BYTES,
    &READ,
    &LISTS,
    &RELISTS,
    &ENDS,
    &CHECKS,
    &NOT_UNDERSTOOD,
    &SNAPSHOT_SERVED,
    &SNAPSHOT_WRITTEN,
    &SNAPSHOT_FAILURES,
];

static PROGRAMMING: HistogramFamily = HistogramFamily::new(
    "coredns_kubernetes_dns_programming_duration_seconds",
    "In Seconds, the time it took to program a dns instance",
    &["service_kind"],
    PROGRAMMING_BUCKETS,
    Unit::Seconds,
);
static REQUESTS: CounterFamily = CounterFamily::new(
    "coredns_kubernetes_rest_client_requests_total",
    "Number of HTTP requests, partitioned by status code, method, and host.",
    &["code", "host", "method"],
);
static REQUEST_DURATION: HistogramFamily = HistogramFamily::new(
    "coredns_kubernetes_rest_client_request_duration_seconds",
    "Request latency in seconds. Broken down by verb and host.",
    &["host", "verb"],
    DEFAULT_BUCKETS,
    Unit::Seconds,
);
static RATE_LIMITER: HistogramFamily = HistogramFamily::new(
    "coredns_kubernetes_rest_client_rate_limiter_duration_seconds",
    "Client side rate limiter latency in seconds. Broken down by verb and host.",
    &["host", "verb"],
    DEFAULT_BUCKETS,
    Unit::Seconds,
);

static CONNECTED: GaugeFamily = GaugeFamily::new(
    "poddns_kubernetes_watch_connected",
    "Whether what the API server tells of a kind of objects is being read.",
    &["host", "kind"],
);
static LAST_EVENT: GaugeFamily = GaugeFamily::new(
    "poddns_kubernetes_watch_last_event_timestamp_seconds",
    "When the API server last told something of a kind of objects, in seconds since 1970.",
    &["host", "kind"],
);
static LISTS: CounterFamily = CounterFamily::new(
    "poddns_kubernetes_lists_total",
    "Complete lists of a kind of objects that were read.",
    &["host", "kind"],
);

static OBJECTS: GaugeFamily =
    GaugeFamily::new("poddns_kubernetes_objects", "Objects of a kind that are known.", &["host", "kind"]);
static BYTES: GaugeFamily = GaugeFamily::new(
    "poddns_kubernetes_index_bytes",
    "Octets that the objects of a kind take in memory.",
    &["host", "kind"],
);
static READ: CounterFamily = CounterFamily::new(
    "poddns_kubernetes_read_bytes_total",
    "Octets that were read of a kind of objects.",
    &["host", "kind"],
);
static RELISTS: CounterFamily = CounterFamily::new(
    "poddns_kubernetes_relists_total",
    "Doubts about what is known of a kind of objects that led to another list, by reason.",
    &["host", "kind", "reason"],
);
static ENDS: CounterFamily = CounterFamily::new(
    "poddns_kubernetes_watch_ends_total",
    "Watches of a kind of objects that ended, by how they did.",
    &["host", "kind", "reason"],
);
static CHECKS: CounterFamily = CounterFamily::new(
    "poddns_kubernetes_checks_total",
    "Comparisons of what is known of a kind of objects with what the API server has.",
    &["check", "host", "kind", "result"],
);

/// Whether answers come from a snapshot, since the API server has not been read yet.
pub static SNAPSHOT_SERVED: GaugeFamily = GaugeFamily::new(
    "poddns_kubernetes_snapshot_served",
    "Whether what is answered is what a snapshot holds: the API server has not been read since the start.",
    &[],
);
/// When the snapshot was written.
pub static SNAPSHOT_WRITTEN: GaugeFamily = GaugeFamily::new(
    "poddns_kubernetes_snapshot_timestamp_seconds",
    "When the snapshot was written last, in seconds since 1970.",
    &[],
);
/// Snapshots that could not be read or written.
pub static SNAPSHOT_FAILURES: CounterFamily = CounterFamily::new(
    "poddns_kubernetes_snapshot_failures_total",
    "Snapshots that could not be read or written.",
    &[],
);

static NOT_UNDERSTOOD: CounterFamily = CounterFamily::new(
    "poddns_kubernetes_objects_not_understood_total",
    "Objects that make no sense, in whole or in part, each time that they were read.",
    &["kind"],
);

/// Counts the objects of a kind of which something was left out, because it makes no sense.
pub fn not_understood(kind: &str) -> Counter {
    NOT_UNDERSTOOD.with(&[kind])
}

/// How fresh one kind of objects is.
pub struct Freshness {
    labels: [String; 2],
    connected: Gauge,
    last_event: Gauge,
    objects: Gauge,
    bytes: Gauge,
    read: Counter,
    lists: Counter,
}

impl Freshness {
    /// That of `kind` at the API server `host`.
    pub fn new(host: &str, kind: &str) -> Self {
        let labels = [host, kind];
        let connected = CONNECTED.with(&labels);
        connected.set(0.0);
        not_understood(kind).add(0);
        // Rules look at how these grow, which nobody can see of a series that is not there before.
        Doubt::ALL.iter().for_each(|doubt| RELISTS.with(&[host, kind, doubt.label()]).add(0));
        ["closed", "broken", "silent"].iter().for_each(|reason| ENDS.with(&[host, kind, reason]).add(0));
        Freshness {
            labels: labels.map(str::to_owned),
            connected,
            last_event: LAST_EVENT.with(&labels),
            objects: OBJECTS.with(&labels),
            bytes: BYTES.with(&labels),
            read: READ.with(&labels),
            lists: LISTS.with(&labels),
        }
    }

    /// A watch has been opened.
    pub fn connected(&self) {
        self.connected.set(1.0);
    }

    /// The API server has told something at `now`, since 1970.
    pub fn told(&self, now: Duration) {
        self.last_event.set(now.as_secs_f64());
    }

    /// So many octets were read.
    pub fn read(&self, octets: usize) {
        self.read.add(octets as u64);
    }

    /// So many objects are known, and take so many octets in the index.
    pub fn objects(&self, count: usize, bytes: usize) {
        self.objects.set(count as f64);
        self.bytes.set(bytes as f64);
    }

    /// A list of so many objects is complete.
    pub fn listed(&self, now: Duration, objects: usize, bytes: usize) {
        self.told(now);
        self.objects(objects, bytes);
        self.lists.inc();
    }

    /// A list or a watch has ended.
    pub fn ended(&self, end: &End) {
        let reason = match end {
            End::Listed => return,
            End::Closed => "closed",
            End::Silent => "silent",
            End::Broken(_) => "broken",
            End::Doubt(..) | End::NoStreaming(_) | End::Failed(_) => return self.lost(),
        };
        if !matches!(end, End::Closed) {
            self.lost();
        }
        let [host, kind] = &self.labels;
        ENDS.with(&[host, kind, reason]).inc();
    }

    /// What is known may be wrong.
    pub fn doubted(&self, doubt: Doubt) {
        let [host, kind] = &self.labels;
        RELISTS.with(&[host, kind, doubt.label()]).inc();
    }

    /// Nothing can be read any more.
    pub fn lost(&self) {
        self.connected.set(0.0);
    }
}

/// What is compared.
#[derive(Clone, Copy)]
pub enum Check {
    /// The number of objects.
    Count,
    /// All names and versions.
    Versions,
}

/// Comparisons of one kind of objects with the API server.
pub struct Checks {
    labels: [String; 2],
    read: Counter,
}

impl Checks {
    /// Those of `kind` at the API server `host`.
    pub fn new(host: &str, kind: &str) -> Self {
        Checks { labels: [host, kind].map(str::to_owned), read: READ.with(&[host, kind]) }
    }

    /// One was made; `result` is `equal`, `different`, `unknown` or `failed`.
    pub fn made(&self, check: Check, result: &str) {
        let check = match check {
            Check::Count => "count",
            Check::Versions => "versions",
        };
        let [host, kind] = &self.labels;
        CHECKS.with(&[check, host, kind, result]).inc();
    }

    /// So many octets were read for it.
    pub fn read(&self, octets: usize) {
        self.read.add(octets as u64);
    }
}

/// Requests to one API server.
pub struct Requests {
    host: String,
    duration: Histogram,
    waited: Histogram,
}

impl Requests {
    /// Those to `host`. All are GET requests, as lists and watches are.
    pub fn new(host: &str) -> Self {
        let labels = [host, "GET"];
        Requests { host: host.into(), duration: REQUEST_DURATION.with(&labels), waited: RATE_LIMITER.with(&labels) }
    }

    /// A request waited so long for its turn.
    pub fn waited(&self, time: Duration) {
        self.waited.observe(time);
    }

    /// A list took so long to begin. Watches, which last, are not measured, as in Kubernetes's own client.
    pub fn took(&self, time: Duration) {
        self.duration.observe(time);
    }

    /// A request was answered with `code`, `<error>` where it was not answered at all.
    pub fn answered(&self, code: &str) {
        let counter: Counter = REQUESTS.with(&[code, &self.host, "GET"]);
        counter.inc();
    }
}

/// A slice with a trigger time has reached the index: counts how long that took, by kind of its service.
pub fn programmed(writer: &Writer, slice: &Metadata<'_>, now: Duration) {
    let trigger: jiff::Timestamp = match slice.annotations.trigger_time.parse() {
        Ok(time) => time,
        Err(e) => {
            let (namespace, name) = (&*slice.namespace, &*slice.name);
            return tracing::warn!("endpointslice {namespace}/{name} has an invalid trigger time: {e}");
        }
    };
    let kind = match writer.backing(&slice.labels.service, &slice.namespace) {
        Some(Backing::Headless) => "headless_with_selector",
        Some(_) => "cluster_ip",
        None => return,
    };
    let trigger = Duration::try_from(trigger.duration_since(jiff::Timestamp::UNIX_EPOCH)).unwrap_or_default();
    PROGRAMMING.with(&[kind]).observe(now.saturating_sub(trigger));
}

/// 0.001 · 2^k seconds, k = 0…19.
const PROGRAMMING_BUCKETS: &[f64] = &[
    0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384, 32.768,
    65.536, 131.072, 262.144, 524.288,
];
/// Prometheus's own default.
const DEFAULT_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

//! Metrics of the kubernetes directive.

use crate::index::{Backing, Writer};
use crate::objects::Metadata;
use api::metrics::{Counter, CounterFamily, Gauge, GaugeFamily, Histogram, HistogramFamily, Metric, Unit};
use std::time::Duration;

/// All of them.
pub static ALL: &[&dyn Metric] =
    &[&PROGRAMMING, &REQUESTS, &REQUEST_DURATION, &RATE_LIMITER, &CONNECTED, &LAST_EVENT, &LISTS];

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

/// How fresh one kind of objects is.
pub struct Freshness {
    connected: Gauge,
    last_event: Gauge,
    lists: Counter,
}

impl Freshness {
    /// That of `kind` at the API server `host`.
    pub fn new(host: &str, kind: &str) -> Self {
        let labels = [host, kind];
        let (connected, last_event) = (CONNECTED.with(&labels), LAST_EVENT.with(&labels));
        connected.set(0.0);
        Freshness { connected, last_event, lists: LISTS.with(&labels) }
    }

    /// The API server has told something at `now`, since 1970.
    pub fn told(&self, now: Duration) {
        self.connected.set(1.0);
        self.last_event.set(now.as_secs_f64());
    }

    /// A list is complete.
    pub fn listed(&self, now: Duration) {
        self.told(now);
        self.lists.inc();
    }

    /// Nothing can be read any more.
    pub fn lost(&self) {
        self.connected.set(0.0);
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

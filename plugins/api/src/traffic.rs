//! What is counted of DNS traffic: by the directive `prometheus` for the queries of its block, by the server for those that
//! reach no block. Names, labels and buckets are those of CoreDNS's `plugin/metrics/vars`.

use crate::clock::Clock;
use crate::codes::{Rcode, RecordType};
use crate::metrics::{Counter, CounterFamily, DURATION_BUCKETS, Histogram, HistogramFamily, Metric, Unit, tally};
use crate::query::Query;
use crate::reply::Outcome;
use crate::server::Site;
use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// All of them.
pub static ALL: &[&dyn Metric] = &[&REQUESTS, &DO, &DURATION, &REQUEST_SIZE, &RESPONSE_SIZE, &RESPONSES];

static REQUESTS: CounterFamily = CounterFamily::new(
    "coredns_dns_requests_total",
    "Counter of DNS requests made per zone, protocol and family.",
    &["family", "proto", "server", "type", "view", "zone"],
);
static DO: CounterFamily = CounterFamily::new(
    "coredns_dns_do_requests_total",
    "Counter of DNS requests with DO bit set per zone.",
    &["server", "view", "zone"],
);
static DURATION: HistogramFamily = HistogramFamily::new(
    "coredns_dns_request_duration_seconds",
    "Histogram of the time (in seconds) each request took per zone.",
    &["server", "view", "zone"],
    DURATION_BUCKETS,
    Unit::Seconds,
);
static REQUEST_SIZE: HistogramFamily = HistogramFamily::new(
    "coredns_dns_request_size_bytes",
    "Size of the EDNS0 UDP buffer in bytes (64K for TCP) per zone and protocol.",
    &["proto", "server", "view", "zone"],
    SIZES,
    Unit::Count,
);
static RESPONSE_SIZE: HistogramFamily = HistogramFamily::new(
    "coredns_dns_response_size_bytes",
    "Size of the returned response in bytes.",
    &["proto", "server", "view", "zone"],
    SIZES,
    Unit::Count,
);
static RESPONSES: CounterFamily = CounterFamily::new(
    "coredns_dns_responses_total",
    "Counter of response status codes.",
    &["plugin", "rcode", "server", "view", "zone"],
);

/// Bucket bounds of sizes, in octets.
const SIZES: &[f64] = &[0.0, 100.0, 200.0, 300.0, 400.0, 511.0, 1023.0, 2047.0, 4095.0, 8291.0, 16e3, 32e3, 48e3, 64e3];

/// The counters of one site; those with more labels come with their first use.
pub struct Traffic {
    site: Site,
    plugin: &'static str,
    duration: Histogram,
    dnssec: OnceLock<Counter>,
    /// By type, protocol and address family.
    requests: Box<[OnceLock<Requests>]>,
    /// By response code, each for replies that a plugin wrote and for others.
    responses: Box<[OnceLock<Counter>]>,
}

/// What is counted of queries of one type that came in one way, the series with fewer labels too: all of it is found at once.
#[derive(Clone, Copy)]
struct Requests {
    count: Counter,
    size: Histogram,
    response_size: Histogram,
}

/// Response codes that have a place of their own.
const CODES: usize = 24;

impl Traffic {
    /// The counters of `site`; `plugin` is the label of replies that a plugin wrote.
    pub fn new(site: &Site, plugin: &'static str) -> Traffic {
        Traffic {
            site: site.clone(),
            plugin,
            duration: DURATION.with(&[&site.server, &site.view, &site.zone]),
            dnssec: OnceLock::new(),
            requests: (0..(TYPES.len() + 1) * 4).map(|_| OnceLock::new()).collect(),
            responses: (0..CODES * 2).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Counts a query with its reply, which is complete now, or with those of its batch. What was asked is told by the client's
    /// message, not by what plugins made of it.
    pub fn count(&self, q: &Query, clock: &Clock) {
        if q.in_batch {
            Batch::add(self.duration, q.received, clock);
        } else {
            self.duration.observe(clock.now().saturating_duration_since(q.received));
        }
        self.count_sized(q, q.reply.plain_len());
    }

    /// Counts a query that takes no time: its reply is still to be made, and will have so many octets.
    pub fn count_at_once(&self, q: &Query, reply_len: usize) {
        self.duration.observe(Duration::ZERO);
        self.count_sized(q, reply_len);
    }

    fn count_sized(&self, q: &Query, reply_len: usize) {
        let proto = usize::from(!q.transport.is_datagram());
        let family = usize::from(!q.client.ip().to_canonical().is_ipv4());
        let kind = TYPES.iter().position(|t| *t == q.asked_type()).unwrap_or(TYPES.len());
        let requests = &self.requests[(kind * 2 + proto) * 2 + family];
        let (requests, response) = (requests.get_or_init(|| self.requests(kind, proto, family)), self.response(q));
        tally(|tally| {
            tally.add(requests.count, 1);
            tally.observe_count(requests.size, q.asked_len() as u64);
            tally.observe_count(requests.response_size, reply_len as u64);
            tally.add(response, 1);
        });
        if q.dnssec_ok() {
            let Site { server, zone, view, .. } = &self.site;
            self.dnssec.get_or_init(|| DO.with(&[server, view, zone])).inc();
        }
    }

    #[cold]
    fn requests(&self, kind: usize, proto: usize, family: usize) -> Requests {
        let Site { server, zone, view, .. } = &self.site;
        let (name, proto) =
            (TYPES.get(kind).map_or_else(|| "other".to_owned(), RecordType::to_string), PROTOCOLS[proto]);
        let size = |family: &HistogramFamily| family.with(&[proto, server, view, zone]);
        Requests {
            count: REQUESTS.with(&[["1", "2"][family], proto, server, &name, view, zone]),
            size: size(&REQUEST_SIZE),
            response_size: size(&RESPONSE_SIZE),
        }
    }

    fn response(&self, q: &Query) -> Counter {
        // A query that gets no reply counts as NOERROR (CoreDNS behaviour).
        let rcode = q.reply.rcode().unwrap_or(Rcode::NOERROR);
        let written = q.reply.outcome() == Outcome::Message;
        let plugin = if written { self.plugin } else { "" };
        let Site { server, zone, view, .. } = &self.site;
        let new = || RESPONSES.with(&[plugin, &rcode.to_string(), server, view, zone]);
        match self.responses.get(usize::from(rcode.0) * 2 + usize::from(written)) {
            Some(place) => *place.get_or_init(new),
            None => new(),
        }
    }
}

/// Queries that were received together and whose replies leave together: the time that each took ends for all at once, and is read
/// off the clock once.
#[derive(Clone, Copy)]
struct Batch {
    duration: Histogram,
    received: Instant,
    queries: u64,
}

thread_local! {
    /// That of this thread which is not complete yet.
    static BATCH: Cell<Option<Batch>> = const { Cell::new(None) };
}

impl Batch {
    /// Adds a query to the batch; one of another batch, or of another site, finds that complete.
    fn add(duration: Histogram, received: Instant, clock: &Clock) {
        let queries = match BATCH.get() {
            Some(batch) if batch.duration == duration && batch.received == received => batch.queries,
            Some(batch) => {
                batch.complete(clock.now());
                0
            }
            None => 0,
        };
        BATCH.set(Some(Batch { duration, received, queries: queries + 1 }));
    }

    fn complete(self, now: Instant) {
        let Batch { duration, received, queries } = self;
        tally(|tally| tally.observe_equal(duration, now.saturating_duration_since(received), queries));
    }
}

/// The replies to all queries that this thread has counted as [`Query::in_batch`] are complete, and leave.
pub fn batch_complete(clock: &Clock) {
    if let Some(batch) = BATCH.take() {
        batch.complete(clock.now());
    }
}

const PROTOCOLS: [&str; 2] = ["udp", "tcp"];

/// Types that are counted by themselves, those that are asked for most in front.
const TYPES: &[RecordType] = &[
    RecordType::A,
    RecordType::AAAA,
    RecordType::SRV,
    RecordType::PTR,
    RecordType::HTTPS,
    RecordType::ANY,
    RecordType::AXFR,
    RecordType::CNAME,
    RecordType::DNSKEY,
    RecordType::DS,
    RecordType::IXFR,
    RecordType::MX,
    RecordType::NS,
    RecordType::NSEC,
    RecordType::NSEC3,
    RecordType::RRSIG,
    RecordType::SOA,
    RecordType::SVCB,
    RecordType::TXT,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::query;

    /// What is shown of the durations of a server's queries: how many took no more than each bound, and how long all took.
    fn durations(server: &str) -> Vec<String> {
        let page = crate::metrics::page();
        let mine = page.lines().filter(|line| line.starts_with(DURATION.name()) && line.contains(server));
        let last = |line: &str| line.rsplit(' ').next().unwrap().to_owned();
        let shown = ["le=\"0.001\"", "le=\"0.002\"", "le=\"+Inf\"", "_sum"];
        mine.filter(|line| shown.iter().any(|one| line.contains(one))).map(last).collect()
    }

    #[test]
    fn queries_of_a_batch_end_together() {
        let clock = Clock::manual();
        let site = |zone: &str| Site { index: 0, server: "dns://batch:53".into(), zone: zone.into(), view: "".into() };
        let (traffic, other) = (Traffic::new(&site("a."), "whoami"), Traffic::new(&site("b."), "whoami"));
        let asked = |in_batch| {
            let mut q = query("a. A");
            (q.received, q.in_batch) = (clock.now(), in_batch);
            q
        };
        let first = [asked(true), asked(true), asked(false)];
        clock.advance(Duration::from_micros(500));
        first.iter().for_each(|q| traffic.count(q, &clock));
        let alone = ["1", "1", "1", "0.0005"];
        assert_eq!(durations("batch"), alone, "those of the batch are under way");
        clock.advance(Duration::from_millis(1));
        batch_complete(&clock);
        let all = ["1", "3", "3", "0.0035"];
        assert_eq!(durations("batch"), all);
        batch_complete(&clock);
        assert_eq!(durations("batch"), all, "counted once");

        // A site of its own, or a time of its own, is a batch of its own.
        traffic.count(&asked(true), &clock);
        clock.advance(Duration::from_millis(4));
        other.count(&asked(true), &clock);
        assert_eq!(durations("batch"), ["1", "3", "4", "0.0075"]);
        batch_complete(&clock);
        assert_eq!(durations("batch")[4..], ["1", "1", "1", "0"]);
    }
}

//! Metrics of the cache directive.

use crate::store::{Side, Store};
use api::Site;
use api::metrics::{Counter, CounterFamily, Gauge, GaugeFamily, Metric};

/// All of them.
pub static ALL: &[&dyn Metric] =
    &[&ENTRIES, &REQUESTS, &HITS, &MISSES, &PREFETCHES, &REFUSED, &DROPS, &SERVED_STALE, &EVICTIONS];

static ENTRIES: GaugeFamily = GaugeFamily::new(
    "coredns_cache_entries",
    "The number of elements in the cache.",
    &["server", "type", "view", "zones"],
);
static REQUESTS: CounterFamily =
    CounterFamily::new("coredns_cache_requests_total", "The count of cache requests.", &["server", "view", "zones"]);
static HITS: CounterFamily =
    CounterFamily::new("coredns_cache_hits_total", "The count of cache hits.", &["server", "type", "view", "zones"]);
static MISSES: CounterFamily = CounterFamily::new(
    "coredns_cache_misses_total",
    "The count of cache misses. Deprecated, derive misses from cache hits/requests counters.",
    &["server", "view", "zones"],
);
static PREFETCHES: CounterFamily = CounterFamily::new(
    "coredns_cache_prefetch_total",
    "The number of times the cache has prefetched a cached item.",
    &["server", "view", "zones"],
);
static REFUSED: CounterFamily = CounterFamily::new(
    "coredns_cache_prefetch_refused_total",
    "The number of times an item was not prefetched because too many are being prefetched.",
    &["server", "view", "zones"],
);
static SERVED_STALE: CounterFamily = CounterFamily::new(
    "coredns_cache_served_stale_total",
    "The number of requests served from stale cache entries.",
    &["server", "view", "zones"],
);
static DROPS: CounterFamily = CounterFamily::new(
    "coredns_cache_drops_total",
    "The number responses that are not cached, because the reply is malformed.",
    &["server", "view", "zones"],
);
static EVICTIONS: CounterFamily = CounterFamily::new(
    "coredns_cache_evictions_total",
    "The count of cache evictions.",
    &["server", "type", "view", "zones"],
);

/// The counters of one site.
pub struct Counters {
    /// Queries that an answer is looked for.
    pub requests: Counter,
    /// Queries for which there is none.
    pub misses: Counter,
    /// Entries that are asked for again in the background.
    pub prefetches: Counter,
    /// Those that are not, because too many are.
    pub refused: Counter,
    /// Replies to another question.
    pub drops: Counter,
    /// Queries answered with what has expired.
    pub served_stale: Counter,
    hits: [Counter; 2],
    evictions: [Counter; 2],
    entries: [Gauge; 2],
}

impl Counters {
    /// Those of `site`; `zones` are the directive's, with commas between.
    pub fn new(site: &Site, zones: &str) -> Counters {
        let Site { server, view, .. } = site;
        let plain = |family: &CounterFamily| family.with(&[server, view, zones]);
        let typed = |family: &CounterFamily| TYPES.map(|side| family.with(&[server, side, view, zones]));
        Counters {
            requests: plain(&REQUESTS),
            misses: plain(&MISSES),
            prefetches: plain(&PREFETCHES),
            refused: plain(&REFUSED),
            drops: plain(&DROPS),
            served_stale: plain(&SERVED_STALE),
            hits: typed(&HITS),
            evictions: typed(&EVICTIONS),
            entries: TYPES.map(|side| ENTRIES.with(&[server, side, view, zones])),
        }
    }

    /// Answers from this table.
    pub fn hits(&self, side: Side) -> Counter {
        self.hits[side as usize]
    }

    /// Entries that had to go for others.
    pub fn evictions(&self, side: Side) -> Counter {
        self.evictions[side as usize]
    }

    /// Shows how many entries there are.
    pub fn show_entries(&self, store: &Store) {
        for side in [Side::Success, Side::Denial] {
            self.entries[side as usize].set(store.table(side).len() as f64);
        }
    }
}

const TYPES: [&str; 2] = ["success", "denial"];

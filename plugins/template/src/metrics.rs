//! Metrics of the template directive.

use crate::data::QueryData;
use api::metrics::{Counter, CounterFamily, Metric};
use api::{Class, Name, RecordType, Site};
use std::borrow::Cow;
use std::sync::OnceLock;

/// All of them.
pub static ALL: &[&dyn Metric] = &[&MATCHES, &TEMPLATE_FAILURES, &RECORD_FAILURES];

static MATCHES: CounterFamily = CounterFamily::new(
    "coredns_template_matches_total",
    "Counter of template regex matches.",
    &["class", "server", "type", "view", "zone"],
);
static TEMPLATE_FAILURES: CounterFamily = CounterFamily::new(
    "coredns_template_template_failures_total",
    "Counter of go template failures.",
    &["class", "section", "server", "template", "type", "view", "zone"],
);
static RECORD_FAILURES: CounterFamily = CounterFamily::new(
    "coredns_template_rr_failures_total",
    "Counter of mis-templated RRs.",
    &["class", "section", "server", "template", "type", "view", "zone"],
);

/// The counters of one entry at one site, by zone and type; those of unusual types and classes are not kept here.
pub struct Counters(Box<[OnceLock<Box<Series>>]>);

/// The counters of one zone, class and type.
#[derive(Clone)]
pub struct Series {
    /// Queries that fit.
    pub matches: Counter,
    site: Site,
    zone: String,
    class: &'static str,
    rtype: &'static str,
}

/// Classes and types without a name, as labels: clients choose them, and there must not be a series for each.
const OTHER: &str = "other";

impl Counters {
    /// For an entry with so many zones.
    pub fn new(zones: usize) -> Counters {
        Counters((0..zones * USUAL).map(|_| OnceLock::new()).collect())
    }

    /// Those of a query: of the entry's zone with number `zone`, and of class and type as templates see them.
    pub fn of(&self, data: &QueryData<'_>, site: &Site, zone: usize) -> Cow<'_, Series> {
        let (class, rtype) = (data.class(), data.rtype());
        let make = || Series::new(site, data.zone, class, rtype);
        let usual = usize::from(rtype.0) < USUAL && class == Class::IN;
        match self.0.get(zone * USUAL + usize::from(rtype.0)).filter(|_| usual) {
            Some(kept) => Cow::Borrowed(&**kept.get_or_init(|| Box::new(make()))),
            None => Cow::Owned(make()),
        }
    }
}

/// Types below this one are counted without a lock: all that are in use but CAA, URI and private ones.
const USUAL: usize = 256;

impl Series {
    fn new(site: &Site, zone: &Name, class: Class, rtype: RecordType) -> Series {
        let zone = zone.to_string();
        let (class, rtype) = (class.mnemonic().unwrap_or(OTHER), rtype.mnemonic().unwrap_or(OTHER));
        let matches = MATCHES.with(&[class, &site.server, rtype, &site.view, &zone]);
        Series { matches, site: site.clone(), zone, class, rtype }
    }

    /// A template could not be executed.
    pub fn template_failed(&self, section: &str, template: &str) {
        TEMPLATE_FAILURES.with(&self.failure(section, template)).inc();
    }

    /// What a template made is no record.
    pub fn record_failed(&self, section: &str, template: &str) {
        RECORD_FAILURES.with(&self.failure(section, template)).inc();
    }

    fn failure<'a>(&'a self, section: &'a str, template: &'a str) -> [&'a str; 7] {
        let Site { server, view, .. } = &self.site;
        [self.class, section, server, template, self.rtype, view, &self.zone]
    }
}

//! Metrics of the template directive.

use api::metrics::{Counter, CounterFamily, Metric};
use api::{Class, RecordType, Site};

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

/// The counters of one entry at one site.
pub struct Counters {
    /// Queries that fit.
    pub matches: Counter,
    site: Site,
    class: String,
    rtype: String,
}

impl Counters {
    /// For an entry of this class and type.
    pub fn new(site: &Site, class: Class, rtype: RecordType) -> Counters {
        let (class, rtype) = (class.to_string(), rtype.to_string());
        let matches = MATCHES.with(&[&class, &site.server, &rtype, &site.view, &site.zone]);
        Counters { matches, site: site.clone(), class, rtype }
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
        let Site { server, zone, view, .. } = &self.site;
        [&self.class, section, server, template, &self.rtype, view, zone]
    }
}

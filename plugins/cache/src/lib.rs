//! The cache directive: remembers answers.
//!
//! What other plugins answer from data that is always up to date (the cluster's names) is neither kept nor hidden by what
//! is kept: see `api::services::Live`.

mod metrics;
mod rules;
mod setup;
mod store;

use api::reply::Kind;
use api::server::PerSite;
use api::services::Live;
use api::setup::Offered;
use api::wire::flag;
use api::{Clock, Plugin, PluginDef, Query, Result, Step};
use metrics::Counters;
use rules::Rules;
use std::sync::Arc;
use store::{Entry, Side, Store};

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "cache", metrics: metrics::ALL, setup: setup::setup };

/// Answers from the store, and keeps what comes by.
struct Cache {
    rules: Rules,
    store: Arc<Store>,
    live: Offered<Arc<dyn Live>>,
    /// The zones, as metrics have them.
    label: String,
    counters: PerSite<Counters>,
    clock: Clock,
}

impl Plugin for Cache {
    fn query(&self, q: &mut Query) -> Result<Step> {
        if !self.in_zones(q) {
            return Ok(Step::Next);
        }
        let counters = self.counters(q);
        if let Some(c) = counters {
            c.requests.inc();
        }
        let live = self.live.iter().any(|live| live.answers(q));
        if !live
            && let Some((side, entry)) = self.store.find(q)
            && let Some(left) = entry.seconds_left(q.received)
        {
            if let Some(c) = counters {
                c.hits(side).inc();
            }
            self.answer(q, &entry, left);
            return Ok(Step::Done);
        }
        if let Some(c) = counters {
            c.misses.inc();
        }
        // Upstreams are asked to say whether they have validated (RFC 6840 5.7), for clients that come later.
        q.set_flags(flag::AD, flag::AD);
        Ok(Step::Next)
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        if !q.reply.is_message() || !self.in_zones(q) {
            return Ok(Step::Done);
        }
        let kind = q.reply.kind(|| self.clock.unix());
        let ttl = self.rules.ttl(&q.reply, kind);
        if q.reply.is_live() {
            // Not kept here; how long clients keep it is bounded all the same.
            q.reply.map_ttls(|_, _| ttl);
            return Ok(Step::Done);
        }
        if ttl > 0 && self.rules.keeps(q, kind) {
            self.keep(q, kind, ttl);
        }
        q.reply.map_ttls(|_, _| ttl);
        // The upstream's OPT is about the way between it and us; the server makes one for the client (RFC 6891 6.1.1).
        q.reply.set_opt(None);
        if !wants_authenticated(q) {
            q.reply.set_flags(flag::AD, 0);
        }
        Ok(Step::Done)
    }
}

impl Cache {
    /// Whether the directive is about this name at all.
    fn in_zones(&self, q: &Query) -> bool {
        self.rules.zones.iter().any(|zone| q.name().is_below(zone.as_ref()))
    }

    fn answer(&self, q: &mut Query, entry: &Entry, left: u32) {
        let Query { question, reply, .. } = &mut *q;
        reply.load(&entry.reply, 0, question);
        q.reply.set_id(q.id());
        let asked = q.flags() & (flag::RD | flag::CD) | flag::AA;
        q.reply.set_flags(flag::RD | flag::CD | flag::AA, asked);
        if !wants_authenticated(q) {
            q.reply.set_flags(flag::AD, 0);
        }
        let ttl = if self.rules.keep_ttl { entry.ttl } else { left };
        q.reply.map_ttls(|_, _| ttl);
    }

    fn keep(&self, q: &Query, kind: Kind, ttl: u32) {
        let counters = self.counters(q);
        if !q.reply.answers(&q.question) {
            if let Some(c) = counters {
                c.drops.inc();
            }
            return;
        }
        let Some(reply) = q.reply.store() else { return };
        let side = Side::of(kind);
        let evicted = self.store.insert(q, side, Entry { reply, ttl, since: self.clock.now() });
        if let Some(c) = counters {
            c.evictions(side).add(evicted);
            c.show_entries(&self.store);
        }
    }

    fn counters(&self, q: &Query) -> Option<&Counters> {
        self.counters.get(q.site()?, |site| Counters::new(site, &self.label))
    }
}

/// Whether the client understands AD (RFC 6840 5.8). What it sent counts: on the way down we set the flag ourselves.
fn wants_authenticated(q: &Query) -> bool {
    q.dnssec_ok() || q.asked_flags() & flag::AD != 0
}

#[cfg(test)]
mod tests;

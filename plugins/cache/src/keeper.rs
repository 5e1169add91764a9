//! Keeps replies, by the rules of the directive.

use crate::entry::{Entry, Head, Time};
use crate::metrics::Counters;
use crate::rules::{Rules, Verdict};
use crate::store::{Side, Store};
use crate::table::Key;
use api::server::PerSite;
use api::wire::flag;
use api::{Clock, Kind, Query, Rcode};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// What the plugin shares with what it does in the background.
pub struct Keeper {
    /// The properties of the directive.
    pub rules: Rules,
    /// The entries; they outlive a reload.
    pub store: Arc<Store>,
    /// The time.
    pub clock: Clock,
    /// Entries that are being asked for in the background.
    pub refreshes: AtomicUsize,
    /// The zones, as metrics have them.
    label: String,
    counters: PerSite<Counters>,
}

/// For whom a reply is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// A client, who gets it.
    Client,
    /// Nobody: the entry was asked for in the background.
    Refresh,
}

impl Keeper {
    /// Keeps replies in `store`.
    pub fn new(rules: Rules, store: Arc<Store>, clock: Clock) -> Keeper {
        let label = rules.zones.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        Keeper { rules, store, clock, refreshes: AtomicUsize::new(0), label, counters: PerSite::default() }
    }

    /// The counters of the place where a query came in.
    pub fn counters(&self, q: &Query) -> Option<&Counters> {
        self.counters.get(q.site()?, |site| Counters::new(site, &self.label))
    }

    /// The time as entries have it.
    pub fn now(&self) -> Time {
        self.store.time(self.clock.now())
    }

    /// Bounds the TTLs of a reply, takes out what is about the way between us and an upstream, and keeps it where it is worth that;
    /// tells whether it was kept.
    pub fn keep(&self, q: &mut Query, reason: Reason) -> bool {
        if !q.reply.is_message() {
            return false;
        }
        let kind = q.reply.kind(|| self.clock.unix());
        let (ttl, kept) = if q.reply.is_live() {
            // It is not kept here; how long clients keep it is bounded all the same.
            (self.rules.ttl(&q.reply, self.rules.kind(q, kind)), false)
        } else {
            let verdict = self.rules.judge(q, kind);
            let ttl = self.rules.ttl(&q.reply, verdict.kind);
            (ttl, verdict.keep && ttl > 0 && self.insert(q, verdict, ttl, reason))
        };
        q.reply.set_ttl(ttl);
        // The server makes an OPT of its own for the client (RFC 6891 6.1.1).
        q.reply.set_opt(None);
        kept
    }

    fn insert(&self, q: &mut Query, verdict: Verdict, ttl: u32, reason: Reason) -> bool {
        let counters = self.counters(q);
        if !q.reply.answers(&q.question) {
            if let Some(c) = counters {
                c.drops.inc();
            }
            return false;
        }
        let (side, key, now) = (Side::of(verdict.kind), self.store.key(q), self.now());
        let (prefers_positive, stale) = (self.rules.prefers_positive(), self.rules.stale_seconds());
        let mut head = Head::new(now, ttl, key.bits, verdict.answering);
        let Query { question, reply, .. } = &mut *q;
        let evicted = reply.store(|octets| {
            let make = |before: Option<Entry<'_>>| {
                if prefers_positive && side == Side::Success {
                    before.into_iter().for_each(|before| head.keep_answer(before));
                }
                head.keep(octets)
            };
            self.store.table(side).insert(question, key, make, (now, stale))
        });
        let Some(evicted) = evicted else { return false };
        // What has just been learnt in the background counts more than a denial from before.
        let replaces = if prefers_positive { verdict.answering } else { reason == Reason::Refresh };
        if side == Side::Success && replaces {
            self.store.table(Side::Denial).remove(&q.question, key);
        }
        if let Some(c) = counters {
            if evicted > 0 {
                c.evictions(side).add(evicted);
            }
            c.show_entries(&self.store);
        }
        true
    }

    /// Whether a reply may take the place of what has expired (RFC 8767 4).
    pub fn refreshes(&self, q: &Query) -> bool {
        let complete = q.reply.is_message() && q.reply.flags() & flag::TC == 0 && q.reply.answers(&q.question);
        if !complete {
            return false;
        }
        let kind = q.reply.kind(|| self.clock.unix());
        if self.rules.prefers_positive() {
            return self.rules.judge(q, kind).answering;
        }
        let says_so = matches!(q.reply.rcode(), Some(Rcode::NOERROR | Rcode::NXDOMAIN));
        says_so && !matches!(kind, Kind::Other | Kind::Meta | Kind::Update)
    }

    /// Takes over the reply to a query that was sent because of what has expired; tells whether it takes its place, and whether it
    /// was kept.
    pub fn take_over(&self, q: &mut Query, reason: Reason) -> (bool, bool) {
        let refreshes = self.refreshes(q);
        let complete = q.reply.flags() & flag::TC == 0 && q.reply.answers(&q.question);
        let kept = (refreshes || self.rules.prefers_positive() && complete) && self.keep(q, reason);
        (refreshes, kept)
    }

    /// Where the answer to a query is.
    pub fn key(&self, q: &Query) -> Key {
        self.store.key(q)
    }
}

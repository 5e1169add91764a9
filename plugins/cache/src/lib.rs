//! The cache directive: remembers answers.
//!
//! A query that has an answer in the store gets it at once. What is used often, or has expired, is asked for again from the plugins
//! below (`refresh`), in the background or, with `serve_stale verify`, before the client gets what has expired.
//!
//! What other plugins answer from data that is always up to date (the cluster's names) is neither kept nor hidden by what
//! is kept: see `api::services::Live`.

mod entry;
mod keeper;
mod metrics;
mod refresh;
mod rules;
mod setup;
mod store;
mod table;

use api::metrics::tally;
use api::reply::{Again, Stored};
use api::services::Live;
use api::setup::Offered;
use api::wire::flag;
use api::{InfoCode, Plugin, PluginDef, Query, Question, Rcode, Reply, Result, Step, Waiting, Ways};
use entry::{Entry, Kept, SECOND, Time};
use keeper::{Keeper, Reason};
use refresh::{Refresh, copy_of};
use rules::Mode;
use std::sync::Arc;
use std::time::Duration;
use store::Side;
use table::Key;
use tokio::time::timeout;

/// The directive.
pub static PLUGIN: PluginDef =
    PluginDef { name: DIRECTIVE, properties: PROPERTIES, metrics: metrics::ALL, setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] =
    &["success", "denial", "servfail", "disable", "keepttl", "prefetch", "serve_stale", "serve_stale_policy"];

const DIRECTIVE: &str = "cache";

/// Answers from the store, and keeps what comes by.
struct Cache {
    keeper: Arc<Keeper>,
    live: Offered<Arc<dyn Live>>,
}

impl Plugin for Cache {
    fn ways(&self) -> Ways {
        Ways::Both
    }

    fn query(&self, q: &mut Query) -> Result<Step> {
        if !self.in_zones(q) {
            return Ok(Step::Next);
        }
        let counters = self.keeper.counters(q);
        let live = self.live.iter().any(|live| live.answers(q));
        if !live && let Some(step) = self.look(q) {
            if let Some(c) = counters {
                c.requests.inc();
            }
            return Ok(step);
        }
        if let Some(c) = counters {
            tally(|tally| {
                tally.add(c.requests, 1);
                tally.add(c.misses, 1);
            });
        }
        // Upstreams are asked to say whether they have validated (RFC 6840 5.7), for clients that come later.
        q.set_flags(flag::AD, flag::AD);
        Ok(Step::Next)
    }

    fn wait<'a>(&'a self, q: &'a mut Query) -> Waiting<'a> {
        Box::pin(self.verify_for(q))
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        if let Some(expired) = q.take_note::<Expired>() {
            self.verified(q, expired);
        } else if q.reply.is_message() && self.in_zones(q) {
            self.keeper.keep(q, Reason::Client);
            hide_authenticated(q);
        }
        Ok(Step::Done)
    }
}

/// What was found for a query.
struct Hit {
    side: Side,
    /// When it was received, and when it is said to be used.
    times: (Time, Time),
    stale: bool,
    /// It is to be asked for again.
    refresh: bool,
    /// The reply, and its TTL, where the client may get it later only.
    later: Option<(Kept, u32)>,
}

/// What has expired, and is answered where nothing better comes; a note of the query.
struct Expired {
    kept: Kept,
    ttl: u32,
    refresh: Option<Refresh>,
}

impl Cache {
    /// Whether the directive is about this name at all.
    fn in_zones(&self, q: &Query) -> bool {
        self.keeper.rules.zones.iter().any(|zone| q.name().is_below(zone.as_ref()))
    }

    /// Answers from the store, where there is something; tells where the query goes then.
    fn look(&self, q: &mut Query) -> Option<Step> {
        let key = self.keeper.key(q);
        let (now, flags) = (self.keeper.store.time(q.received), reply_flags(q));
        let again = Again { id: q.id(), flags, ttl: None };
        let Query { question, reply, .. } = &mut *q;
        let hit = self.find(question, key, now, |side, entry| self.take(side, entry, now, again, question, reply))?;
        if let Some(c) = self.keeper.counters(q) {
            c.hits(hit.side).inc();
        }
        if let Some((kept, ttl)) = hit.later {
            let refresh = hit.refresh.then(|| Refresh::new(&self.keeper, q, key, hit.times));
            return Some(self.verify(q, Expired { kept, ttl, refresh }));
        }
        if hit.stale {
            self.served_stale(q);
        }
        if hit.refresh {
            Refresh::new(&self.keeper, q, key, hit.times).begin(q, hit.stale);
        }
        Some(Step::Done)
    }

    /// The entry for a question that may be used: denials before answers, but for failures; where answers are preferred, those first.
    fn find<T>(
        &self,
        question: &Question,
        key: Key,
        now: Time,
        mut take: impl FnMut(Side, Entry<'_>) -> T,
    ) -> Option<T> {
        let Keeper { rules, store, .. } = &*self.keeper;
        let stale = rules.stale_seconds();
        let usable = |entry: Entry<'_>| entry.usable(now, stale);
        let (success, denial) = (store.table(Side::Success), store.table(Side::Denial));
        if stale > 0 && rules.prefers_positive() {
            let mut answer = |entry: Entry<'_>| {
                entry.answer().filter(|entry| usable(*entry)).map(|entry| take(Side::Success, entry))
            };
            if let Some(found) = success.read(question, key, &mut answer).flatten() {
                return Some(found);
            }
        }
        let mut failure = false;
        let found = denial.read(question, key, |entry| {
            failure = usable(entry) && entry.is_failure();
            (usable(entry) && !failure).then(|| take(Side::Denial, entry))
        });
        if let Some(found) = found.flatten() {
            return Some(found);
        }
        let found = success.read(question, key, |entry| usable(entry).then(|| take(Side::Success, entry))).flatten();
        if found.is_some() || !failure {
            return found;
        }
        denial.read(question, key, |entry| usable(entry).then(|| take(Side::Denial, entry))).flatten()
    }

    /// Makes an entry the reply, or keeps it for later.
    fn take(
        &self,
        side: Side,
        entry: Entry<'_>,
        now: Time,
        again: Again,
        question: &Question,
        reply: &mut Reply,
    ) -> Hit {
        let rules = &self.keeper.rules;
        let left = entry.left(now);
        let (Some(stale), true) = (rules.stale, left <= 0) else {
            let ttl = if rules.keep_ttl { entry.ttl } else { left as u32 };
            reply.load(entry.reply(), Again { ttl: Some(ttl), ..again }, question);
            if entry.is_failure() {
                reply.explain(InfoCode::CACHED_ERROR);
            }
            let refresh = rules.prefetch.is_some_and(|prefetch| {
                entry.count(now, prefetch.gap) >= prefetch.amount
                    && left <= prefetch.threshold(entry.ttl)
                    && entry.begin_refresh(now)
            });
            return Hit { side, times: (entry.since, now), stale: false, refresh, later: None };
        };
        let ttl = match stale.ttl {
            0 if rules.keep_ttl => entry.ttl,
            ttl => ttl,
        };
        let used = now.saturating_sub(left.unsigned_abs() * SECOND);
        let hit = Hit { side, times: (entry.since, used), stale: true, refresh: entry.begin_refresh(now), later: None };
        let tracked = stale.recheck > Duration::ZERO;
        if stale.mode != Mode::Immediate && (hit.refresh || !tracked) {
            return Hit { later: Some((entry.hold(), ttl)), ..hit };
        }
        load_stale(reply, entry.reply(), Again { ttl: Some(ttl), ..again }, question);
        Hit { refresh: hit.refresh && stale.mode == Mode::Immediate, ..hit }
    }

    fn served_stale(&self, q: &Query) {
        if let Some(c) = self.keeper.counters(q) {
            c.served_stale.inc();
        }
    }
}

/// `serve_stale verify`
impl Cache {
    /// Asks for the query's entry before what has expired is answered.
    fn verify(&self, q: &mut Query, expired: Expired) -> Step {
        q.set_flags(flag::AD, flag::AD);
        q.set_note(expired);
        match self.limit() {
            Duration::ZERO => Step::Next,
            _ => Step::Wait,
        }
    }

    /// How long a client waits for something better than what has expired; zero is for as long as it takes.
    fn limit(&self) -> Duration {
        match self.keeper.rules.stale.map(|stale| stale.mode) {
            Some(Mode::Verify(limit)) => limit,
            _ => Duration::ZERO,
        }
    }

    /// Looks at the reply that has come in place of what has expired.
    #[cold]
    fn verified(&self, q: &mut Query, expired: Expired) {
        let (refreshed, _) = self.keeper.take_over(q, Reason::Client);
        if let Some(refresh) = expired.refresh {
            refresh.end(refreshed);
        }
        match refreshed {
            true => hide_authenticated(q),
            false => self.answer_stale(q, &expired.kept, expired.ttl),
        }
    }

    /// Asks for the query's entry, and answers what has expired when that takes too long.
    async fn verify_for(&self, q: &mut Query) -> Result<Step> {
        let Some(expired) = q.take_note::<Expired>() else { return Ok(Step::Next) };
        let mut waiting = copy_of(q, q.transport).run_below(DIRECTIVE);
        let Ok(mut copy) = timeout(self.limit(), &mut waiting).await else {
            // Of all who wait one goes on.
            if let Some(refresh) = expired.refresh {
                refresh.go_on(waiting);
            }
            self.answer_stale(q, &expired.kept, expired.ttl);
            return Ok(Step::Done);
        };
        let (refreshed, kept) = self.keeper.take_over(&mut copy, Reason::Refresh);
        if let Some(refresh) = expired.refresh {
            refresh.end(refreshed);
        }
        if !refreshed {
            self.answer_stale(q, &expired.kept, expired.ttl);
            return Ok(Step::Done);
        }
        let (mask, bits) = reply_flags(q);
        std::mem::swap(&mut q.reply, &mut copy.reply);
        if kept {
            q.reply.set_flags(mask, bits);
        } else {
            hide_authenticated(q);
        }
        Ok(Step::Done)
    }

    fn answer_stale(&self, q: &mut Query, kept: &Kept, ttl: u32) {
        let again = Again { id: q.id(), flags: reply_flags(q), ttl: Some(ttl) };
        let Query { question, reply, .. } = &mut *q;
        load_stale(reply, Entry::of(kept).reply(), again, question);
        self.served_stale(q);
    }
}

/// Makes the reply of what has expired.
fn load_stale(reply: &mut Reply, stored: Stored<'_>, again: Again, question: &Question) {
    reply.load(stored, again, question);
    reply.explain(match stored.rcode() {
        Rcode::NXDOMAIN => InfoCode::STALE_NXDOMAIN_ANSWER,
        Rcode::SERVFAIL => InfoCode::CACHED_ERROR,
        _ => InfoCode::STALE_ANSWER,
    });
}

/// The header bits that an answer from the store gets anew, and to what.
fn reply_flags(q: &Query) -> (u16, u16) {
    let authenticated = if wants_authenticated(q) { 0 } else { flag::AD };
    let mask = flag::AA | flag::RD | flag::CD | authenticated;
    (mask, flag::AA | q.flags() & (flag::RD | flag::CD))
}

/// Takes AD from the reply where the client does not understand it.
fn hide_authenticated(q: &mut Query) {
    if !wants_authenticated(q) {
        q.reply.set_flags(flag::AD, 0);
    }
}

/// Whether the client understands AD (RFC 6840 5.8). What it sent counts: on the way down we set the flag ourselves.
fn wants_authenticated(q: &Query) -> bool {
    q.dnssec_ok() || q.asked_flags() & flag::AD != 0
}

#[cfg(test)]
mod tests;

//! Asks for entries again: in the background, or while a client waits.

use crate::DIRECTIVE;
use crate::entry::Time;
use crate::keeper::{Keeper, Reason};
use crate::table::Key;
use api::task::beside_to_its_end;
use api::wire::flag;
use api::{Query, Question, Transport};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Entries that one cache asks for in the background at the same time.
const MAX_REFRESHES: usize = 1_000;

/// An entry that is being asked for again: by nobody else until this is dropped.
pub struct Refresh {
    keeper: Arc<Keeper>,
    question: Question,
    key: Key,
    /// When the entry was received: what tells it from the one that takes its place.
    since: Time,
    /// When its use was noticed that led to this.
    used: Time,
    failed: bool,
}

impl Refresh {
    /// The entry for the question of `q` that was received at `since` and last used at `used`, which said that it is to be asked
    /// for ([`crate::entry::Head::begin_refresh`]).
    pub fn new(keeper: &Arc<Keeper>, q: &Query, key: Key, (since, used): (Time, Time)) -> Refresh {
        Refresh { keeper: keeper.clone(), question: q.question.clone(), key, since, used, failed: false }
    }

    /// Asks for it in the background; `stale` where it has expired.
    pub fn begin(self, q: &Query, stale: bool) {
        let keeper = self.keeper.clone();
        let (copy, place) = (copy_of(q, q.transport), Place::take(&keeper));
        let work = async move {
            let _place = place;
            self.run(copy, stale).await;
        };
        let begun = keeper.refreshes.load(Relaxed) <= MAX_REFRESHES && beside_to_its_end(DIRECTIVE, work).is_ok();
        if let Some(c) = keeper.counters(q) {
            if begun { c.prefetches.inc() } else { c.refused.inc() }
        }
    }

    /// Goes on in the background with what has begun before a client, who does not wait any longer.
    pub fn go_on(self, waiting: impl Future<Output = Box<Query>> + Send + 'static) {
        let place = Place::take(&self.keeper);
        let work = async move {
            let _place = place;
            let mut copy = waiting.await;
            let keeper = self.keeper.clone();
            let (refreshed, _) = keeper.take_over(&mut copy, Reason::Refresh);
            self.end(refreshed);
        };
        // Where there is no room the entry just stays as it is.
        let _begun = beside_to_its_end(DIRECTIVE, work);
    }

    /// What came of it.
    pub fn end(mut self, refreshed: bool) {
        self.failed = !refreshed;
    }

    async fn run(self, copy: Box<Query>, stale: bool) {
        let keeper = self.keeper.clone();
        let mut copy = copy.run_below(DIRECTIVE).await;
        if copy.reply.flags() & flag::TC != 0 && copy.transport.is_datagram() {
            copy = copy_of(&copy, Transport::Tcp).run_below(DIRECTIVE).await;
        }
        let hits = keeper.store.read_of(&self.question, self.key, self.since, |entry| entry.hits()).unwrap_or(0);
        let refreshed = if stale {
            keeper.take_over(&mut copy, Reason::Refresh).0
        } else {
            keeper.keep(&mut copy, Reason::Refresh);
            true
        };
        if refreshed {
            keeper.store.read_any(&self.question, self.key, |entry| entry.go_on(hits, self.used));
        }
        self.end(refreshed);
    }
}

impl Drop for Refresh {
    fn drop(&mut self) {
        let Keeper { rules, store, .. } = &*self.keeper;
        let recheck = rules.stale.map_or(0, |stale| stale.recheck.as_nanos() as Time);
        let not_before = (self.failed && recheck > 0).then(|| self.keeper.now() + recheck);
        store.read_of(&self.question, self.key, self.since, |entry| entry.end_refresh(not_before));
    }
}

/// The query as the plugins below get it to ask for an entry: upstreams are asked to say whether they have validated.
pub fn copy_of(q: &Query, transport: Transport) -> Box<Query> {
    let mut copy = q.ask_too(q.question.original(), q.rtype());
    copy.set_flags(flag::AD, flag::AD);
    (copy.transport, copy.deadline) = (transport, None);
    copy
}

/// One of those that are asked for at the same time.
struct Place(Arc<Keeper>);

impl Place {
    fn take(keeper: &Arc<Keeper>) -> Place {
        keeper.refreshes.fetch_add(1, Relaxed);
        Place(keeper.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.refreshes.fetch_sub(1, Relaxed);
    }
}

//! One entry: a reply that is kept, and what is known about its use.

use api::reply::Stored;
use api::{Question, Rcode};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Nanoseconds since the store was made.
pub type Time = u64;

/// A reply that is kept.
#[derive(Debug)]
pub struct Entry {
    /// The reply.
    pub reply: Stored,
    /// When it was received.
    pub since: Time,
    /// What its TTLs were at first, in seconds.
    pub ttl: u32,
    /// Questions with other bits do not share it.
    pub bits: u8,
    /// It answers its question, and not only denies or refers.
    pub answering: bool,
    /// It has been used since it was last passed over when a place was looked for.
    used: AtomicBool,
    /// It is being asked for again.
    refreshing: AtomicBool,
    /// How often it was used, for `prefetch`.
    hits: AtomicU32,
    /// Milliseconds from when it was received to when it was last used, for `prefetch`.
    last: AtomicI32,
    /// What most entries do not have.
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    /// It is not asked for again before, because that has failed.
    not_before: Time,
    /// The last reply that answered the question, where this one does not (`serve_stale_policy prefer_positive`).
    answer: Option<Entry>,
}

impl Entry {
    /// A reply that was received at `since` and may be used for `ttl` seconds.
    pub fn new(reply: Stored, since: Time, ttl: u32, bits: u8, answering: bool) -> Entry {
        let (used, refreshing) = (AtomicBool::new(false), AtomicBool::new(false));
        let (hits, last) = (AtomicU32::new(0), AtomicI32::new(0));
        Entry { reply, since, ttl, bits, answering, used, refreshing, hits, last, more: None }
    }

    /// Whether a question with these bits shares it.
    pub fn is_for(&self, question: &Question, bits: u8) -> bool {
        self.bits == bits && self.reply.answers(question)
    }

    /// The seconds that it may still be used; since when it has expired, where that is negative.
    pub fn left(&self, now: Time) -> i64 {
        i64::from(self.ttl) - (now.saturating_sub(self.since) / SECOND) as i64
    }

    /// Whether it may be used, up to so many seconds after it has expired.
    pub fn usable(&self, now: Time, stale: u64) -> bool {
        let left = self.left(now);
        left > 0 || left.unsigned_abs() < stale
    }

    /// Whether it tells of a failure, which hides no answer.
    pub fn is_failure(&self) -> bool {
        self.reply.rcode() == Rcode::SERVFAIL
    }

    /// Octets of memory that it takes.
    pub fn size(&self) -> usize {
        let before = self.answer().map_or(0, |answer| size_of::<More>() + answer.reply.size());
        size_of::<Entry>() + self.reply.size() + before
    }

    /// Notes that it is used; writes only where that is not known yet.
    pub fn touch(&self) {
        if !self.used.load(Relaxed) {
            self.used.store(true, Relaxed);
        }
    }

    /// Whether it was used since this was last asked.
    pub fn take_used(&self) -> bool {
        self.used.swap(false, Relaxed)
    }

    /// Counts a use, and returns how many there were with no gap over `gap` between; a negative one is always over.
    pub fn count(&self, now: Time, gap: Option<Duration>) -> u32 {
        let now = millis(now, self.since);
        let before = self.last.swap(now, Relaxed);
        let close = gap.is_some_and(|gap| u128::from(now.saturating_sub(before).unsigned_abs()) <= gap.as_millis());
        let hits = if close { self.hits.load(Relaxed).saturating_add(1) } else { 1 };
        self.hits.store(hits, Relaxed);
        hits
    }

    /// How often it was used.
    pub fn hits(&self) -> u32 {
        self.hits.load(Relaxed)
    }

    /// Goes on counting from the entry that this one replaces, which was last used at `last`.
    pub fn go_on(&self, hits: u32, last: Time) {
        self.hits.store(hits, Relaxed);
        self.last.store(millis(last, self.since), Relaxed);
    }

    /// Whether it is to be asked for again now, by who calls this: nobody else does, and it has not just failed.
    pub fn begin_refresh(&self, now: Time) -> bool {
        let early = self.more.as_ref().is_some_and(|more| now < more.not_before);
        !early && !self.refreshing.load(Relaxed) && !self.refreshing.swap(true, Relaxed)
    }

    /// Nobody asks for it any more.
    pub fn end_refresh(&self) {
        self.refreshing.store(false, Relaxed);
    }

    /// It is not asked for again before then.
    pub fn not_before(&mut self, then: Time) {
        if then > 0 || self.more.is_some() {
            self.more.get_or_insert_default().not_before = then;
        }
    }

    /// The last reply that answered the question, this one or the one before.
    pub fn answer(&self) -> Option<&Entry> {
        if self.answering { Some(self) } else { self.more.as_ref()?.answer.as_ref() }
    }

    /// This one or the one before, whichever was received at `since`.
    pub fn received(&mut self, since: Time) -> Option<&mut Entry> {
        if self.since == since {
            return Some(self);
        }
        self.more.as_mut()?.answer.as_mut().filter(|answer| answer.since == since)
    }

    /// Keeps the answer of `before`, which this one replaces, where this one is none.
    pub fn keep_answer(&mut self, before: Entry) {
        if self.answering {
            return;
        }
        let answer = if before.answering { Some(before) } else { before.more.and_then(|more| more.answer) };
        if answer.is_some() {
            self.more.get_or_insert_default().answer = answer;
        }
    }
}

/// Milliseconds from `from` to `to`, as far as they can be told.
fn millis(to: Time, from: Time) -> i32 {
    let millis = (i128::from(to) - i128::from(from)) / 1_000_000;
    i32::try_from(millis).unwrap_or(if millis < 0 { i32::MIN } else { i32::MAX })
}

/// Nanoseconds.
pub const SECOND: Time = 1_000_000_000;

//! One entry: a reply that is kept, and what is known about its use.

use api::reply::Stored;
use api::{Question, Rcode};
use std::ops::Deref;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;
use triomphe::{HeaderWithLength, ThinArc};

/// Nanoseconds since the store was made.
pub type Time = u64;

/// An entry, counted: one allocation, the octets of the reply ([`Stored`]) behind what is known about it.
pub type Kept = ThinArc<Head, u8>;

/// An entry that is looked at.
#[derive(Clone, Copy)]
pub struct Entry<'a>(&'a Kept);

/// What is known about a reply that is kept.
pub struct Head {
    /// When it was received.
    pub since: Time,
    /// The last reply that answered the question, where this one does not (`serve_stale_policy prefer_positive`).
    answer: Option<Kept>,
    /// What its TTLs were at first, in seconds.
    pub ttl: u32,
    /// How often it was used, for `prefetch`.
    hits: AtomicU32,
    /// In [`millis`]: when it was last used, for `prefetch`; of what has expired, when it may be asked for again, where that has failed.
    mark: AtomicU32,
    /// Questions with other bits do not share it.
    bits: u8,
    /// It answers its question, and not only denies or refers.
    answering: bool,
    /// It is being asked for again.
    refreshing: AtomicBool,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Head>() == 32, "what stands in front of each reply");

/// Octets of an entry besides those of its reply.
const FRONT: usize = size_of::<usize>() + size_of::<HeaderWithLength<Head>>();

impl<'a> Entry<'a> {
    /// A look at what is kept.
    pub fn of(kept: &'a Kept) -> Entry<'a> {
        Entry(kept)
    }

    /// The reply.
    pub fn reply(self) -> Stored<'a> {
        Stored::of(&self.0.slice)
    }

    /// The entry for somebody who holds on to it.
    pub fn hold(self) -> Kept {
        self.0.clone()
    }

    /// Whether a question with these bits shares it.
    pub fn is_for(self, question: &Question, bits: u8) -> bool {
        self.bits == bits && self.reply().answers(question)
    }

    /// Whether it tells of a failure, which hides no answer.
    pub fn is_failure(self) -> bool {
        self.reply().rcode() == Rcode::SERVFAIL
    }

    /// Octets of memory that it takes, with the answer of the one before.
    pub fn size(self) -> usize {
        let own = |kept: &Kept| FRONT + kept.slice.len();
        own(self.0) + self.answer.as_ref().map_or(0, own)
    }

    /// The last reply that answered the question, this one or the one before.
    pub fn answer(self) -> Option<Entry<'a>> {
        if self.answering { Some(self) } else { self.0.header.header.answer.as_ref().map(Entry) }
    }
}

impl Deref for Entry<'_> {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.0.header.header
    }
}

impl Head {
    /// Of a reply that was received at `since` and may be used for `ttl` seconds.
    pub fn new(since: Time, ttl: u32, bits: u8, answering: bool) -> Head {
        let (hits, mark) = (AtomicU32::new(0), AtomicU32::new(millis(since)));
        Head { since, answer: None, ttl, hits, mark, bits, answering, refreshing: AtomicBool::new(false) }
    }

    /// Keeps the answer of `before`, which this one replaces, where this one is none.
    pub fn keep_answer(&mut self, before: Entry<'_>) {
        if !self.answering {
            self.answer = before.answer().map(Entry::hold);
        }
    }

    /// The entry whose reply is in these octets.
    pub fn keep(self, octets: &[u8]) -> Kept {
        ThinArc::from_header_and_slice(self, octets)
    }

    /// The seconds that it may still be used; since when it has expired, where that is negative.
    pub fn left(&self, now: Time) -> i64 {
        i64::from(self.ttl) - (now.saturating_sub(self.since) / SECOND) as i64
    }

    /// Whether it may be used, up to so many seconds after it has expired.
    pub fn usable(&self, now: Time, stale: u64) -> bool {
        now < self.usable_until(stale)
    }

    /// Until when it may be used, that is.
    pub fn usable_until(&self, stale: u64) -> Time {
        self.since.saturating_add(u64::from(self.ttl).saturating_add(stale).saturating_mul(SECOND))
    }

    /// Counts a use, and returns how many there were with no gap over `gap` between; a negative one is always over.
    pub fn count(&self, now: Time, gap: Option<Duration>) -> u32 {
        let now = millis(now);
        let before = self.mark.swap(now, Relaxed);
        let apart = now.wrapping_sub(before).cast_signed().unsigned_abs();
        let close = gap.is_some_and(|gap| u128::from(apart) <= gap.as_millis());
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
        self.mark.store(millis(last), Relaxed);
    }

    /// Whether it is to be asked for again now, by who calls this: nobody else does, and it has not just failed.
    pub fn begin_refresh(&self, now: Time) -> bool {
        // The last use is never to come, nor is it taken for a pause, unless it was seven weeks ago. Who sees that nobody asks for it sees
        // what came of that, too.
        let early = || {
            let left = self.mark.load(Relaxed).wrapping_sub(millis(now));
            left > 0 && u128::from(left) <= LONGEST_PAUSE.as_millis()
        };
        !self.refreshing.load(Acquire) && !early() && !self.refreshing.swap(true, Relaxed)
    }

    /// Nobody asks for it any more; nor does anybody before then, where that is given: in no more than [`LONGEST_PAUSE`].
    pub fn end_refresh(&self, not_before: Option<Time>) {
        if let Some(then) = not_before {
            self.mark.store(millis(then), Relaxed);
        }
        self.refreshing.store(false, Release);
    }
}

/// A time in milliseconds; they begin anew after seven weeks.
fn millis(time: Time) -> u32 {
    (time / 1_000_000) as u32
}

/// How long an entry may be left alone where asking for it again has failed.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Nanoseconds.
pub const SECOND: Time = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_kept_however_old_the_entry_is() {
        const DAY: Time = 24 * 3_600 * SECOND;
        for age in [0, 1, 24, 25, 49, 50, 365].map(|days| days * DAY) {
            let (head, failed) = (Head::new(DAY, 60, 0, true), DAY + age);
            assert!(head.begin_refresh(failed) && !head.begin_refresh(failed), "one asks");
            head.end_refresh(Some(failed + 300 * SECOND));
            let begins = [0, 1, 299].map(|seconds| head.begin_refresh(failed + seconds * SECOND));
            assert_eq!(begins, [false; 3], "{} days", age / DAY);
            assert!(head.begin_refresh(failed + 300 * SECOND));
            head.end_refresh(None);
            assert!(head.begin_refresh(failed + 30 * DAY));
        }
    }

    #[test]
    fn uses_are_counted_while_they_are_close_to_each_other() {
        let head = Head::new(0, 60, 0, true);
        let gap = |seconds| Some(Duration::from_secs(seconds));
        let count = |second, gap| head.count(second * SECOND, gap);
        assert_eq!([count(0, gap(5)), count(5, gap(5)), count(4, gap(5)), count(10, gap(5))], [1, 2, 3, 1]);
        assert_eq!([count(10, None), count(10, None)], [1, 1]);
        let weeks = 7 * 7 * 24 * 3_600;
        assert_eq!([count(weeks, gap(5)), count(weeks + 100_000, gap(5)), count(weeks + 100_005, gap(5))], [1, 1, 2]);
    }

    #[test]
    fn what_entries_take_is_counted_once() {
        let octets = [0; 100];
        let head = |answering| Head::new(0, 60, 0, answering);
        let answer = head(true).keep(&octets);
        assert_eq!(Entry::of(&answer).size(), 148);
        let mut denial = head(false);
        denial.keep_answer(Entry::of(&answer));
        let denial = denial.keep(&octets[..50]);
        assert_eq!(Entry::of(&denial).size(), 98 + 148);
        let mut next = head(false);
        next.keep_answer(Entry::of(&denial));
        assert_eq!(Entry::of(&next.keep(&[])).size(), 48 + 148, "the answer, not all that came before");
    }
}

//! How well an upstream has answered lately, as one worker has seen it: what retransmissions and the default policy go by.
//!
//! Only its own worker writes here, but for what a health check forgives; the numbers are atomic because all workers' stand side
//! by side.

use api::Rcode;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The shortest time after which a query is sent again.
const FLOOR: Duration = Duration::from_millis(50);
/// So many queries without any reply, for so long at least, say that the upstream is mute.
const MANY: u32 = 64;
const MUTE: Duration = Duration::from_millis(250);
/// Milliseconds between two queries that it is sent all the same while others are held back.
const TRIAL: u64 = 10;
/// Microseconds that an upstream may need more than twice the time of the best one and still be as good.
const SLACK: u32 = 20_000;
/// Microseconds that an upstream counts as slower which only answers with failures.
const FAILING: u32 = 1_000_000;
/// Share of failures: all.
const ALL: u32 = 1 << 10;
/// Milliseconds between two looks at an upstream that is not preferred.
const LOOK: u64 = 1_000;

/// What is known of an upstream's answers.
#[derive(Debug, Default)]
pub struct Pace {
    /// Smoothed round-trip time in microseconds; 0 is unknown.
    smoothed: AtomicU32,
    /// Smoothed deviation from it.
    deviation: AtomicU32,
    /// Microseconds that were not enough for it lately, doubled; 0 since it has replied.
    in_vain: AtomicU32,
    /// Smoothed share of replies that say that the upstream cannot answer, of [`ALL`].
    failing: AtomicU32,
    /// When it was last looked at although others are preferred, in milliseconds of the upstream's time.
    looked: AtomicU64,
    /// Queries that were sent since it last replied, and when the first of them was, in milliseconds of the upstream's time.
    unanswered: AtomicU32,
    unanswered_since: AtomicU64,
    /// When it was last sent a query although others are held back, in milliseconds of the upstream's time.
    tried: AtomicU64,
    /// When it last replied, in milliseconds of the upstream's time, and one more; 0 is never.
    replied: AtomicU64,
}

impl Pace {
    /// A reply came at `now` (milliseconds), `took` after the first transmission (RFC 6298 2).
    pub fn replied(&self, now: u64, took: Duration, rcode: Rcode) {
        let took = micros(took);
        let (smoothed, deviation) = match self.smoothed.load(Relaxed) {
            0 => (took, took / 2),
            before => {
                let off = took.abs_diff(before);
                (mix(before, took, 8), mix(self.deviation.load(Relaxed), off, 4))
            }
        };
        self.smoothed.store(smoothed.max(1), Relaxed);
        self.deviation.store(deviation, Relaxed);
        let failed = if says_failure(rcode) { ALL } else { 0 };
        let before = self.failing.load(Relaxed);
        if before != failed {
            self.failing.store(mix(before, failed, 4), Relaxed);
        }
        self.in_vain.store(0, Relaxed);
        self.unanswered.store(0, Relaxed);
        self.replied.store(now + 1, Relaxed);
    }

    /// A query is sent at `now` (milliseconds). Returns whether the upstream is mute: many queries have got no reply at all, for
    /// much longer than it needs.
    pub fn sent(&self, now: impl Fn() -> u64) -> bool {
        let before = self.unanswered.load(Relaxed);
        self.unanswered.store(before.saturating_add(1), Relaxed);
        if before == 0 {
            self.unanswered_since.store(now(), Relaxed);
        }
        self.is_silent(now, || MUTE.max(4 * self.patience(MUTE)))
    }

    /// Whether a query is better held back at `now` (milliseconds) than sent: many have got no reply for longer than the upstream
    /// needs, so that it is slow, has stalled or will soon turn out to be mute. One is sent from time to time.
    pub fn holds_back(&self, now: impl Fn() -> u64) -> bool {
        self.is_silent(&now, || self.patience(MUTE)) && !self.is_tried(now())
    }

    /// Whether many queries have got no reply at all for so long; as a rule they are few, and nobody needs to know the time.
    fn is_silent(&self, now: impl Fn() -> u64, patience: impl Fn() -> Duration) -> bool {
        let long = || now() >= self.unanswered_since.load(Relaxed) + patience().as_millis() as u64;
        self.unanswered.load(Relaxed) >= MANY && long()
    }

    /// Whether a query is sent although others are held back; if so, the next one is later.
    fn is_tried(&self, now: u64) -> bool {
        let due = now >= self.tried.load(Relaxed) + TRIAL;
        if due {
            self.tried.store(now, Relaxed);
        }
        due
    }

    /// The upstream has turned out to be alive otherwise: its silence until now does not count.
    pub fn forgive(&self) {
        self.unanswered.store(0, Relaxed);
    }

    /// No reply came for so long; another upstream has answered meanwhile, or the time is up.
    pub fn waited_in_vain(&self, waited: Duration) {
        self.in_vain.fetch_max(micros(waited).saturating_mul(2), Relaxed);
    }

    /// How long a reply is waited for before the query is sent again; `unknown` where nothing is known yet.
    pub fn patience(&self, unknown: Duration) -> Duration {
        match self.smoothed.load(Relaxed) {
            0 => unknown,
            smoothed => {
                let deviation = u64::from(self.deviation.load(Relaxed));
                FLOOR.max(Duration::from_micros(u64::from(smoothed) + 4 * deviation))
            }
        }
    }

    /// What an answer costs: microseconds, and more for an upstream that says that it cannot answer.
    pub fn cost(&self) -> u32 {
        let failing = u64::from(self.failing.load(Relaxed)) * u64::from(FAILING) / u64::from(ALL);
        self.smoothed.load(Relaxed).max(self.in_vain.load(Relaxed)).saturating_add(failing as u32)
    }

    /// Whether an upstream of this cost is as good as the `best`.
    pub fn is_good(cost: u32, best: u32) -> bool {
        cost <= best.saturating_mul(2).saturating_add(SLACK)
    }

    /// Whether it is time to look at an upstream that is not preferred; if so, the next time is later.
    pub fn is_looked_at(&self, now: u64) -> bool {
        let due = now >= self.looked.load(Relaxed) + LOOK;
        if due {
            self.looked.store(now, Relaxed);
        }
        due
    }

    /// Whether it has replied at or after `since` (milliseconds).
    pub fn has_replied(&self, since: u64) -> bool {
        self.replied.load(Relaxed) > since
    }
}

/// Whether a code says that the upstream could not answer, rather than what the answer is.
pub fn says_failure(rcode: Rcode) -> bool {
    matches!(rcode, Rcode::SERVFAIL | Rcode::REFUSED | Rcode::NOTIMP | Rcode::FORMERR)
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// One part of `new` in `parts`, the rest of `old`; upwards, so that small steps arrive.
fn mix(old: u32, new: u32, parts: u32) -> u32 {
    let sum = u64::from(old) * u64::from(parts - 1) + u64::from(new);
    sum.div_ceil(parts.into()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn patience_follows_the_round_trip_time() {
        let pace = Pace::default();
        assert_eq!(pace.patience(200 * MS), 200 * MS);
        (0..50).for_each(|_| pace.replied(0, MS, Rcode::NOERROR));
        assert_eq!(pace.patience(200 * MS), FLOOR);
        (0..50).for_each(|_| pace.replied(0, 150 * MS, Rcode::NOERROR));
        let patience = pace.patience(MS);
        assert!(patience > 150 * MS && patience < 200 * MS, "{patience:?}");
    }

    #[test]
    fn slow_and_failing_upstreams_cost_more() {
        let [good, slow, failing, silent, new]: [Pace; 5] = Default::default();
        for _ in 0..8 {
            good.replied(0, MS, Rcode::NXDOMAIN);
            slow.replied(0, 300 * MS, Rcode::NOERROR);
            failing.replied(0, MS / 2, Rcode::SERVFAIL);
        }
        silent.waited_in_vain(50 * MS);
        let is_good = |pace: &Pace| Pace::is_good(pace.cost(), good.cost());
        assert_eq!([&good, &slow, &failing, &silent, &new].map(is_good), [true, false, false, false, true]);
        (0..24).for_each(|_| failing.replied(0, MS, Rcode::NOERROR));
        assert!(is_good(&failing), "{}", failing.cost());
    }

    #[test]
    fn one_failure_among_many_answers_is_none() {
        let [one, other]: [Pace; 2] = Default::default();
        (0..20).for_each(|_| one.replied(0, MS, Rcode::NOERROR));
        (0..20).for_each(|n| other.replied(0, MS, if n % 10 == 9 { Rcode::SERVFAIL } else { Rcode::NOERROR }));
        other.replied(0, MS, Rcode::NOERROR);
        assert!(one.cost() < other.cost());
    }

    #[test]
    fn an_upstream_that_is_not_preferred_is_looked_at_once_a_second() {
        let pace = Pace::default();
        assert_eq!([1_000, 1_500, 2_000, 2_001].map(|now| pace.is_looked_at(now)), [true, false, true, false]);
    }

    #[test]
    fn an_upstream_is_mute_after_many_queries_and_some_time_without_a_reply() {
        let pace = Pace::default();
        pace.replied(0, MS, Rcode::NOERROR);
        assert!(!(0..100).any(|_| pace.sent(|| 10)), "at once");
        assert!(!pace.sent(|| 209) && pace.sent(|| 260));
        pace.replied(270, MS, Rcode::NOERROR);
        assert!(!pace.sent(|| 280) && !pace.sent(|| 9_000), "few");
    }

    #[test]
    fn queries_are_held_back_from_an_upstream_that_may_be_mute_but_for_some() {
        let pace = Pace::default();
        pace.replied(0, MS, Rcode::NOERROR);
        assert!(!(0..MANY).any(|_| pace.sent(|| 10)));
        assert_eq!(
            [59, 60, 61, 69, 70, 71].map(|now| pace.holds_back(|| now)),
            [false, false, true, true, false, true]
        );
        pace.replied(72, MS, Rcode::NOERROR);
        assert!(!pace.holds_back(|| 73));
        assert!(!(0..MANY).any(|_| pace.sent(|| 80)));
        pace.forgive();
        assert!(!pace.sent(|| 1_000) && !pace.holds_back(|| 1_000), "a probe was answered");
    }

    #[test]
    fn queries_are_not_held_back_while_nobody_knows_how_long_replies_take() {
        let pace = Pace::default();
        assert!(!(0..MANY).any(|_| pace.sent(|| 10)));
        assert!(!pace.holds_back(|| 200));
    }

    #[test]
    fn replies_are_remembered() {
        let pace = Pace::default();
        assert!(!pace.has_replied(0));
        pace.replied(5, MS, Rcode::NOERROR);
        assert!(pace.has_replied(5) && !pace.has_replied(6));
    }
}

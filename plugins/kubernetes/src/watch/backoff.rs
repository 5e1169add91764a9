//! How long to wait before the next attempt.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// Waits that double up to a cap, with jitter, so that many servers do not come back in one moment.
///
/// The first few failures cost next to nothing, however they follow each other; what keeps failing is tried once in `cap`. After a
/// while without failures they begin anew: an attempt that seems to succeed proves little.
pub struct Backoff {
    cap: Duration,
    failures: u32,
    last: Option<Instant>,
}

impl Backoff {
    /// Waits of up to `cap`, and a fifth.
    pub const fn new(cap: Duration) -> Self {
        Backoff { cap, failures: 0, last: None }
    }

    /// The wait after a failure at `now`.
    pub fn next(&mut self, now: Instant) -> Duration {
        if self.last.is_some_and(|last| now - last > FORGOTTEN) {
            self.failures = 0;
        }
        let wait = FIRST.saturating_mul(1 << self.failures.min(16)).min(self.cap);
        (self.failures, self.last) = (self.failures + 1, Some(now));
        about(wait)
    }
}

/// A time that is up to a fifth shorter or longer.
pub fn about(time: Duration) -> Duration {
    time.mul_f64(0.8 + (random() % 1024) as f64 / 2560.0)
}

/// A number that is random enough for jitter.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

const FIRST: Duration = Duration::from_millis(50);
/// Without a failure for this long, everything before is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use api::Clock;

    #[test]
    fn waits_grow_to_the_cap() {
        let clock = Clock::manual();
        let cap = Duration::from_secs(1);
        let mut backoff = Backoff::new(cap);
        let within = |wait: Duration, of: Duration| wait >= of.mul_f64(0.79) && wait <= of.mul_f64(1.21);
        let mut waits: Vec<_> = (0..40).map(|_| backoff.next(clock.now())).collect();
        assert!(within(waits[0], FIRST) && within(waits[1], FIRST * 2));
        assert!(waits[20..].iter().all(|w| within(*w, cap)));
        waits.dedup();
        assert!(waits.len() > 10, "jitter");
        clock.advance(FORGOTTEN);
        assert!(within(backoff.next(clock.now()), cap));
        clock.advance(FORGOTTEN + Duration::from_secs(1));
        assert!(within(backoff.next(clock.now()), FIRST));
    }
}

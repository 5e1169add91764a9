//! How long to wait before the next attempt.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The longest wait before the API server is asked again, when it cannot be reached or refuses.
pub const CONNECT_CAP: Duration = Duration::from_secs(1);
/// The longest wait before a kind is listed again.
pub const LIST_CAP: Duration = Duration::from_secs(2);
const FIRST: Duration = Duration::from_millis(50);

/// Waits that double, with jitter, so that many servers do not come back in one moment.
#[derive(Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait: at most `cap` and a quarter.
    pub fn next(&mut self, cap: Duration) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(16)).min(cap);
        self.failures += 1;
        wait.mul_f64(0.75 + (random() % 1024) as f64 / 2048.0)
    }

    /// What was tried has worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A number that is random enough for jitter.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap() {
        let mut backoff = Backoff::default();
        let mut waits: Vec<_> = (0..40).map(|_| backoff.next(CONNECT_CAP)).collect();
        assert!(waits[0] <= FIRST.mul_f64(1.25) && waits[0] >= FIRST.mul_f64(0.75));
        assert!(waits[20..].iter().all(|w| *w >= CONNECT_CAP.mul_f64(0.75) && *w <= CONNECT_CAP.mul_f64(1.25)));
        waits.dedup();
        assert!(waits.len() > 10, "jitter");
        backoff.reset();
        assert!(backoff.next(CONNECT_CAP) <= FIRST.mul_f64(1.25));
    }
}

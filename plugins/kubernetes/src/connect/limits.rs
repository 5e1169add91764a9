//! How often, and how often at once, the API server is asked (`apiserver_qps`, `_burst`, `_max_inflight`).

use api::Clock;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Limits on requests to the API server.
pub struct Limits {
    rate: Option<Rate>,
    inflight: Option<Semaphore>,
}

/// A token bucket, kept as the time at which it would be full.
struct Rate {
    interval: Duration,
    burst: u32,
    clock: Clock,
    full_at: Mutex<Instant>,
}

impl Limits {
    /// `qps` requests a second on average and up to `burst` at once; `max_inflight` requests under way. 0 is the
    /// default of each: no limit, one second's worth of requests, no limit.
    pub fn new(qps: f64, burst: u32, max_inflight: u32, clock: Clock) -> Self {
        let rate = (qps.is_finite() && qps > 0.0).then(|| {
            let burst = if burst > 0 { burst } else { qps.ceil().min(f64::from(u32::MAX)) as u32 };
            let interval = Duration::try_from_secs_f64(1.0 / qps).unwrap_or(Duration::MAX);
            Rate { interval, burst, full_at: Mutex::new(clock.now()), clock }
        });
        let inflight = (max_inflight > 0).then(|| Semaphore::new(max_inflight as usize));
        Limits { rate, inflight }
    }

    /// Whether requests have to wait for their turn at all.
    pub fn has_rate(&self) -> bool {
        self.rate.is_some()
    }

    /// Waits for the turn of one request.
    pub async fn turn(&self) {
        if let Some(rate) = &self.rate {
            tokio::time::sleep(rate.take()).await;
        }
    }

    /// Waits until fewer than `max_inflight` permits are held.
    pub async fn inflight(&self) -> Option<SemaphorePermit<'_>> {
        self.inflight.as_ref()?.acquire().await.ok()
    }
}

impl Rate {
    /// Takes a token and returns how long to wait for it.
    fn take(&self) -> Duration {
        let now = self.clock.now();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = (*full_at).max(now);
        *full_at = start.checked_add(self.interval).unwrap_or(start);
        let spare = self.interval.saturating_mul(self.burst.saturating_sub(1));
        (start - now).saturating_sub(spare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_the_rate_holds() {
        let clock = Clock::manual();
        let limits = Limits::new(10.0, 3, 0, clock.clone());
        let rate = limits.rate.unwrap();
        let wait = |ms| Duration::from_millis(ms);
        assert_eq!([rate.take(), rate.take(), rate.take()], [wait(0); 3]);
        assert_eq!(rate.take(), wait(100));
        assert_eq!(rate.take(), wait(200));
        clock.advance(Duration::from_secs(60));
        assert_eq!([rate.take(), rate.take(), rate.take()], [wait(0); 3]);
        assert_eq!(rate.take(), wait(100));
    }

    #[test]
    fn odd_rates_are_no_limit() {
        for qps in [0.0, f64::NAN, f64::INFINITY] {
            assert!(Limits::new(qps, 5, 0, Clock::manual()).rate.is_none(), "{qps}");
        }
        assert_eq!(Limits::new(1e-300, 1, 0, Clock::manual()).rate.unwrap().take(), Duration::ZERO);
    }

    #[tokio::test]
    async fn requests_under_way_are_counted() {
        let limits = Limits::new(0.0, 0, 1, Clock::manual());
        let first = limits.inflight().await;
        assert!(first.is_some() && limits.inflight.as_ref().unwrap().try_acquire().is_err());
        drop(first);
        assert!(limits.inflight().await.is_some());
        assert!(Limits::new(0.0, 0, 0, Clock::manual()).inflight().await.is_none());
    }
}

//! The time, for everything that is not on the path of a query: real, or turned by hand in tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<Hands>>);

#[derive(Debug)]
struct Hands {
    started: Instant,
    unix: Duration,
    nanos: AtomicU64,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        Clock(None)
    }

    /// A clock that stands still but for [`Clock::advance`].
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
    pub fn manual() -> Clock {
        let unix = Duration::from_secs(1_700_000_000);
        Clock(Some(Arc::new(Hands { started: Instant::now(), unix, nanos: AtomicU64::new(0) })))
    }

    /// Turns a manual clock forward; the system's goes its own way.
    pub fn advance(&self, by: Duration) {
        if let Some(hands) = &self.0 {
            hands.nanos.fetch_add(by.as_nanos() as u64, Relaxed);
        }
    }

    /// Monotonic time.
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
    pub fn now(&self) -> Instant {
        match &self.0 {
            None => Instant::now(),
            Some(hands) => hands.started + Duration::from_nanos(hands.nanos.load(Relaxed)),
        }
    }

    /// Time since 1970 (UTC).
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
    pub fn unix(&self) -> Duration {
        match &self.0 {
            None => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Some(hands) => hands.unix + Duration::from_nanos(hands.nanos.load(Relaxed)),
        }
    }
}

//! Looks at the Corefile from time to time, and has it served when it has changed.

use crate::setup::Chosen;
use crate::{FAILED, VERSION};
use api::services::Reload;
use api::task::Stop;
use api::{Result, metrics};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// How often the Corefile is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// From one look to the next.
    pub interval: Duration,
    /// How much more or less it may be: half of this.
    pub jitter: Duration,
}

impl Interval {
    /// An interval, at random within the jitter, so that not all servers of a cluster reload at once.
    fn draw(self) -> Duration {
        let jitter = self.jitter.as_nanos() as u64;
        let random = RandomState::new().hash_one(0u8);
        self.interval.saturating_sub(self.jitter / 2) + Duration::from_nanos(random.checked_rem(jitter).unwrap_or(0))
    }
}

/// Watches until `stop`. What has failed is not tried again before the Corefile changes once more.
pub async fn run(chosen: Arc<Chosen>, reload: Arc<dyn Reload>, mut stop: Stop) -> Result {
    let running = reload.running();
    tracing::info!("Running configuration SHA512 = {running}");
    if reload.generation() > 0 {
        metrics::reset(&VERSION);
        VERSION.with(&["sha512", &running]).set(1.0);
    }
    let interval = chosen.0.lock().map_or(None, |chosen| *chosen);
    let Some(interval) = interval.map(Interval::draw) else { return Ok(()) };
    let mut tried = Ok(running);
    while stop.or(tokio::time::sleep(interval)).await.is_some() {
        let found = reload.read();
        if found == tried {
            continue;
        }
        tried = found;
        match stop.or(reload.reload()).await {
            Some(Err(why)) => {
                FAILED.with(&[]).inc();
                tracing::error!("Corefile changed but reload failed: starting with listener file descriptors: {why}");
            }
            Some(Ok(())) | None => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_drawn_within_the_jitter() {
        let (interval, jitter) = (Duration::from_secs(30), Duration::from_secs(15));
        let drawn: Vec<Duration> = (0..100).map(|_| Interval { interval, jitter }.draw()).collect();
        assert!(drawn.iter().all(|d| (22_500..37_500).contains(&d.as_millis())), "{drawn:?}");
        assert!(drawn.iter().any(|d| *d < interval) && drawn.iter().any(|d| *d > interval));
        assert_eq!(Interval { interval, jitter: Duration::ZERO }.draw(), interval);
    }
}

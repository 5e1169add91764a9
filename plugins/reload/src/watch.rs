//! Looks at the Corefile from time to time, and has it served when it has changed.

use crate::VERSION;
use crate::setup::Chosen;
use api::services::{Attempt, Reload, Seen};
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

/// Watches until `stop`. A text that could not be read or parsed is not tried again before it changes; everything else that has
/// failed may have had a cause that passes, and is tried again at the next look.
pub async fn run(chosen: Arc<Chosen>, reload: Arc<dyn Reload>, mut stop: Stop) -> Result {
    let running = reload.running();
    tracing::info!("Running configuration SHA512 = {running}");
    if reload.generation() > 0 {
        metrics::reset(&VERSION);
        VERSION.with(&["sha512", &running]).set(1.0);
    }
    let interval = chosen.0.lock().map_or(None, |chosen| *chosen);
    let Some(interval) = interval.map(Interval::draw) else { return Ok(()) };
    let mut watch = Watch { reload, tried: None };
    while stop.or(tokio::time::sleep(interval)).await.is_some() {
        if let Some(Looked::Served) = stop.or(watch.look()).await {
            break;
        }
    }
    Ok(())
}

struct Watch {
    reload: Arc<dyn Reload>,
    /// What could not be served when it was seen last, and why.
    tried: Option<(Seen, String)>,
}

/// What came of a look at the configuration.
enum Looked {
    /// What was served before is served still.
    Before,
    /// Another configuration is served, with a watch of its own.
    Served,
}

impl Watch {
    /// Looks once, and has what is new served.
    async fn look(&mut self) -> Looked {
        let mut seen = self.reload.look().await;
        let known = self.tried.as_ref().is_some_and(|(tried, _)| *tried == seen);
        match &seen {
            Seen::Running => {
                if self.tried.take().is_some() {
                    tracing::info!("The configuration is again the one that runs");
                }
                return Looked::Before;
            }
            Seen::Broken(_) if known => return Looked::Before,
            Seen::Changed(_) | Seen::Broken(_) if !known => {
                let Some(settled) = self.settled(seen).await else { return Looked::Before };
                seen = settled;
            }
            Seen::Changed(_) | Seen::Broken(_) => (),
        }
        let attempt = if known { Attempt::Again } else { Attempt::First };
        let Err(why) = self.reload.reload(attempt).await else { return Looked::Served };
        let before = self.tried.replace((seen, why.clone()));
        if known && before.is_some_and(|(_, before)| before == why) {
            tracing::warn!("Tried again, and not reloaded: {}", why.lines().next().unwrap_or_default());
        } else {
            tracing::error!("Corefile changed but reload failed: starting with listener file descriptors: {why}");
        }
        Looked::Before
    }

    /// What the configuration is once two looks in succession see the same: somebody may be writing it. `None` where that does not
    /// end soon, or it is as it was.
    async fn settled(&self, mut seen: Seen) -> Option<Seen> {
        for _ in 0..MAX_LOOKS {
            tokio::time::sleep(SETTLED).await;
            let again = self.reload.look().await;
            if again == seen {
                return Some(seen).filter(|seen| *seen != Seen::Running);
            }
            seen = again;
        }
        None
    }
}

/// What has not changed for so long is written to its end.
const SETTLED: Duration = Duration::from_millis(200);
/// Looks at something that changes all the time before it is left to the next interval.
const MAX_LOOKS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{Future, ready};
    use std::pin::Pin;
    use std::sync::Mutex;

    /// A configuration that looks as it is told to, and what was asked of it.
    #[derive(Default)]
    struct Scripted {
        looks: Mutex<Vec<Seen>>,
        attempts: Mutex<Vec<Attempt>>,
    }

    impl Reload for Scripted {
        fn running(&self) -> String {
            String::new()
        }

        fn look(&self) -> Pin<Box<dyn Future<Output = Seen> + Send + '_>> {
            Box::pin(ready(self.looks.lock().unwrap().remove(0)))
        }

        fn generation(&self) -> u64 {
            0
        }

        fn reload(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
            self.attempts.lock().unwrap().push(attempt);
            Box::pin(ready(Err("it fails".into())))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again_and_what_changes_is_waited_for() {
        use Attempt::{Again, First};
        let (a, b, broken) = (Seen::Changed("a".into()), Seen::Changed("b".into()), Seen::Broken("c".into()));
        let cases: [(&[&Seen], &[Attempt]); 5] = [
            (&[&Seen::Running], &[]),
            (&[&a, &a, &a, &a], &[First, Again, Again]),
            (&[&broken, &broken, &broken, &broken], &[First]),
            (&[&a, &b, &b, &b], &[First, Again]),
            (&[&a, &a, &Seen::Running, &a, &a], &[First, First]),
        ];
        for (looks, attempts) in cases {
            let scripted = Arc::new(Scripted::default());
            *scripted.looks.lock().unwrap() = looks.iter().map(|seen| (*seen).clone()).collect();
            let mut watch = Watch { reload: scripted.clone(), tried: None };
            while !scripted.looks.lock().unwrap().is_empty() {
                let _before = watch.look().await;
            }
            assert_eq!(*scripted.attempts.lock().unwrap(), attempts, "{looks:?}");
        }
    }

    #[test]
    fn intervals_are_drawn_within_the_jitter() {
        let (interval, jitter) = (Duration::from_secs(30), Duration::from_secs(15));
        let drawn: Vec<Duration> = (0..100).map(|_| Interval { interval, jitter }.draw()).collect();
        assert!(drawn.iter().all(|d| (22_500..37_500).contains(&d.as_millis())), "{drawn:?}");
        assert!(drawn.iter().any(|d| *d < interval) && drawn.iter().any(|d| *d > interval));
        assert_eq!(Interval { interval, jitter: Duration::ZERO }.draw(), interval);
    }
}

//! Health of an upstream: what fails in an exchange is looked into with probes, until one is answered.

use crate::random;
use crate::upstream::{Proto, Upstream};
use api::wire::flag;
use api::{Class, Name, RecordType};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How probes are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Time between two probes.
    pub interval: Duration,
    /// Whether they ask for recursion.
    pub recursion: bool,
    /// The name whose NS records they ask for.
    pub domain: Name,
    /// Their transport.
    pub proto: Proto,
}

/// How long a probe waits for its reply; and the shortest time between two messages to an upstream that is down.
const PATIENCE: Duration = Duration::from_secs(1);
/// The shortest time between two probes.
const SHORTEST: Duration = Duration::from_millis(10);
/// Probes that are made at the configured interval; those that follow keep a second apart, at least.
const HASTY: u32 = 3;
/// So many queries in a row without any reply say that the upstream is down, whatever probes have found out until then.
const SILENCES: u32 = 8;

/// What is known of an upstream's health, on all threads together.
#[derive(Debug, Default)]
pub struct Health {
    /// Probes that failed one after the other.
    failures: AtomicU32,
    /// Queries that were given up one after the other, while no reply at all came.
    silences: AtomicU32,
    /// When it was last sent a query although it is down, in milliseconds of the upstream's time, and one more; 0 is never.
    tried: AtomicU64,
    probing: AtomicBool,
    wanted: Notify,
}

impl Health {
    /// Whether more than `max_fails` probes failed one after the other; never where that is 0.
    pub fn is_down(&self, max_fails: u32) -> bool {
        max_fails > 0 && self.failures.load(Relaxed) > max_fails
    }

    /// Whether an upstream that is down may be sent a query at `now` (milliseconds): once in a second, which begins then.
    pub fn may_try(&self, now: u64) -> bool {
        let tried = self.tried.load(Relaxed);
        self.is_due(now) && self.tried.compare_exchange(tried, now + 1, Relaxed, Relaxed).is_ok()
    }

    /// Whether it may be.
    pub fn is_due(&self, now: u64) -> bool {
        since(self.tried.load(Relaxed), now) >= PATIENCE
    }

    /// How long a probe has to wait: a query that is tried is as good as one.
    fn until_probe(&self, now: u64) -> Duration {
        (PATIENCE + SHORTEST).saturating_sub(since(self.tried.load(Relaxed), now))
    }

    /// Whether probes go on without haste.
    fn is_lost(&self) -> bool {
        self.failures.load(Relaxed) >= HASTY
    }

    /// Asks for probes, unless some are being made.
    pub fn check(&self) {
        if !self.probing.swap(true, Relaxed) {
            self.wanted.notify_one();
        }
    }

    /// A query was given up; `silent` where the upstream has sent nothing at all in the meantime.
    pub fn unanswered(&self, silent: bool) {
        if !silent {
            self.silences.store(0, Relaxed);
        } else if self.silences.fetch_add(1, Relaxed) + 1 >= SILENCES {
            self.fail();
        }
    }

    /// It is down, whatever probes have found out until now.
    pub fn fail(&self) {
        self.failures.store(u32::MAX, Relaxed);
    }

    /// Whether it is down because queries have found out.
    pub fn has_failed(&self) -> bool {
        self.failures.load(Relaxed) == u32::MAX
    }

    /// A reply to a query came.
    pub fn answered(&self) {
        // Looked at first: the line stays shared between the workers.
        if self.failures.load(Relaxed) > 0 {
            self.failures.store(0, Relaxed);
        }
        if self.silences.load(Relaxed) > 0 {
            self.silences.store(0, Relaxed);
        }
    }

    /// The outcome of a probe.
    fn probed(&self, alive: bool) {
        if alive {
            self.answered();
        } else {
            let failures = self.failures.load(Relaxed);
            self.failures.store(failures.saturating_add(1), Relaxed);
        }
    }
}

/// Background work: probes the upstream when that is asked for, until it answers.
pub async fn check_when_asked(upstream: &Upstream) {
    let interval = upstream.settings.check.interval.max(SHORTEST);
    loop {
        upstream.health.wanted.notified().await;
        loop {
            wait_for_queries(upstream).await;
            let sent = upstream.clock.now();
            if probe(upstream).await {
                break;
            }
            let took = upstream.clock.now().saturating_duration_since(sent);
            let lost = upstream.health.is_lost();
            sleep(if lost { interval.max(PATIENCE).saturating_sub(took) } else { interval }).await;
        }
        upstream.health.probing.store(false, Relaxed);
    }
}

/// Waits while an upstream that is down is tried with queries.
async fn wait_for_queries(upstream: &Upstream) {
    while upstream.health.is_lost() {
        let wait = upstream.health.until_probe(upstream.millis());
        if wait.is_zero() {
            break;
        }
        sleep(wait).await;
    }
}

/// Makes one probe: whether the upstream answered.
async fn probe(upstream: &Upstream) -> bool {
    let alive = timeout(PATIENCE, is_alive(upstream)).await.unwrap_or(false);
    if alive {
        upstream.forgive();
    } else {
        upstream.metrics.check_failures.inc();
    }
    upstream.health.probed(alive);
    alive
}

async fn is_alive(upstream: &Upstream) -> bool {
    let check = &upstream.settings.check;
    let Ok(id) = random::number() else { return false };
    upstream.send(check.proto, query(check, id), id, true).await.is_ok()
}

/// The time from `then`, which is in milliseconds and one more, to `now`; without end where `then` is 0.
fn since(then: u64, now: u64) -> Duration {
    if then == 0 { Duration::MAX } else { Duration::from_millis((now + 1).saturating_sub(then)) }
}

/// The message of a probe.
fn query(check: &Check, id: u16) -> Vec<u8> {
    let flags = if check.recursion { flag::RD } else { 0 };
    let header = [id, flags, 1, 0, 0, 0].map(u16::to_be_bytes);
    let question = [RecordType::NS.0, Class::IN.0].map(u16::to_be_bytes);
    [header.as_flattened(), check.domain.as_bytes(), question.as_flattened()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes() {
        let domain = Name::from_text("a.org").expect("a name");
        let check = Check { interval: SHORTEST, recursion: true, domain, proto: Proto::Udp };
        assert_eq!(query(&check, 0x0102), b"\x01\x02\x01\0\0\x01\0\0\0\0\0\0\x01a\x03org\0\0\x02\0\x01");
        let check = Check { recursion: false, domain: Name::root(), ..check };
        assert_eq!(query(&check, 1), b"\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01");
    }

    #[test]
    fn an_upstream_is_down_after_more_failures_than_allowed() {
        let health = Health::default();
        let down = |max_fails| health.is_down(max_fails);
        (0..2).for_each(|_| health.probed(false));
        assert_eq!([down(0), down(1), down(2)], [false, true, false]);
        health.probed(false);
        assert!(down(2) && !down(0));
        health.probed(true);
        assert!(!down(1));
    }

    #[tokio::test]
    async fn probes_are_asked_for_once() {
        let health = Health::default();
        health.check();
        health.check();
        health.wanted.notified().await;
        assert!(timeout(Duration::ZERO, health.wanted.notified()).await.is_err());
    }
}

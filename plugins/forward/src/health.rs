//! Health of an upstream: what fails in an exchange is looked into with probes, until one is answered.

use crate::connection::Proto;
use crate::random;
use crate::upstream::Upstream;
use api::wire::flag;
use api::{Class, Name, RecordType};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
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

/// How long a probe waits for its reply.
const PATIENCE: Duration = Duration::from_secs(1);
/// The shortest time between two probes.
const SHORTEST: Duration = Duration::from_millis(10);

/// What is known of an upstream's health.
#[derive(Debug, Default)]
pub struct Health {
    /// Probes that failed one after the other.
    failures: AtomicU32,
    probing: AtomicBool,
    wanted: Notify,
}

impl Health {
    /// Whether more than `max_fails` probes failed one after the other; never where that is 0.
    pub fn is_down(&self, max_fails: u32) -> bool {
        max_fails > 0 && self.failures.load(Relaxed) > max_fails
    }

    /// Asks for probes, unless some are being made.
    pub fn check(&self) {
        if !self.probing.swap(true, Relaxed) {
            self.wanted.notify_one();
        }
    }

    /// The outcome of a probe.
    fn probed(&self, alive: bool) {
        let failures = self.failures.load(Relaxed);
        self.failures.store(if alive { 0 } else { failures.saturating_add(1) }, Relaxed);
    }
}

/// Background work: probes the upstream when that is asked for, until it answers.
pub async fn check_when_asked(upstream: &Upstream) {
    let interval = upstream.settings.check.interval.max(SHORTEST);
    loop {
        upstream.health.wanted.notified().await;
        while !probe(upstream).await {
            sleep(interval).await;
        }
        upstream.health.probing.store(false, Relaxed);
    }
}

/// Makes one probe: whether the upstream answered.
async fn probe(upstream: &Upstream) -> bool {
    let alive = timeout(PATIENCE, is_alive(upstream)).await.unwrap_or(false);
    if !alive {
        upstream.metrics.check_failures.inc();
    }
    upstream.health.probed(alive);
    alive
}

async fn is_alive(upstream: &Upstream) -> bool {
    let check = &upstream.settings.check;
    let Ok(id) = random::number() else { return false };
    let Ok(mut connection) = upstream.connect(check.proto).await else { return false };
    connection.probe(&query(check, id), id).await.is_ok()
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

//! The forward directive: asks other servers.
//!
//! Each stanza of the directive is a plugin of its own. A query that it is to answer waits while one upstream after the other
//! is asked: the query's own future drives the exchange, over a connection that it has for itself (`connection`). Idle
//! connections are kept by each worker for itself (`pool`); only an upstream's health is shared (`health`).

mod connection;
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod lookup;
mod message;
mod metrics;
mod policy;
mod pool;
mod random;
mod resolve;
mod servers;
mod setup;
mod target;
#[cfg(test)]
mod tests;
mod upstream;

use api::reply::Section;
use api::wire::flag;
use api::{Clock, Error, Name, Plugin, PluginDef, Query, Rcode, Result, Step, Waiting};
use connection::{Fault, Proto};
use policy::Policy;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use upstream::Upstream;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "forward", metrics: metrics::ALL, setup: setup::setup };

/// How long attempts are begun for a query.
const BUDGET: Duration = Duration::from_secs(5);
/// Pause between two rounds through all upstreams where the number of attempts has no limit.
const PAUSE: Duration = Duration::from_millis(20);

/// One stanza.
#[derive(Debug)]
struct Forward {
    /// The zone of the names that are forwarded.
    from: Name,
    /// Zones of names that are not, but for `from` itself.
    except: Vec<Name>,
    upstreams: Vec<Arc<Upstream>>,
    policy: Policy,
    protocol: Protocol,
    /// Failed probes that an upstream may have and still be asked; 0 is without limit, and nothing is probed.
    max_fails: u32,
    /// Failed attempts that a query may have; 0 is without limit.
    max_attempts: u32,
    /// Queries that may be waiting at the same time, and the words for one more.
    max_concurrent: Option<(usize, String)>,
    in_flight: AtomicUsize,
    /// Nobody is asked when all upstreams are down.
    fail_fast: bool,
    /// Codes with which the next upstream is asked.
    failover: Vec<Rcode>,
    /// Codes with which the next stanza is asked.
    next: Vec<Rcode>,
    /// The next stanza is asked when there is no answer.
    next_on_nodata: bool,
    clock: Clock,
    metrics: metrics::Directive,
}

/// Over which transport upstreams are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    /// The client's.
    Client,
    /// UDP, and TCP for what is truncated.
    UdpFirst,
    /// TCP.
    Tcp,
}

impl Plugin for Forward {
    fn query(&self, q: &mut Query) -> Result<Step> {
        if !self.covers(q) {
            return Ok(Step::Next);
        }
        match &self.max_concurrent {
            Some((max, _)) if self.in_flight.load(Relaxed) >= *max => Err(self.reject()),
            _ => Ok(Step::Wait),
        }
    }

    fn wait<'a>(&'a self, q: &'a mut Query) -> Waiting<'a> {
        Box::pin(self.forward(q))
    }
}

impl Forward {
    /// Whether the name is to be forwarded.
    fn covers(&self, q: &Query) -> bool {
        let (name, from) = (q.name(), self.from.as_ref());
        name.is_below(from) && (name == from || !self.except.iter().any(|zone| name.is_below(zone.as_ref())))
    }

    async fn forward(&self, q: &mut Query) -> Result<Step> {
        let _place = self.enter()?;
        self.ask(q).await?;
        let rcode = q.reply.rcode().unwrap_or(Rcode::NOERROR);
        let nodata = self.next_on_nodata && rcode == Rcode::NOERROR && q.reply.count(Section::Answer) == 0;
        Ok(if nodata || self.next.contains(&rcode) { Step::Next } else { Step::Done })
    }

    /// Asks one upstream after the other until one has a reply that stands.
    async fn ask(&self, q: &mut Query) -> Result {
        let begun = self.clock.now();
        let mut order = self.policy.order(self.upstreams.len());
        let (mut down, mut failed, mut failovers, mut wrong) = (0, 0, 0, 0);
        let mut last = None;
        // Who answers something else once does it again: when all have done that, there is no use in a second round.
        while self.goes_on(q, begun, failed) && wrong < self.upstreams.len() {
            let (place, first) = order.next();
            let mut upstream = &self.upstreams[place];
            if first {
                down = 0;
                self.pause(failed).await;
            }
            if upstream.health.is_down(self.max_fails) {
                down += 1;
                if down < self.upstreams.len() {
                    continue;
                }
                self.metrics.broken.inc();
                if self.fail_fast {
                    break;
                }
                // That all are down may be the fault of the probes.
                upstream = &self.upstreams[random::below(self.upstreams.len())];
            }
            match self.attempt(q, upstream).await {
                Ok(()) if failovers + 1 < self.upstreams.len() && self.fails_over(q) => failovers += 1,
                Ok(()) => return Ok(()),
                Err(fault) => {
                    failed += 1;
                    wrong += usize::from(matches!(fault, Fault::Wrong(_)));
                    last = Some(fault);
                    if self.max_fails > 0 {
                        upstream.health.check();
                    }
                    if down >= self.upstreams.len() {
                        break; // it was a try by chance
                    }
                }
            }
        }
        match last {
            Some(Fault::Wrong(_)) => Ok(()), // what it says is in the reply
            Some(Fault::Closed(e) | Fault::Failed(e)) => Err(e),
            None => Err(Error::msg("no healthy proxies")),
        }
    }

    /// Whether another attempt may be begun.
    fn goes_on(&self, q: &Query, begun: std::time::Instant, failed: u32) -> bool {
        let now = self.clock.now();
        let in_time = now.saturating_duration_since(begun) < BUDGET && q.deadline.is_none_or(|deadline| now < deadline);
        in_time && (self.max_attempts == 0 || failed < self.max_attempts)
    }

    /// Upstreams that refuse at once are not asked as fast as they refuse.
    async fn pause(&self, failed: u32) {
        if self.max_attempts == 0 && failed > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks one upstream.
    async fn attempt(&self, q: &mut Query, upstream: &Upstream) -> Result<(), Fault> {
        let proto = match self.protocol {
            Protocol::Tcp => Proto::Tcp,
            Protocol::Client if !q.transport.is_datagram() => Proto::Tcp,
            _ => Proto::Udp,
        };
        q.describe("forward/upstream", || upstream.target.label.clone());
        upstream.attempt(q, proto).await?;
        // A reply that is longer than the query allowed is no better than a truncated one.
        let whole = q.reply.flags() & flag::TC == 0 && q.reply.bytes().len() <= q.size_limit();
        if self.protocol == Protocol::UdpFirst && !whole { upstream.attempt(q, Proto::Tcp).await } else { Ok(()) }
    }

    /// Whether the next upstream is to be asked for the reply's code.
    fn fails_over(&self, q: &Query) -> bool {
        q.reply.rcode().is_some_and(|rcode| self.failover.contains(&rcode))
    }

    /// A place among the queries that wait.
    fn enter(&self) -> Result<Option<Place<'_>>> {
        let Some((max, _)) = &self.max_concurrent else { return Ok(None) };
        let before = self.in_flight.fetch_add(1, Relaxed);
        let place = Place(self);
        if before < *max { Ok(Some(place)) } else { Err(self.reject()) }
    }

    /// Refuses a query over `max_concurrent`.
    #[cold]
    fn reject(&self) -> Error {
        self.metrics.rejected.inc();
        let words = self.max_concurrent.as_ref().map_or_else(String::new, |(_, words)| words.clone());
        Error::msg(words).with_rcode(Rcode::REFUSED)
    }
}

/// A query that waits, counted for `max_concurrent`.
struct Place<'a>(&'a Forward);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

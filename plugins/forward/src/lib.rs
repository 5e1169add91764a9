//! The forward directive: asks other servers.
//!
//! Each stanza of the directive is a plugin of its own. A query that it is to answer waits while upstreams are asked
//! (`exchange`), or while another query for the same is being answered (`together`): the query's own future drives the exchange,
//! over UDP sockets that it has for itself (`flight`, `socket`). Idle sockets, and what is known of an upstream's speed, are kept by
//! each worker for itself (`pool`, `pace`); only an upstream's health is shared (`health`).

mod alarms;
mod dial;
mod drive;
mod exchange;
mod flight;
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod https;
#[cfg(test)]
mod https_tests;
mod line;
mod lookup;
mod message;
mod metrics;
mod pace;
mod policy;
mod pool;
mod random;
mod resolve;
mod servers;
mod setup;
mod socket;
mod stream;
#[cfg(test)]
mod stream_tests;
mod target;
#[cfg(test)]
mod tests;
mod threads;
mod tls;
#[cfg(test)]
mod tls_tests;
mod together;
mod upstream;

use alarms::Alarms;
use api::explain::InfoCode;
use api::reply::Section;
use api::{Clock, Error, Name, Plugin, PluginDef, Query, Rcode, Result, Step, Waiting};
use exchange::Exchange;
use policy::Policy;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use together::{Key, Role, Together};
use upstream::Upstream;

/// The directive.
pub static PLUGIN: PluginDef =
    PluginDef { name: "forward", properties: PROPERTIES, metrics: metrics::ALL, setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &[
    "except",
    "force_tcp",
    "prefer_udp",
    "policy",
    "source_address",
    "resolver",
    "failfast_all_unhealthy_upstreams",
    "health_check",
    "next",
    "next_on_nodata",
    "failover",
    "expire",
    "max_age",
    "read_timeout",
    "max_fails",
    "max_connect_attempts",
    "max_idle_conns",
    "max_concurrent",
    "tls",
    "tls_servername",
    "doh_method",
];

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
    /// How long one attempt waits for something to come.
    read_timeout: Duration,
    /// Failed attempts that a query may have; `u32::MAX` is without limit.
    max_attempts: u32,
    /// Transmissions that a query may have.
    max_sent: u32,
    /// Queries that may be waiting at the same time, and the words for one more.
    max_concurrent: Option<(usize, String)>,
    in_flight: InFlight,
    together: Together,
    /// Nobody is asked when all upstreams are down.
    fail_fast: bool,
    /// Codes with which the next upstream is asked.
    failover: Vec<Rcode>,
    /// Codes with which the next stanza is asked.
    next: Vec<Rcode>,
    /// The next stanza is asked when there is no answer.
    next_on_nodata: bool,
    alarms: Alarms,
    clock: Clock,
    metrics: metrics::Directive,
}

/// Queries that wait; on a line of the CPU's cache of its own, which all workers write.
#[derive(Debug, Default)]
#[repr(align(64))]
struct InFlight(AtomicUsize);

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
        if self.max_fails > 0 && self.is_hopeless(q) {
            self.metrics.broken.inc();
            return Err(no_healthy_proxies());
        }
        match &self.max_concurrent {
            Some((max, _)) if self.in_flight.0.load(Relaxed) >= *max => Err(self.reject()),
            _ => Ok(Step::Wait),
        }
    }

    fn wait<'a>(&'a self, q: &'a mut Query) -> Waiting<'a> {
        // Made where it stays: `Box::pin` copies what it is given, nearly a kilobyte.
        let waiting = Box::write(Box::new_uninit(), self.forward(q));
        Box::into_pin(waiting)
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
        let key = self.together.key(q);
        match &key {
            Some(key) => self.ask_together(q, key).await?,
            None => Exchange::new(self, q, self.clock.now()).run(q).await?,
        }
        let rcode = q.reply.rcode().unwrap_or(Rcode::NOERROR);
        let nodata = self.next_on_nodata && rcode == Rcode::NOERROR && q.reply.count(Section::Answer) == 0;
        Ok(if nodata || self.next.contains(&rcode) { Step::Next } else { Step::Done })
    }

    /// Asks the upstreams, or waits for the answer to another client's query for the same.
    async fn ask_together(&self, q: &mut Query, key: &Key) -> Result {
        loop {
            match self.together.join(key) {
                Role::First(turn) => {
                    let begun = self.clock.now();
                    let done = Exchange::new(self, q, begun).run(q).await;
                    if done.is_ok() || !self.is_late(q) {
                        turn.end(q, &done, || self.since(begun)); // others may have more time than this query
                    }
                    return done;
                }
                Role::Other(waits) => {
                    let begun = self.clock.now();
                    let told = match q.deadline {
                        Some(deadline) => tokio::time::timeout_at(deadline.into(), waits).await,
                        None => Ok(waits.await),
                    };
                    match told {
                        Ok(Ok(outcome)) if !outcome.is_hasty(self.since(begun), self.read_timeout) => {
                            self.metrics.shared.inc();
                            return outcome.give(q);
                        }
                        Ok(_) => (), // who asked has given up, or this query would have waited longer
                        Err(_) => return Err(Error::msg("i/o timeout").with_info(InfoCode::NETWORK_ERROR)),
                    }
                }
            }
        }
    }

    fn since(&self, begun: Instant) -> Duration {
        self.clock.now().saturating_duration_since(begun)
    }

    /// Whether the time that the query may take is over.
    fn is_late(&self, q: &Query) -> bool {
        q.deadline.is_some_and(|deadline| self.clock.now() >= deadline)
    }

    fn is_down(&self, upstream: &Upstream) -> bool {
        upstream.health.is_down(self.max_fails)
    }

    /// Whether a query is not sent to an upstream for the moment, which may turn out to be down.
    fn holds_back(&self, upstream: &Upstream, now: Instant) -> bool {
        self.max_fails > 0 && upstream.pace().is_some_and(|pace| pace.holds_back(|| upstream.millis_at(now)))
    }

    fn all_are_down(&self) -> bool {
        self.upstreams.iter().all(|upstream| self.is_down(upstream))
    }

    /// Whether queries have found out that all upstreams are down; checks alone may be wrong.
    fn all_have_failed(&self) -> bool {
        self.max_fails > 0 && self.upstreams.iter().all(|upstream| upstream.health.has_failed())
    }

    /// Whether all upstreams are down, and were tried a short time ago.
    fn is_hopeless(&self, q: &Query) -> bool {
        let is_hopeless = |upstream: &Arc<Upstream>| {
            self.is_down(upstream) && (self.fail_fast || !upstream.health.is_due(upstream.millis_at(q.received)))
        };
        self.upstreams.iter().all(is_hopeless)
    }

    /// One of the upstreams, which are all down, to be tried all the same: that may be the fault of the probes.
    fn any_at_random(&self, now: Instant) -> Option<&Upstream> {
        self.metrics.broken.inc();
        let any = &*self.upstreams[random::below(self.upstreams.len())];
        (!self.fail_fast && any.health.may_try(any.millis_at(now))).then_some(any)
    }

    /// A place among the queries that wait.
    fn enter(&self) -> Result<Option<Place<'_>>> {
        let Some((max, _)) = &self.max_concurrent else { return Ok(None) };
        let before = self.in_flight.0.fetch_add(1, Relaxed);
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

/// All upstreams are down.
fn no_healthy_proxies() -> Error {
    Error::msg("no healthy proxies").with_info(InfoCode::NO_REACHABLE_AUTHORITY)
}

/// A query that waits, counted for `max_concurrent`.
struct Place<'a>(&'a Forward);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.in_flight.0.fetch_sub(1, Relaxed);
    }
}

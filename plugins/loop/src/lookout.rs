//! The look-out: whether what goes out to upstreams comes back.

use crate::probe::{self, Way};
use api::{Clock, Error, Name, NameRef, Result};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How long the server asks itself without getting an answer.
const LIMIT: Duration = Duration::from_secs(30);
/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause before it asks again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it looks out after an answer: copies may still be under way.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// So many names have to come back, each of them new: who repeats what it has seen once cannot make a loop of it.
const PROOF: u32 = 3;

/// What the plugin and its probes share.
pub struct Lookout {
    /// The zone of the block.
    zone: Name,
    /// Whether names mean anything still.
    kept: AtomicBool,
    /// The name that means something now.
    round: watch::Sender<Round>,
}

/// A name that is asked for once.
#[derive(Default)]
struct Round {
    name: Option<Name>,
    /// How often it was asked for.
    seen: u32,
    /// Who asked for it the second time.
    returned: Option<SocketAddr>,
}

impl Lookout {
    /// A look-out for a block whose first zone is this.
    pub fn new(zone: Name) -> Lookout {
        Lookout { zone, kept: AtomicBool::new(true), round: watch::Sender::new(Round::default()) }
    }

    /// Whether it is kept still.
    pub fn is_kept(&self) -> bool {
        self.kept.load(Relaxed)
    }

    /// `client` has asked for the HINFO records of `name`.
    pub fn see(&self, name: NameRef<'_>, client: SocketAddr) {
        self.round.send_if_modified(|round| {
            if round.name.as_ref().is_none_or(|probe| probe.as_ref() != name) {
                return false;
            }
            round.seen += 1;
            round.returned = round.returned.or((round.seen > 1).then_some(client));
            round.seen == 2
        });
    }

    /// Asks the server until there is an answer, and looks out meanwhile and a little longer.
    ///
    /// # Errors
    /// There is a loop; in CoreDNS's words.
    pub async fn keep(&self, way: &Way, clock: &Clock) -> Result {
        let found = self.rounds(way, clock).await;
        self.kept.store(false, Relaxed);
        self.round.send_replace(Round::default());
        match found {
            Some((name, client)) => Err(Error::msg(self.words(&name, client, way.address))),
            None => Ok(()),
        }
    }

    /// The last name that has come back, and from where, if there is a loop.
    async fn rounds(&self, way: &Way, clock: &Clock) -> Option<(Name, SocketAddr)> {
        let (begun, mut returned) = (clock.now(), 0);
        while clock.now().saturating_duration_since(begun) < LIMIT {
            // A zone that leaves no room for a probe has no name that could come back.
            let name = probe::name(self.zone.as_ref())?;
            self.round.send_replace(Round { name: Some(name.clone()), ..Round::default() });
            let mut watched = self.round.subscribe();
            tokio::select! {
                biased;
                back = watched.wait_for(|round| round.returned.is_some()) => {
                    let client = back.ok().and_then(|round| round.returned)?;
                    returned += 1;
                    if returned == PROOF {
                        return Some((name, client));
                    }
                    tracing::debug!("{client} asked for the probe HINFO {name} ({returned} of {PROOF})");
                }
                answered = self.ask(way, &name) => if answered {
                    break;
                },
            }
        }
        if returned > 0 {
            tracing::warn!("probes came back {returned} times, then no more: this is no loop");
        }
        None
    }

    /// Asks the server once; whether there was an answer. Takes the time that copies may take.
    async fn ask(&self, way: &Way, name: &Name) -> bool {
        let mut answered = timeout(PATIENCE, way.over_sockets(name.as_ref())).await.is_ok_and(|done| done.is_ok());
        if self.round.borrow().seen == 0 {
            // Another block has answered, or there is no socket that takes the question as it stands.
            answered |= timeout(PATIENCE, way.through_chain(name.as_ref())).await.unwrap_or(false);
        }
        sleep(if answered { AFTERWARDS } else { PAUSE }).await;
        answered
    }

    fn words(&self, name: &Name, client: SocketAddr, address: Option<SocketAddr>) -> String {
        let server = match address {
            Some(address) if !address.ip().is_unspecified() => address.to_string(),
            address => format!(":{}", address.map_or(0, |address| address.port())),
        };
        let zone = &self.zone;
        format!(
            "Loop ({client} -> {server}) detected for zone \"{zone}\", see https://coredns.io/plugins/loop#troubleshooting. Query: \"HINFO {name}\". {ADVICE}"
        )
    }
}

/// What to do about it.
const ADVICE: &str = "An upstream of `forward` sends this server's queries back to it. In most cases `forward` reads a resolv.conf that names \
    a local resolver (127.0.0.53, 127.0.0.1, a node-local cache) which asks this server: name the real resolvers in its place, in a cluster by \
    kubelet's resolvConf (with systemd-resolved: /run/systemd/resolve/resolv.conf)";

#[cfg(test)]
mod tests;

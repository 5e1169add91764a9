//! One upstream resolver: its connections, its health, what is counted for it; shared by all directives that name it with the
//! same settings, and carried over reloads.

use crate::connection::{Connection, Fault, Proto};
use crate::health::{self, Check, Health};
use crate::metrics;
use crate::pool::{Keep, Permit, Pool};
use crate::random;
use crate::target::Target;
use api::corefile::ConfigError;
use api::{Clock, Error, Query, Rcode, Result, Setup, os_words};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How an upstream is asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long connections are kept.
    pub keep: Keep,
    /// How long a connection is waited for, and a reply.
    pub read_timeout: Duration,
    /// The address that queries come from.
    pub source: Option<IpAddr>,
    /// How it is found out whether the upstream is alive.
    pub check: Check,
}

/// An upstream resolver.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is.
    pub target: Target,
    /// How it is asked.
    pub settings: Settings,
    /// Whether it is alive.
    pub health: Health,
    /// What is counted for it.
    pub metrics: metrics::Upstream,
    /// The time.
    pub clock: Clock,
    pool: Pool,
}

impl Upstream {
    /// The upstream at `target`: a new one, or the one that was there before the reload or in another block.
    ///
    /// # Errors
    /// None.
    pub fn of(setup: &mut Setup<'_>, target: Target, settings: Settings) -> Result<Arc<Upstream>, ConfigError> {
        let clock = setup.clock();
        let key = format!("{target:?} {settings:?}");
        let carried = setup.carry(&key, |tasks| {
            let upstream = Arc::new(Upstream::new(target, settings, clock));
            let (checked, swept) = (upstream.clone(), upstream.clone());
            tasks.add("forward", "health checks", |mut stop| async move {
                stop.or(health::check_when_asked(&checked)).await;
                Ok(())
            });
            tasks.add("forward", "idle connections", |mut stop| async move {
                stop.or(swept.sweep()).await;
                Ok(())
            });
            Ok(upstream)
        })?;
        Ok(Arc::clone(&carried))
    }

    /// An upstream without background work.
    pub fn new(target: Target, settings: Settings, clock: Clock) -> Upstream {
        let (metrics, pool) = (metrics::Upstream::new(&target.label), Pool::new(settings.keep.clone()));
        Upstream { target, settings, health: Health::default(), metrics, clock, pool }
    }

    /// One attempt: asks the upstream for what `q` asks. Its reply is that of `q` then.
    ///
    /// # Errors
    /// There is none; the text is what the log says.
    pub async fn attempt(&self, q: &mut Query, proto: Proto) -> Result<(), Fault> {
        let Some(permit) = self.pool.permit() else {
            self.metrics.full.inc();
            return Err(Fault::Failed(Error::msg(format!("too many queries in flight to {}", self.target.label))));
        };
        let begun = self.clock.now();
        loop {
            let idle = permit.take(proto, self.clock.now());
            let reused = idle.is_some();
            let hit = reused || self.pool.has_idle(proto, self.clock.now());
            (if hit { &self.metrics.hits } else { &self.metrics.misses })[proto as usize].inc();
            let connection = match idle {
                Some(connection) => connection,
                None => self.connect(proto).await.map_err(Fault::Failed)?,
            };
            let exchanged = self.exchange(q, connection, &permit).await;
            let took = || self.clock.now().saturating_duration_since(begun);
            match &exchanged {
                Err(Fault::Closed(_)) if reused => continue, // the upstream closed what was idle; ends with the last of those
                Err(Fault::Wrong(rcode)) => self.metrics.observe(*rcode, took()),
                Ok(()) => self.metrics.observe(q.reply.rcode().unwrap_or(Rcode::NOERROR), took()),
                Err(_) => (),
            }
            return exchanged;
        }
    }

    async fn exchange(&self, q: &mut Query, mut connection: Connection, permit: &Permit<'_>) -> Result<(), Fault> {
        let id = random::number().map_err(|e| Fault::Failed(Error::msg(format!("no random numbers: {e}"))))?;
        let mut wrong = None;
        let done = match (timeout(self.patience(q), connection.ask(q, id, &mut wrong)).await, wrong) {
            (Ok(done), _) => done,
            (Err(_), Some(rcode)) => Err(Fault::Wrong(rcode)),
            (Err(_), None) => Err(Fault::Failed(connection.timed_out())),
        };
        if matches!(done, Ok(()) | Err(Fault::Wrong(_))) {
            permit.give_back(connection, self.clock.now());
        }
        done
    }

    /// How long the reply to `q` is waited for.
    fn patience(&self, q: &Query) -> Duration {
        let left = q.deadline.map(|deadline| deadline.saturating_duration_since(self.clock.now()));
        left.map_or(self.settings.read_timeout, |left| left.min(self.settings.read_timeout))
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// In the words of Go's library.
    pub async fn connect(&self, proto: Proto) -> Result<Connection> {
        let address: SocketAddr = match &self.target.address {
            Ok(address) => *address,
            Err(words) => return Err(Error::msg(format!("dial {}: {words}", proto.name()))),
        };
        let failed = |words: &str| Error::msg(format!("dial {} {address}: {words}", proto.name()));
        let opening = Connection::open(proto, address, self.settings.source, self.clock.now());
        match timeout(self.settings.read_timeout, opening).await {
            Ok(opened) => opened.map_err(|e| failed(&format!("connect: {}", os_words(&e)))),
            Err(_) => Err(failed("i/o timeout")),
        }
    }

    /// Closes idle connections from time to time.
    async fn sweep(&self) {
        let pause = self.settings.keep.expire.clamp(Duration::from_secs(1), Duration::from_secs(10));
        loop {
            tokio::time::sleep(pause).await;
            self.pool.sweep(self.clock.now());
        }
    }
}

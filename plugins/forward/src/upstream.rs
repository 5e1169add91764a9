//! One upstream resolver: its connections, its health, what is counted for it; shared by all directives that name it with the
//! same settings, and carried over reloads.

use crate::dial;
use crate::flight::{Flight, Form};
use crate::health::{self, Check, Health};
use crate::https::Https;
use crate::message;
use crate::metrics;
use crate::pace::Pace;
use crate::pool::{Keep, Pool, Seat};
use crate::random;
use crate::socket::{Segments, Socket};
use crate::stream::Streams;
use crate::target::Target;
use crate::tls::{Client, Secure};
use api::corefile::{ConfigError, Transport};
use api::gotext::quote;
use api::task::beside;
use api::{Clock, Error, Query, Rcode, Result, Setup, os_words};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// A transport to upstreams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proto {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// HTTP/2 over TLS.
    Https,
}

impl Proto {
    /// As errors name it.
    pub fn name(self) -> &'static str {
        match self {
            Proto::Udp => "udp",
            Proto::Tcp | Proto::Tls | Proto::Https => "tcp",
        }
    }
}

/// Why an exchange failed.
#[derive(Debug)]
pub enum Fault {
    /// The upstream answered something else than what it was asked, with this code; what the client gets is in the reply.
    Wrong(Rcode),
    /// Anything else; in the words of CoreDNS, for which users search and by which `errors` sorts.
    Failed(Error),
}

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
    /// How connections are secured; only where some upstreams are asked over TLS.
    pub secure: Option<Secure>,
    /// How they are asked over HTTPS.
    pub method: Method,
}

/// How a query is sent over HTTPS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// In the body.
    Post,
    /// In the address.
    Get,
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
    pub metrics: Arc<metrics::Upstream>,
    /// The time.
    pub clock: Clock,
    created: Instant,
    /// Whether it has ever sent an OPT record.
    speaks_edns: AtomicBool,
    /// Until when it is asked without EDNS, in milliseconds of its time.
    plain_until: AtomicU64,
    /// Whether its reply did not come when it was last waited for after something else.
    misleads: AtomicBool,
    segments: Arc<Segments>,
    pool: Pool,
    streams: Streams,
    https: Https,
}

/// How long an upstream is asked without EDNS that could not read it.
const PLAIN: Duration = Duration::from_secs(300);
/// How long a reply is waited for at least after something has come that is none; and if that was all the last time.
const GRACE: Duration = Duration::from_millis(150);
const SHORT_GRACE: Duration = Duration::from_millis(50);

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
        let metrics = Arc::new(metrics::Upstream::new(&target.label));
        let config = || dial::Config {
            address: target.address.clone(),
            source: settings.source,
            tls: client(&target, &settings),
            patience: settings.read_timeout,
            keep: settings.keep.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            idle: AtomicUsize::new(0),
        };
        let (streams, https) = (Streams::new(config()), Https::new(config(), &target.label, settings.method));
        Upstream {
            pool: Pool::new(settings.keep.clone()),
            target,
            settings,
            health: Health::default(),
            metrics,
            created: clock.now(),
            clock,
            speaks_edns: AtomicBool::new(false),
            plain_until: AtomicU64::new(0),
            misleads: AtomicBool::new(false),
            segments: Arc::default(),
            streams,
            https,
        }
    }

    /// Its time, in milliseconds.
    pub fn millis(&self) -> u64 {
        self.millis_at(self.clock.now())
    }

    /// Its time at `now`, in milliseconds.
    pub fn millis_at(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.created).as_millis() as u64
    }

    /// Whether it is to be asked without EDNS.
    pub fn is_plain(&self, now: Instant) -> bool {
        let until = self.plain_until.load(Relaxed);
        until > 0 && self.millis_at(now) < until
    }

    /// A reply came to a query with EDNS: whether it has an OPT record too; or whether it came, and stands, only after the query
    /// was sent without. Who has once sent OPT is asked with it, whatever one query may do.
    pub fn note_edns(&self, has_opt: bool, only_plain: bool, now: Instant) {
        if has_opt && !self.speaks_edns.load(Relaxed) {
            self.speaks_edns.store(true, Relaxed);
        }
        if only_plain && !self.is_plain(now) && !self.speaks_edns.load(Relaxed) {
            self.plain_until.store(self.millis_at(now + PLAIN), Relaxed);
        }
    }

    /// How long its reply is waited for after something has come that is none: as long as it may need, but not in full each
    /// time where it is the upstream itself that sends such things.
    pub fn grace(&self) -> Duration {
        let least = if self.misleads.load(Relaxed) { SHORT_GRACE } else { GRACE };
        self.pace().map_or(least, |pace| pace.patience(least)).max(least)
    }

    /// Something has come that is no reply; whether that was `all`, or the reply has come behind it.
    pub fn note_misled(&self, all: bool) {
        self.misleads.store(all, Relaxed);
    }

    /// A reply with this code has come so long after the query.
    pub fn replied(&self, rcode: Rcode, took: Duration, now: Instant) {
        self.metrics.observe(rcode, took);
        self.health.answered();
        if let Some(pace) = self.pace() {
            pace.replied(self.millis_at(now), took, rcode);
        }
    }

    /// A query from then is given up after so long. Returns whether the upstream has sent nothing at all since.
    pub fn unanswered(&self, begun: Instant, waited: Duration) -> bool {
        let silent = !self.has_replied(begun);
        self.health.unanswered(silent);
        if let Some(pace) = self.pace() {
            pace.waited_in_vain(waited);
        }
        silent
    }

    /// How well it has answered this thread.
    pub fn pace(&self) -> Option<&Pace> {
        self.pool.pace()
    }

    /// It has answered a probe: no thread counts it as silent any longer.
    pub fn forgive(&self) {
        self.pool.paces().for_each(Pace::forgive);
    }

    /// Whether it has sent any reply since then, to any thread.
    fn has_replied(&self, since: Instant) -> bool {
        let since = self.millis_at(since);
        self.pool.paces().any(|pace| pace.has_replied(since))
    }

    /// How it is asked where it may be asked over `proto`.
    fn proto(&self, proto: Proto) -> Proto {
        match self.target.transport {
            Transport::Tls => Proto::Tls,
            Transport::Https => Proto::Https,
            _ => proto,
        }
    }

    /// Sends it what `q` asks, without OPT if it is to be `plain`.
    ///
    /// # Errors
    /// The text is what the log says.
    pub fn ask(&self, q: &Query, proto: Proto, plain: bool, now: Instant) -> Result<Flight<'_>, Fault> {
        let id = random::number().map_err(|e| failed(format!("no random numbers: {e}")))?;
        let proto = self.proto(proto);
        let form = Form { id, proto, plain };
        match proto {
            Proto::Udp => {
                let mut flight = Flight::over_socket(self, self.seat(id, now)?, form, now);
                flight.send(q).map(|()| flight)
            }
            Proto::Tcp | Proto::Tls | Proto::Https => {
                let permit = self.pool.permit().ok_or_else(|| self.full())?;
                let mut message = Vec::new();
                message::write_query(q, id, plain, &mut message);
                Ok(if proto == Proto::Https {
                    Flight::over_https(self, permit, self.https.ask(message, now), form, now)
                } else {
                    Flight::over_stream(self, permit, self.streams.ask(message, now), form, now)
                })
            }
        }
    }

    /// The worker has as many queries in flight as it may have.
    #[cold]
    fn full(&self) -> Fault {
        self.metrics.full.inc();
        failed(format!("too many queries in flight to {}", self.target.label))
    }

    /// A seat for a query with this ID, at one of its sockets.
    fn seat(&self, id: u16, now: Instant) -> Result<Seat<'_>, Fault> {
        let open = || {
            let hit = self.pool.has_idle(now);
            self.count_connection(hit);
            self.open(now)
        };
        let (seat, opened) = self.pool.seat(id, now, open).ok_or_else(|| self.full())?.map_err(Fault::Failed)?;
        if !opened {
            self.count_connection(true);
        }
        Ok(seat)
    }

    /// Counts a socket that a query needs; a `hit` where there is one.
    fn count_connection(&self, hit: bool) {
        (if hit { &self.metrics.hits } else { &self.metrics.misses })[Proto::Udp as usize].inc();
    }

    /// Opens a socket.
    ///
    /// # Errors
    /// In the words of Go's library.
    pub fn open(&self, now: Instant) -> Result<Arc<Socket>> {
        let address = self.address(Proto::Udp)?;
        Socket::open(address, self.settings.source, &self.metrics, &self.segments, now)
            .map_err(|e| Error::msg(format!("dial udp {address}: connect: {}", os_words(&e))))
    }

    fn address(&self, proto: Proto) -> Result<SocketAddr> {
        self.target.address.as_ref().map_err(|words| Error::msg(format!("dial {}: {words}", proto.name()))).copied()
    }

    /// Sends a message that is ready, and waits for any message with its ID: on a connection of its own where it is a datagram,
    /// or is to be `alone`.
    ///
    /// # Errors
    /// There is none.
    pub async fn send(&self, proto: Proto, query: Vec<u8>, id: u16, alone: bool) -> Result<Vec<u8>, Fault> {
        let now = self.clock.now();
        match self.proto(proto) {
            Proto::Udp => {
                let socket = self.open(now).map_err(Fault::Failed)?;
                socket.enter(id); // it is this one's alone
                socket.send(&query)?;
                let mut message = poll_fn(|cx| socket.poll_receive(id, cx)).await?;
                while !message::is_sign_of_life(id, &message) {
                    socket.look_again();
                    message = poll_fn(|cx| socket.poll_receive(id, cx)).await?;
                }
                Ok(message)
            }
            Proto::Tcp | Proto::Tls if alone => self.streams.ask_alone(query, now).await,
            Proto::Tcp | Proto::Tls => self.streams.ask(query, now).await,
            Proto::Https if alone => self.https.ask_alone(query, now).await,
            Proto::Https => self.https.ask(query, now).await,
        }
    }

    /// Asks it for what `q` asks, beside the exchange with a better upstream, to see how it answers now.
    pub fn look(self: &Arc<Self>, q: &Query, proto: Proto, now: Instant) {
        let Ok(id) = random::number() else { return };
        let mut query = Vec::new();
        message::write_query(q, id, self.is_plain(now), &mut query);
        let upstream = self.clone();
        let look = beside("forward", async move {
            let patience = upstream.settings.read_timeout;
            let came = timeout(patience, upstream.send(proto, query, id, false)).await;
            let took = upstream.clock.now().saturating_duration_since(now);
            match came {
                Ok(Ok(message)) => upstream.replied(message::rcode(&message), took, now + took),
                _ => drop(upstream.unanswered(now, patience)),
            }
        });
        // Where there is too much work beside the queries already, there is a later time.
        if let Ok(look) = look {
            self.pool.keep(look);
        }
    }

    /// Closes idle connections from time to time.
    async fn sweep(&self) {
        let pause = self.settings.keep.expire.clamp(Duration::from_secs(1), Duration::from_secs(10));
        loop {
            tokio::time::sleep(pause).await;
            self.pool.sweep(self.clock.now());
            self.streams.sweep(self.clock.now());
            self.https.sweep(self.clock.now());
        }
    }
}

/// How connections are secured, to an upstream that is asked over TLS.
fn client(target: &Target, settings: &Settings) -> Option<Client> {
    let secure = settings.secure.as_ref().filter(|_| target.transport != Transport::Dns)?;
    let protocol = (target.transport == Transport::Https).then_some(&b"h2"[..]);
    let client = Client::new(secure, target, protocol);
    if let Some(why) = client.mistake() {
        tracing::warn!("upstream {} can never be asked: {why}", quote(&target.label));
    }
    Some(client)
}

fn failed(words: String) -> Fault {
    Fault::Failed(Error::msg(words))
}

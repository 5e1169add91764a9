//! Simulated upstreams: they answer everything with one address, as late and as badly as they are told.

use crate::load::BUFFER;
use crate::message::{Asked, FORGED, GOOD, QR, Reply, TC};
use crate::stream::{self, Connections};
use crate::tally::FORMERR;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use testkit::Port;
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How an upstream behaves.
#[derive(Clone, Copy)]
pub struct Manners {
    /// How long after the question the reply is sent.
    pub round_trip: Duration,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with an upstream.
#[derive(Clone, Copy)]
pub enum Fault {
    None,
    /// So many of a thousand questions do not arrive.
    Loses(u32),
    /// No question arrives.
    BlackHole,
    /// Every question is answered with this code.
    Says(u8),
    /// A reply that is not its own comes at once, before the good one.
    Forges(Forgery),
    /// Replies over UDP are truncated.
    Truncates,
    /// It takes OPT records for a mistake.
    RefusesEdns,
}

/// How a forged reply differs from a good one; its address is another in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forgery {
    OtherQuestion,
    NoQuestion,
    NoReply,
    CutBody,
    WrongId,
    OtherPort,
    OtherOwner,
}

/// A message that came.
pub struct Arrival {
    pub at: Instant,
    pub source: u16,
    message: Vec<u8>,
}

impl Arrival {
    /// The question, if it is one.
    pub fn asked(&self) -> Option<Asked<'_>> {
        Asked::parse(&self.message)
    }

    /// Whether it is a client's question, not one of a health check.
    pub fn is_question(&self) -> bool {
        self.asked().is_some_and(|asked| !asked.is_probe())
    }
}

/// One upstream, over UDP and TCP; it ends with its owner.
pub struct Upstream {
    port: Port,
    runtime: Handle,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    tasks: Mutex<JoinSet<()>>,
}

/// What an upstream's tasks have in common.
pub struct Shared {
    manners: Mutex<Manners>,
    arrivals: Mutex<Vec<Arrival>>,
    chance: Mutex<fastrand::Rng>,
    /// Those over TCP.
    pub connections: Connections,
}

impl Upstream {
    /// Starts one.
    pub fn start(runtime: &Handle, manners: Manners) -> Upstream {
        Upstream::with_tls(runtime, manners, None)
    }

    /// Starts one that speaks TLS over TCP.
    pub fn with_tls(runtime: &Handle, manners: Manners, tls: Option<TlsAcceptor>) -> Upstream {
        let shared = Arc::new(Shared {
            manners: Mutex::new(manners),
            arrivals: Mutex::default(),
            chance: Mutex::new(fastrand::Rng::with_seed(7)),
            connections: Connections::default(),
        });
        let upstream = Upstream { port: Port::free(), runtime: runtime.clone(), shared, tls, tasks: Mutex::default() };
        upstream.open();
        upstream
    }

    /// Its address, as a Corefile has it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// Behaves otherwise from now on.
    pub fn behave(&self, fault: Fault) {
        lock(&self.shared.manners).fault = fault;
    }

    /// Replies so long after the question, from now on.
    pub fn slow_down(&self, round_trip: Duration) {
        lock(&self.shared.manners).round_trip = round_trip;
    }

    /// Opens its port.
    pub fn open(&self) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()));
        let _inside = self.runtime.enter();
        let udp = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).expect("a socket");
        udp.set_recv_buffer_size(BUFFER).expect("set");
        udp.set_nonblocking(true).expect("set");
        udp.bind(&address.into()).expect("the port");
        let udp = UdpSocket::from_std(udp.into()).expect("a runtime");
        let tcp = self.runtime.block_on(TcpListener::bind(address)).expect("the port");
        let mut tasks = lock(&self.tasks);
        tasks.spawn(serve(Arc::new(udp), self.shared.clone()));
        tasks.spawn(stream::serve(tcp, self.shared.clone(), self.tls.clone()));
    }

    /// Closes its port: questions are refused by the system.
    pub fn close(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        self.runtime.block_on(tasks.shutdown());
    }

    /// What came since the last call.
    pub fn take(&self) -> Vec<Arrival> {
        std::mem::take(&mut lock(&self.shared.arrivals))
    }

    /// How many messages came since the last call to [`Upstream::take`].
    pub fn count(&self) -> usize {
        lock(&self.shared.arrivals).len()
    }

    /// What is known of its TCP connections.
    pub fn connections(&self) -> &Connections {
        &self.shared.connections
    }
}

impl Shared {
    /// Notes a message; what is sent back, and when.
    pub fn receive(&self, message: &[u8], source: u16, way: Way) -> Vec<Sent> {
        lock(&self.arrivals).push(Arrival { at: Instant::now(), source, message: message.to_vec() });
        let manners = *lock(&self.manners);
        match Asked::parse(message) {
            Some(_) if self.is_lost(manners.fault) => Vec::new(),
            Some(asked) => manners.replies(asked, way),
            None => Vec::new(),
        }
    }

    fn is_lost(&self, fault: Fault) -> bool {
        match fault {
            Fault::BlackHole => true,
            Fault::Loses(part) => lock(&self.chance).u32(0..1000) < part,
            _ => false,
        }
    }
}

/// The way that a question came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Udp,
    Tcp,
}

/// A message to be sent.
pub struct Sent {
    /// How long from now.
    pub after: Duration,
    /// From a port that was not asked.
    elsewhere: bool,
    pub message: Vec<u8>,
}

impl Manners {
    fn replies(self, asked: Asked<'_>, way: Way) -> Vec<Sent> {
        let reply = match self.fault {
            Fault::Says(code) => Reply { bits: code.into(), address: None, ..Reply::default() },
            Fault::Truncates if way == Way::Udp => Reply { bits: TC, address: None, ..Reply::default() },
            Fault::RefusesEdns if asked.has_opt() => {
                Reply { bits: FORMERR.into(), address: None, opt: false, ..Reply::default() }
            }
            Fault::RefusesEdns => Reply { opt: false, ..Reply::default() },
            _ => Reply { address: Some(GOOD), ..Reply::default() },
        };
        let good = Sent { after: self.round_trip, elsewhere: false, message: asked.reply(&reply) };
        match self.fault {
            // A health check is no one's prey.
            Fault::Forges(forgery) if !asked.is_probe() => vec![forgery.forge(asked), good],
            _ => vec![good],
        }
    }
}

impl Forgery {
    fn forge(self, asked: Asked<'_>) -> Sent {
        let forged = Reply { address: Some(FORGED), ..Reply::default() };
        let mut message = asked.reply(&forged);
        match self {
            Forgery::OtherQuestion => message[13] = if message[13] == b'z' { b'y' } else { b'z' },
            Forgery::NoQuestion => message = asked.reply(&Reply { question: Some(&[]), ..forged }),
            Forgery::NoReply => message[2] &= !((QR >> 8) as u8),
            Forgery::CutBody => message.truncate(message.len() - if asked.has_opt() { 13 } else { 2 }),
            Forgery::WrongId => message[1] ^= 0x55,
            Forgery::OtherPort => (),
            Forgery::OtherOwner => message = asked.reply(&Reply { owner: Some("elsewhere.test"), ..forged }),
        }
        Sent { after: Duration::ZERO, elsewhere: matches!(self, Forgery::OtherPort), message }
    }
}

/// Answers over UDP.
async fn serve(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let elsewhere = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a socket"));
    let mut late = JoinSet::new();
    let mut buffer = [0; 4096];
    loop {
        // An error is that of a client that has gone.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
        for sent in shared.receive(&buffer[..length], peer.port(), Way::Udp) {
            let socket = if sent.elsewhere { elsewhere.clone() } else { socket.clone() };
            if sent.after.is_zero() {
                let _ = socket.send_to(&sent.message, peer).await;
            } else {
                late.spawn(async move {
                    tokio::time::sleep(sent.after).await;
                    let _ = socket.send_to(&sent.message, peer).await;
                });
            }
        }
        while late.try_join_next().is_some() {}
    }
}

/// The value; a thread that panicked with it leaves it as it is.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! An open-loop load: every question is sent when it is due, whatever became of those before it.

use crate::message::{Question, Verdict};
use crate::tally::{Outcome, Outcomes};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Which questions are asked when.
#[derive(Default)]
pub struct Plan(Vec<Planned>);

struct Planned {
    due: Duration,
    stream: usize,
    message: Vec<u8>,
    expected: [u8; 4],
}

impl Plan {
    /// Adds questions: so many a second, from one point of time to another; a stream is what is counted together.
    pub fn add(
        mut self,
        stream: usize,
        rate: u32,
        (from, to): (Duration, Duration),
        question: impl Fn(usize) -> (Question, [u8; 4]),
    ) -> Plan {
        let number = ((to - from).as_secs_f64() * f64::from(rate)).round() as usize;
        self.0.extend((0..number).map(|n| {
            let (question, expected) = question(n);
            let due = from + Duration::from_secs_f64(n as f64 / f64::from(rate));
            Planned { due, stream, message: question.to_wire(), expected }
        }));
        self
    }

    /// Starts to ask.
    pub fn start(mut self, runtime: &Handle, server: SocketAddr) -> Running {
        self.0.sort_by_key(|planned| planned.due);
        for (n, planned) in self.0.iter_mut().enumerate() {
            let id = u16::try_from(n / SOCKETS).expect("fewer questions than numbers");
            planned.message[..2].copy_from_slice(&id.to_be_bytes());
        }
        let marks = self.0.iter().map(|_| Mark::default()).collect();
        let shared = Arc::new(Shared { begin: Instant::now(), plan: self.0, marks, answered: AtomicUsize::new(0) });
        let sockets: Vec<UdpSocket> = (0..SOCKETS).map(|_| client_socket(server)).collect();
        let mut receivers = JoinSet::new();
        let _inside = runtime.enter();
        for (place, socket) in sockets.iter().enumerate() {
            let socket = socket.try_clone().expect("a socket");
            let socket = tokio::net::UdpSocket::from_std(socket).expect("a runtime");
            receivers.spawn(receive(socket, place, shared.clone()));
        }
        let sender = std::thread::spawn({
            let shared = shared.clone();
            move || send(&shared, &sockets)
        });
        Running { shared, sender, _receivers: receivers }
    }

    /// Asks all and waits for the replies.
    pub fn run(self, runtime: &Handle, server: SocketAddr) -> Outcomes {
        self.start(runtime, server).finish()
    }
}

/// A load that goes on beside whoever started it.
pub struct Running {
    shared: Arc<Shared>,
    sender: JoinHandle<()>,
    _receivers: JoinSet<()>,
}

impl Running {
    /// Sleeps until so long after the begin.
    pub fn until(&self, time: Duration) {
        sleep(time.saturating_sub(self.shared.begin.elapsed()));
    }

    /// Waits until all is asked, and answered or lost.
    pub fn finish(self) -> Outcomes {
        self.sender.join().expect("all is sent");
        let patience = Instant::now();
        while patience.elapsed() < PATIENCE && self.shared.answered.load(Relaxed) < self.shared.plan.len() {
            sleep(Duration::from_millis(5));
        }
        let outcomes = self.shared.plan.iter().zip(&self.shared.marks).map(|(planned, mark)| mark.outcome(planned));
        Outcomes(outcomes.collect())
    }
}

struct Shared {
    begin: Instant,
    plan: Vec<Planned>,
    marks: Vec<Mark>,
    answered: AtomicUsize,
}

impl Shared {
    /// Nanoseconds since the begin.
    fn now(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }
}

/// What became of one question; times in nanoseconds since the begin, 0 for not yet.
#[derive(Default)]
struct Mark {
    sent: AtomicU64,
    replied: AtomicU64,
    verdict: AtomicU16,
}

impl Mark {
    fn outcome(&self, planned: &Planned) -> Outcome {
        let sent = Duration::from_nanos(self.sent.load(Relaxed));
        let replied = Duration::from_nanos(self.replied.load(Relaxed));
        let verdict = match self.verdict.load(Relaxed) {
            0 => Verdict::Good,
            WRONG => Verdict::Wrong,
            code => Verdict::Code(code as u8),
        };
        let took = replied.saturating_sub(sent);
        let reply = (!replied.is_zero() && took < PATIENCE).then_some((took, verdict));
        Outcome { stream: planned.stream, asked: sent, late: sent.saturating_sub(planned.due), reply }
    }

    fn set(&self, now: u64, verdict: Verdict) {
        let verdict = match verdict {
            Verdict::Good => 0,
            Verdict::Code(code) => code.into(),
            Verdict::Wrong => WRONG,
        };
        self.verdict.store(verdict, Relaxed);
        self.replied.store(now, Relaxed);
    }
}

fn client_socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server).expect("an address");
    socket.set_nonblocking(true).expect("set");
    socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER).expect("set");
    socket
}

fn send(shared: &Shared, sockets: &[UdpSocket]) {
    for (n, (planned, mark)) in shared.plan.iter().zip(&shared.marks).enumerate() {
        let wait = planned.due.saturating_sub(shared.begin.elapsed());
        if !wait.is_zero() {
            sleep(wait);
        }
        mark.sent.store(shared.now(), Relaxed);
        // A server that is gone is seen in what stays unanswered; one try more takes the error that waited in the socket.
        if sockets[n % SOCKETS].send(&planned.message).is_err() {
            let _ = sockets[n % SOCKETS].send(&planned.message);
        }
    }
}

async fn receive(socket: tokio::net::UdpSocket, place: usize, shared: Arc<Shared>) {
    let mut buffer = [0; 4096];
    loop {
        let Ok(length) = socket.recv(&mut buffer).await else { continue };
        let now = shared.now();
        let reply = &buffer[..length];
        let Some(&[high, low]) = reply.first_chunk() else { continue };
        let n = usize::from(u16::from_be_bytes([high, low])) * SOCKETS + place;
        let Some(planned) = shared.plan.get(n).filter(|_| length >= 12) else { continue };
        let mark = &shared.marks[n];
        if mark.replied.load(Relaxed) == 0 {
            mark.set(now, Verdict::of(&planned.message, reply, planned.expected));
            shared.answered.fetch_add(1, Relaxed);
        }
    }
}

/// One question after the other, each as soon as the last is answered.
pub fn one_by_one(server: SocketAddr, questions: impl Iterator<Item = Question>) {
    let socket = client_socket(server);
    socket.set_nonblocking(false).expect("set");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
    for question in questions {
        // Whether it is answered is not what is measured here.
        let _ = socket.send(&question.to_wire());
        let _ = socket.recv(&mut [0; 4096]);
    }
}

/// Ports that questions come from.
const SOCKETS: usize = 32;
/// A question without a reply for so long is lost.
pub const PATIENCE: Duration = Duration::from_secs(6);
/// Octets that may wait in a socket, for bursts.
pub const BUFFER: usize = 4 << 20;
/// A verdict that is no response code.
const WRONG: u16 = 256;

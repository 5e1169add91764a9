//! Clients: those who wait for answers, one who does not, and connections.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// `a.test A`, with this ID.
fn query(id: u16) -> Vec<u8> {
    [&id.to_be_bytes()[..], b"\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01"].concat()
}

/// A client with an address of its own.
fn client(last: u8, server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, last), 0)).expect("an address of this machine");
    socket.connect(server).expect("an address");
    socket.set_nonblocking(true).expect("set");
    socket
}

/// One client that asks much and listens to nothing.
pub struct Flood {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<f64>>,
}

impl Flood {
    /// Asks so many times a second.
    pub fn start(server: SocketAddr, rate: f64) -> Flood {
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let thread = std::thread::spawn(move || {
            let (socket, query, begin) = (client(2, server), query(1), Instant::now());
            let mut sent = 0.0;
            while !stop.load(Relaxed) {
                // Where it cannot ask so often, it is always behind.
                while sent < rate * begin.elapsed().as_secs_f64() && !stop.load(Relaxed) {
                    // A server that is not there yet is asked again.
                    let _ = socket.send(&query);
                    sent += 1.0;
                }
                sleep(Duration::from_micros(200));
            }
            sent / begin.elapsed().as_secs_f64()
        });
        Flood { over, thread: Some(thread) }
    }

    /// Ends it; returns how many queries a second were sent.
    pub fn stop(mut self) -> f64 {
        self.over.store(true, Relaxed);
        self.thread.take().map_or(0.0, |thread| thread.join().expect("no panic"))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

/// Ten clients who ask and listen.
pub struct Clients(Vec<UdpSocket>);

impl Clients {
    /// With addresses of their own.
    pub fn new(server: SocketAddr) -> Clients {
        Clients((10..20).map(|last| client(last, server)).collect())
    }

    /// Each asks so many times a second; returns which part is answered. Calls `look` now and then.
    pub fn ask(&self, rate: f64, time: Duration, mut look: impl FnMut()) -> f64 {
        let (query, begin) = (query(1), Instant::now());
        let (mut sent, mut answers, mut looked) = (0.0, 0.0, 0);
        while begin.elapsed() < time + Duration::from_millis(200) {
            while begin.elapsed() < time && sent < rate * begin.elapsed().as_secs_f64() {
                self.0.iter().for_each(|socket| drop(socket.send(&query)));
                sent += 1.0;
            }
            for socket in &self.0 {
                while socket.recv(&mut [0; 512]).is_ok() {
                    answers += 1.0;
                }
            }
            if begin.elapsed().as_millis() / 500 > looked {
                looked += 1;
                look();
            }
            sleep(Duration::from_micros(500));
        }
        answers / (sent * self.0.len() as f64)
    }
}

/// How long one answer takes; `None` where there is none for a while.
fn latency(socket: &UdpSocket, id: u16) -> Option<Duration> {
    let begin = Instant::now();
    socket.send(&query(id)).ok()?;
    let mut reply = [0; 512];
    while begin.elapsed() < Duration::from_millis(100) {
        match socket.recv(&mut reply) {
            Ok(_) if reply[..2] == id.to_be_bytes() => return Some(begin.elapsed()),
            _ => sleep(Duration::from_micros(50)),
        }
    }
    None
}

/// How long it takes until twenty answers in a row come soon.
pub fn until_calm(server: SocketAddr) -> Duration {
    let (socket, begin) = (client(30, server), Instant::now());
    let (mut since, mut soon, mut id) = (begin, 0, 0);
    while soon < 20 && begin.elapsed() < Duration::from_secs(20) {
        (id, soon) = (id + 1, soon + 1);
        if latency(&socket, id).is_none_or(|time| time > Duration::from_millis(5)) {
            (soon, since) = (0, Instant::now());
        }
    }
    since - begin
}

/// How long after `start` the first answer comes; and what that returns.
pub fn first_answer<T>(server: SocketAddr, start: impl FnOnce() -> T) -> (Duration, T) {
    let (socket, begin) = (client(30, server), Instant::now());
    let started = start();
    let mut id = 0;
    while latency(&socket, id).is_none() && begin.elapsed() < Duration::from_secs(20) {
        id += 1;
        sleep(Duration::from_millis(2));
    }
    (begin.elapsed(), started)
}

/// Opens connections from twenty addresses that say nothing; how many of them are still open then.
pub fn idle_connections(server: SocketAddr, number: usize) -> usize {
    let open = |i: usize| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).ok()?;
        let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 40 + (i % 20) as u8), 0));
        socket.bind(&from.into()).ok()?;
        socket.connect_timeout(&server.into(), Duration::from_secs(1)).ok()?;
        Some(TcpStream::from(socket))
    };
    let all: Vec<TcpStream> = (0..number).filter_map(open).collect();
    let is_open = |stream: &&TcpStream| {
        let _ = stream.set_nonblocking(true);
        stream.peek(&mut [0]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock)
    };
    all.iter().filter(is_open).count()
}

/// How long an answer over a new connection takes.
pub fn over_a_connection(server: SocketAddr) -> Duration {
    let begin = Instant::now();
    let answer = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let query = query(1);
        stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], &query].concat())?;
        stream.read_exact(&mut [0; 20])
    };
    answer().map_or(Duration::MAX, |()| begin.elapsed())
}

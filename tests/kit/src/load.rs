//! Clients that keep asking while something happens to the server, and count what becomes of each query.
//!
//! A client has one query under way at a time, so that of each it is known whether it was answered, refused or lost.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::LocalOptions;
use tokio::time::{sleep, sleep_until, timeout};

/// What is asked of whom, and how often.
#[derive(Clone)]
pub struct Plan {
    /// The server.
    pub server: SocketAddr,
    /// Clients over UDP, each with a socket and a port of its own.
    pub udp: usize,
    /// Clients over TCP, each with a connection that it opens anew when it ends.
    pub tcp: usize,
    /// Clients over TCP that open a connection for each query.
    pub fresh: usize,
    /// From one query of a client to its next, if it is answered by then.
    pub pace: Duration,
    /// The queries, which the clients take by turns.
    pub queries: Vec<Vec<u8>>,
}

/// What became of the queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Replies without an error, NXDOMAIN among them.
    pub good: u64,
    /// Replies SERVFAIL.
    pub servfail: u64,
    /// Replies with other errors, and those that are none.
    pub other: u64,
    /// Queries over UDP that nothing came back for.
    pub lost: u64,
    /// Queries over UDP that came when no socket was open.
    pub closed: u64,
    /// Connections that were refused, or not complete in time.
    pub refused: u64,
    /// Connections that were reset.
    pub reset: u64,
    /// Connections that ended in order while a query was on its way, as a client must expect (RFC 7766 6.2.4).
    pub crossed: u64,
    /// The longest time that a reply took, in microseconds.
    pub slowest: u64,
}

#[derive(Default)]
struct Counts {
    tally: Mutex<Tally>,
    good: AtomicU64,
    ends: AtomicBool,
}

impl Counts {
    fn change(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn replied(&self, reply: &[u8], since: Instant) {
        self.good.fetch_add(1, Relaxed);
        let took = since.elapsed().as_micros() as u64;
        self.change(|tally| {
            tally.slowest = tally.slowest.max(took);
            match reply.get(3).map(|flags| flags & 15) {
                Some(0 | 3) => tally.good += 1,
                Some(2) => tally.servfail += 1,
                _ => tally.other += 1,
            }
        });
    }
}

/// Clients that are asking; they end with [`Load::finish`].
pub struct Load {
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
}

impl Load {
    /// Starts to ask, on a thread of its own.
    ///
    /// # Panics
    /// There is no thread or no socket to be had.
    pub fn start(plan: Plan) -> Load {
        let counts = Arc::new(Counts::default());
        let seen = counts.clone();
        let thread = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build_local(LocalOptions::default()).expect("a runtime");
            runtime.block_on(ask(plan, seen));
        });
        Load { counts, thread }
    }

    /// Replies so far.
    pub fn replies(&self) -> u64 {
        self.counts.good.load(Relaxed)
    }

    /// Waits for so many more replies.
    ///
    /// # Panics
    /// They do not come within half a minute.
    pub fn wait_for(&self, replies: u64) {
        let (begin, enough) = (Instant::now(), self.replies() + replies);
        while self.replies() < enough {
            assert!(begin.elapsed() < Duration::from_secs(30), "no replies: {:?}", self.counts.tally);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until every client has its last reply, or knows that none comes.
    ///
    /// # Panics
    /// A client panicked.
    pub fn finish(self) -> Tally {
        self.counts.ends.store(true, Relaxed);
        self.thread.join().expect("clients that end");
        *self.counts.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(plan: Plan, counts: Arc<Counts>) {
    let plan = Arc::new(plan);
    let mut clients = Vec::new();
    for n in 0..plan.udp {
        clients.push(tokio::task::spawn_local(ask_by_udp(plan.clone(), counts.clone(), n)));
    }
    for n in 0..plan.tcp + plan.fresh {
        let keep = if n < plan.tcp { Keep::UntilItEnds } else { Keep::ForOneQuery };
        clients.push(tokio::task::spawn_local(ask_by_tcp(plan.clone(), counts.clone(), n, keep)));
    }
    for client in clients {
        client.await.expect("a client that ends");
    }
}

/// When a client asks: not all at once.
struct Turn {
    due: Instant,
    pace: Duration,
    number: usize,
}

impl Turn {
    fn new(plan: &Plan, client: usize) -> Turn {
        let share = plan.pace.mul_f64(client as f64 / (plan.udp + plan.tcp + plan.fresh).max(1) as f64);
        Turn { due: Instant::now() + share, pace: plan.pace, number: client }
    }

    async fn wait(&self) {
        sleep_until(self.due.into()).await;
    }

    /// Waits for the turn; the query for it, with an ID of its own.
    async fn next(&mut self, plan: &Plan) -> Vec<u8> {
        self.wait().await;
        self.due = (self.due + self.pace).max(Instant::now());
        self.number += 1;
        let mut query = plan.queries[self.number % plan.queries.len()].clone();
        query[..2].copy_from_slice(&(self.number as u16).to_be_bytes());
        query
    }
}

async fn ask_by_udp(plan: Arc<Plan>, counts: Arc<Counts>, client: usize) {
    let any = if plan.server.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
    let socket = UdpSocket::bind(any).await.expect("a socket");
    socket.connect(plan.server).await.expect("an address");
    let (mut turn, mut reply) = (Turn::new(&plan, client), [0; 4096]);
    while !counts.ends.load(Relaxed) {
        let query = turn.next(&plan).await;
        let begin = Instant::now();
        let asked = async {
            socket.send(&query).await?;
            loop {
                let length = socket.recv(&mut reply).await?;
                if reply[..2] == query[..2] {
                    return Ok::<_, std::io::Error>(length);
                }
            }
        };
        match timeout(PATIENCE, asked).await {
            Ok(Ok(length)) => counts.replied(&reply[..length], begin),
            Ok(Err(_)) => {
                counts.change(|tally| tally.closed += 1);
                sleep(AGAIN).await;
            }
            Err(_) => counts.change(|tally| tally.lost += 1),
        }
    }
}

/// How long a client keeps a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    UntilItEnds,
    ForOneQuery,
}

async fn ask_by_tcp(plan: Arc<Plan>, counts: Arc<Counts>, client: usize, keep: Keep) {
    let mut turn = Turn::new(&plan, client);
    while !counts.ends.load(Relaxed) {
        if keep == Keep::ForOneQuery {
            turn.wait().await;
        }
        let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(plan.server)).await else {
            counts.change(|tally| tally.refused += 1);
            sleep(AGAIN).await;
            continue;
        };
        stream.set_nodelay(true).expect("set");
        while !counts.ends.load(Relaxed) {
            let query = turn.next(&plan).await;
            let begin = Instant::now();
            match timeout(PATIENCE, ask_once(&mut stream, &query)).await {
                Ok(Ok(reply)) => counts.replied(&reply, begin),
                Ok(Err(e)) if [ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe].contains(&e.kind()) => {
                    counts.change(|tally| tally.crossed += 1);
                    break;
                }
                Ok(Err(_)) => {
                    counts.change(|tally| tally.reset += 1);
                    break;
                }
                Err(_) => {
                    counts.change(|tally| tally.lost += 1);
                    break;
                }
            }
            if keep == Keep::ForOneQuery {
                break;
            }
        }
    }
}

async fn ask_once(stream: &mut TcpStream, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let framed = [&(query.len() as u16).to_be_bytes()[..], query].concat();
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut reply = vec![0; length.into()];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}

/// A reply that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// From one attempt to the next where nothing is open.
const AGAIN: Duration = Duration::from_millis(5);

//! Idle connections of an upstream, and how many queries it has in flight; each thread has its own.
//!
//! A connection belongs to the runtime that it was opened on, and so to a worker. A thread's lock is taken by nobody else but the
//! sweep of idle connections, every few seconds: workers never wait for each other.

use crate::connection::{Connection, Proto};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Queries that one worker may have in flight to one upstream: each takes a socket.
pub const MAX_IN_FLIGHT: usize = 2048;
/// Exchanges that a UDP socket is good for, so that nobody has long to find its port out.
const MAX_EXCHANGES: u32 = 64;
/// Threads that keep connections; others open one for each query.
const THREADS: usize = 256;

/// How long connections are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Without being used.
    pub expire: Duration,
    /// At all; `None` is without limit.
    pub max_age: Option<Duration>,
    /// So many of a transport, on all threads together; 0 is without limit.
    pub max_idle: usize,
}

/// The connections of one upstream.
#[derive(Debug)]
pub struct Pool {
    keep: Keep,
    threads: Box<[OnceLock<Box<Shelf>>]>,
    /// Idle connections on all threads; only counted where there is a limit.
    idle: [AtomicUsize; 2],
}

/// What one thread has.
#[derive(Debug, Default)]
struct Shelf {
    in_flight: AtomicUsize,
    idle: Mutex<[VecDeque<Connection>; 2]>,
}

/// The permission to have a query in flight.
#[derive(Debug)]
pub struct Permit<'a> {
    pool: &'a Pool,
    shelf: Option<&'a Shelf>,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(shelf) = self.shelf {
            shelf.in_flight.fetch_sub(1, Relaxed);
        }
    }
}

impl Pool {
    /// An empty pool.
    pub fn new(keep: Keep) -> Pool {
        Pool { keep, threads: (0..THREADS).map(|_| OnceLock::new()).collect(), idle: Default::default() }
    }

    /// Permission for one more query in flight; `None` where the thread has as many as it may have.
    pub fn permit(&self) -> Option<Permit<'_>> {
        let shelf = self.threads.get(thread_number()).map(|t| &**t.get_or_init(Box::default));
        if let Some(shelf) = shelf {
            let before = shelf.in_flight.fetch_add(1, Relaxed);
            let permit = Permit { pool: self, shelf: Some(shelf) };
            return (before < MAX_IN_FLIGHT).then_some(permit);
        }
        Some(Permit { pool: self, shelf: None })
    }

    /// Whether any thread has an idle connection; a thread that is just looking at its own counts as one without.
    pub fn has_idle(&self, proto: Proto, now: Instant) -> bool {
        let fresh = |c: &Connection| !self.is_over(c, now);
        let has =
            |shelf: &Shelf| shelf.idle.try_lock().is_ok_and(|idle| idle[proto as usize].back().is_some_and(fresh));
        self.threads.iter().filter_map(OnceLock::get).any(|shelf| has(shelf))
    }

    /// Closes idle connections that are kept no longer.
    pub fn sweep(&self, now: Instant) {
        for shelf in self.threads.iter().filter_map(OnceLock::get) {
            // Closed once the lock is free again.
            let mut closed = Vec::new();
            for connections in &mut *shelf.idle() {
                let (old, fresh): (VecDeque<_>, _) = connections.drain(..).partition(|c| self.is_over(c, now));
                *connections = fresh;
                closed.extend(old);
            }
            closed.iter().for_each(|c| self.left(c.proto()));
        }
    }

    fn is_over(&self, connection: &Connection, now: Instant) -> bool {
        let since = |then| now.saturating_duration_since(then);
        since(connection.used) > self.keep.expire || self.keep.max_age.is_some_and(|age| since(connection.opened) > age)
    }

    /// An idle connection more; `false` where there are as many as there may be.
    fn enters(&self, proto: Proto) -> bool {
        if self.keep.max_idle == 0 {
            return true;
        }
        let fits = self.idle[proto as usize].fetch_add(1, Relaxed) < self.keep.max_idle;
        if !fits {
            self.left(proto);
        }
        fits
    }

    fn left(&self, proto: Proto) {
        if self.keep.max_idle > 0 {
            self.idle[proto as usize].fetch_sub(1, Relaxed);
        }
    }
}

impl Shelf {
    fn idle(&self) -> MutexGuard<'_, [VecDeque<Connection>; 2]> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The connection that has been idle for longest, so that ports take turns.
    pub fn take(&self, proto: Proto, now: Instant) -> Option<Connection> {
        let mut idle = self.shelf?.idle();
        loop {
            let connection = idle[proto as usize].pop_front()?;
            self.pool.left(proto);
            if !self.pool.is_over(&connection, now) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for later, unless it has served its time.
    pub fn give_back(&self, mut connection: Connection, now: Instant) {
        connection.used = now;
        let proto = connection.proto();
        let worn = proto == Proto::Udp && connection.exchanges >= MAX_EXCHANGES;
        let Some(shelf) = self.shelf.filter(|_| !worn && connection.is_clean()) else { return };
        if self.pool.enters(proto) {
            shelf.idle()[proto as usize].push_back(connection);
        }
    }
}

/// The number of this thread among those that ask upstreams; never given again, for connections die with their runtime.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Relaxed);
    }
    NUMBER.with(|number| *number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Clock;
    use std::net::SocketAddr;

    const KEEP: Keep = Keep { expire: Duration::from_secs(10), max_age: None, max_idle: 0 };

    async fn connection(proto: Proto, now: Instant) -> Connection {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let remote: SocketAddr = listener.local_addr().expect("an address");
        Connection::open(proto, remote, None, now).await.expect("opened")
    }

    #[tokio::test]
    async fn connections_are_used_again_until_they_expire() {
        let (pool, clock) = (Pool::new(KEEP), Clock::manual());
        let permit = pool.permit().expect("free");
        for proto in [Proto::Udp, Proto::Tcp] {
            permit.give_back(connection(proto, clock.now()).await, clock.now());
        }
        clock.advance(Duration::from_secs(10));
        assert!(pool.has_idle(Proto::Tcp, clock.now()));
        assert_eq!(permit.take(Proto::Tcp, clock.now()).expect("kept").proto(), Proto::Tcp);
        assert!(permit.take(Proto::Tcp, clock.now()).is_none() && !pool.has_idle(Proto::Tcp, clock.now()));
        clock.advance(Duration::from_secs(1));
        assert!(!pool.has_idle(Proto::Udp, clock.now()));
        assert!(permit.take(Proto::Udp, clock.now()).is_none(), "too old");
    }

    #[tokio::test]
    async fn a_sweep_closes_what_is_over() {
        let (pool, clock) = (Pool::new(Keep { max_age: Some(Duration::from_secs(15)), ..KEEP }), Clock::manual());
        let permit = pool.permit().expect("free");
        permit.give_back(connection(Proto::Tcp, clock.now()).await, clock.now());
        let kept = || permit.shelf.expect("a shelf").idle()[Proto::Tcp as usize].len();
        clock.advance(Duration::from_secs(9));
        let again = permit.take(Proto::Tcp, clock.now()).expect("kept");
        permit.give_back(again, clock.now());
        pool.sweep(clock.now());
        assert_eq!(kept(), 1);
        clock.advance(Duration::from_secs(7));
        pool.sweep(clock.now());
        assert_eq!(kept(), 0, "over max_age");
    }

    #[tokio::test]
    async fn limits() {
        let (pool, now) = (Pool::new(Keep { max_idle: 1, ..KEEP }), Clock::manual().now());
        let permit = pool.permit().expect("free");
        for _ in 0..2 {
            permit.give_back(connection(Proto::Udp, now).await, now);
        }
        assert!(permit.take(Proto::Udp, now).is_some());
        assert!(permit.take(Proto::Udp, now).is_none(), "one is kept");
        let mut worn = connection(Proto::Udp, now).await;
        worn.exchanges = MAX_EXCHANGES;
        permit.give_back(worn, now);
        assert!(permit.take(Proto::Udp, now).is_none());
        let more: Vec<_> = (1..MAX_IN_FLIGHT).map(|_| pool.permit().expect("free")).collect();
        assert!(pool.permit().is_none());
        drop(more);
        assert!(pool.permit().is_some());
    }
}

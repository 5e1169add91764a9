//! The idle sockets of an upstream, and how many queries it has in flight; each thread has its own.
//!
//! A socket belongs to the runtime that it was opened on, and so to a worker. A thread's lock is taken by nobody else but the
//! sweep of idle sockets, every few seconds: workers never wait for each other.

use crate::pace::Pace;
use crate::random;
use crate::socket::Socket;
use crate::threads::PerThread;
use api::task::Beside;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Queries that one worker may have in flight to one upstream: each takes a socket.
pub const MAX_IN_FLIGHT: usize = 2048;
/// Sockets that a thread opens before it uses one again: who wants to forge a reply has to guess among so many ports.
const PORTS: usize = 512;
/// Exchanges that a socket is good for, so that nobody has long to find its port out; where it has them sooner than within that
/// time, the time counts.
const MAX_EXCHANGES: u32 = 64;
const SHORT: Duration = Duration::from_secs(1);

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

/// The sockets of one upstream.
#[derive(Debug)]
pub struct Pool {
    keep: Keep,
    /// Threads without a shelf open a socket for each query.
    shelves: PerThread<Shelf>,
    /// Idle sockets on all threads; only counted where there is a limit.
    idle: AtomicUsize,
}

/// What one thread has.
#[derive(Debug, Default)]
struct Shelf {
    in_flight: AtomicUsize,
    idle: Mutex<VecDeque<Idle>>,
    pace: Pace,
    /// The look at the upstream that is being taken.
    look: Mutex<Option<Beside>>,
}

/// A socket that waits for its next query.
#[derive(Debug)]
pub struct Idle {
    /// The socket.
    pub socket: Box<Socket>,
    opened: Instant,
    /// How long it is kept, once it has been given back.
    until: Instant,
    exchanges: u32,
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

impl Idle {
    /// A socket that has just been opened.
    pub fn new(socket: Box<Socket>, now: Instant) -> Idle {
        Idle { socket, opened: now, until: now, exchanges: 0 }
    }

    /// Whether it has been kept for long enough.
    fn is_over(&self, now: Instant) -> bool {
        now > self.until
    }
}

impl Pool {
    /// An empty pool.
    pub fn new(keep: Keep) -> Pool {
        Pool { keep, shelves: PerThread::default(), idle: AtomicUsize::new(0) }
    }

    /// Permission for one more query in flight; `None` where the thread has as many as it may have.
    pub fn permit(&self) -> Option<Permit<'_>> {
        let shelf = self.shelves.get();
        let permit = Permit { pool: self, shelf };
        match shelf {
            Some(shelf) if shelf.in_flight.fetch_add(1, Relaxed) >= MAX_IN_FLIGHT => None,
            _ => Some(permit),
        }
    }

    /// How well the upstream has answered this thread; `None` for a thread without a place of its own.
    pub fn pace(&self) -> Option<&Pace> {
        self.shelves.get().map(|shelf| &shelf.pace)
    }

    /// How well it has answered each thread.
    pub fn paces(&self) -> impl Iterator<Item = &Pace> {
        self.shelves.all().map(|shelf| &shelf.pace)
    }

    /// Lets a look at the upstream go on, in place of the one before.
    pub fn keep(&self, look: Beside) {
        if let Some(shelf) = self.shelves.get() {
            *shelf.look.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
        }
    }

    /// Whether any thread has an idle socket; a thread that is just looking at its own counts as one without.
    pub fn has_idle(&self, now: Instant) -> bool {
        let fresh = |idle: &Idle| !idle.is_over(now);
        let has = |shelf: &Shelf| shelf.idle.try_lock().is_ok_and(|idle| idle.back().is_some_and(fresh));
        self.shelves.all().any(has)
    }

    /// Closes idle sockets that are kept no longer.
    pub fn sweep(&self, now: Instant) {
        for shelf in self.shelves.all() {
            // Closed once the lock is free again.
            let mut closed = Vec::new();
            {
                let mut idle = shelf.idle();
                let (old, fresh): (VecDeque<_>, _) = idle.drain(..).partition(|i| i.is_over(now));
                *idle = fresh;
                closed.extend(old);
            }
            closed.iter().for_each(|_| self.left());
        }
    }

    /// How long a socket is kept that was opened then and is used no longer from now on.
    fn until(&self, opened: Instant, now: Instant) -> Instant {
        let until = now + self.keep.expire;
        self.keep.max_age.map_or(until, |age| until.min(opened + age))
    }

    /// An idle socket more; `false` where there are as many as there may be.
    fn enters(&self) -> bool {
        if self.keep.max_idle == 0 {
            return true;
        }
        let fits = self.idle.fetch_add(1, Relaxed) < self.keep.max_idle;
        if !fits {
            self.left();
        }
        fits
    }

    fn left(&self) {
        if self.keep.max_idle > 0 {
            self.idle.fetch_sub(1, Relaxed);
        }
    }
}

impl Shelf {
    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// An idle socket, by chance one of many; `None` where there are too few to choose from, and a new one is better.
    pub fn take(&self, now: Instant) -> Option<Idle> {
        let shelf = self.shelf?;
        let mut idle = shelf.idle();
        while idle.front().is_some_and(|oldest| oldest.is_over(now)) {
            idle.pop_front();
            self.pool.left();
        }
        let limit = self.pool.keep.max_idle;
        let enough = if limit == 0 { PORTS } else { PORTS.min(limit) };
        if idle.len() + shelf.in_flight.load(Relaxed) <= enough {
            return None;
        }
        let place = random::below(idle.len());
        let taken = idle.swap_remove_front(place)?;
        self.pool.left();
        Some(taken).filter(|taken| !taken.is_over(now) && !taken.socket.has_failed())
    }

    /// Keeps a socket for later, unless it has served its time.
    pub fn give_back(&self, mut idle: Idle, now: Instant) {
        idle.until = self.pool.until(idle.opened, now);
        idle.exchanges += 1;
        let worn = idle.exchanges >= MAX_EXCHANGES && now.saturating_duration_since(idle.opened) >= SHORT;
        let Some(shelf) = self.shelf.filter(|_| !worn) else { return };
        if self.pool.enters() {
            shelf.idle().push_back(idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Clock;
    use std::collections::HashSet;

    const KEEP: Keep = Keep { expire: Duration::from_secs(10), max_age: None, max_idle: 0 };

    fn socket(now: Instant) -> Idle {
        let remote = "127.0.0.1:9".parse().expect("an address");
        Idle::new(Socket::open(remote, None).expect("opened"), now)
    }

    /// Idle sockets, one more than a thread opens before it uses them again.
    fn filled(pool: &Pool, now: Instant) -> Permit<'_> {
        let permit = pool.permit().expect("free");
        (0..=PORTS).for_each(|_| permit.give_back(socket(now), now));
        permit
    }

    #[tokio::test]
    async fn ports_are_many_before_one_is_used_again() {
        let (pool, now) = (Pool::new(KEEP), Clock::manual().now());
        let permit = pool.permit().expect("free");
        (1..PORTS).for_each(|_| permit.give_back(socket(now), now));
        assert!(permit.take(now).is_none() && pool.has_idle(now), "few: another one is opened");
        let permit = filled(&pool, now);
        let taken: Vec<Idle> = (0..PORTS).filter_map(|_| permit.take(now)).collect();
        let ports: HashSet<String> = taken.iter().map(|idle| idle.socket.timed_out().to_string()).collect();
        assert_eq!(ports.len(), PORTS);
    }

    #[tokio::test]
    async fn sockets_are_used_again_until_they_expire() {
        let (pool, clock) = (Pool::new(KEEP), Clock::manual());
        let permit = filled(&pool, clock.now());
        clock.advance(Duration::from_secs(10));
        assert!(permit.take(clock.now()).is_some() && pool.has_idle(clock.now()));
        clock.advance(Duration::from_secs(1));
        assert!(!pool.has_idle(clock.now()));
        assert!(permit.take(clock.now()).is_none(), "too old");
    }

    #[tokio::test]
    async fn a_sweep_closes_what_is_over() {
        let (pool, clock) = (Pool::new(Keep { max_age: Some(Duration::from_secs(15)), ..KEEP }), Clock::manual());
        let permit = filled(&pool, clock.now());
        let kept = || permit.shelf.expect("a shelf").idle().len();
        clock.advance(Duration::from_secs(9));
        let again = permit.take(clock.now()).expect("kept");
        permit.give_back(again, clock.now());
        pool.sweep(clock.now());
        assert_eq!(kept(), PORTS + 1);
        clock.advance(Duration::from_secs(7));
        pool.sweep(clock.now());
        assert_eq!(kept(), 0, "over max_age");
    }

    #[tokio::test]
    async fn limits() {
        let (pool, now) = (Pool::new(Keep { max_idle: 1, ..KEEP }), Clock::manual().now());
        let permit = pool.permit().expect("free");
        for _ in 0..2 {
            permit.give_back(socket(now), now);
        }
        assert!(permit.take(now).is_some());
        assert!(permit.take(now).is_none(), "one is kept");
        let much_used = || Idle { exchanges: MAX_EXCHANGES, ..socket(now) };
        permit.give_back(much_used(), now + SHORT);
        assert!(!pool.has_idle(now), "worn");
        permit.give_back(much_used(), now + SHORT / 2);
        assert!(pool.has_idle(now), "nobody has had the time to find it");
        let more: Vec<_> = (1..MAX_IN_FLIGHT).map(|_| pool.permit().expect("free")).collect();
        assert!(pool.permit().is_none());
        drop(more);
        assert!(pool.permit().is_some());
    }

    #[tokio::test]
    async fn what_is_kept_no_longer_leaves_room() {
        let (pool, now) = (Pool::new(Keep { max_idle: 2, ..KEEP }), Clock::manual().now());
        let [permit, _, _] = &[(); 3].map(|()| pool.permit().expect("free"));
        let after = |seconds| now + Duration::from_secs(seconds);
        [after(5), now].into_iter().for_each(|used| permit.give_back(socket(now), used));
        let taken: Vec<Idle> = (0..2).filter_map(|_| permit.take(after(11))).collect();
        assert_eq!((taken.len(), pool.idle.load(Relaxed)), (1, 0), "one was too old");
    }
}

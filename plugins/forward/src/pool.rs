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
    sockets: Mutex<Sockets>,
    pace: Pace,
    /// The look at the upstream that is being taken.
    look: Mutex<Option<Beside>>,
}

/// The sockets of a thread: one lock for each query that is sent and for each that is answered.
#[derive(Debug, Default)]
struct Sockets {
    idle: VecDeque<Idle>,
    /// Queries in flight, over sockets and otherwise.
    in_flight: usize,
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
            shelf.sockets().in_flight -= 1;
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
        self.permit_with(|_| ()).map(|(permit, ())| permit)
    }

    /// The same with an idle socket, by chance one of many; without where there are too few to choose from, and a new one is better.
    pub fn permit_and_socket(&self, now: Instant) -> Option<(Permit<'_>, Option<Idle>)> {
        let (permit, taken) = self.permit_with(|sockets| self.take(sockets, now))?;
        let taken = taken.filter(|taken| !taken.is_over(now) && !taken.socket.has_failed());
        Some((permit, taken))
    }

    /// The same with what `take` takes from this thread's sockets, if it has some.
    fn permit_with<T: Default>(&self, take: impl FnOnce(&mut Sockets) -> T) -> Option<(Permit<'_>, T)> {
        let shelf = self.shelves.get();
        let mut taken = T::default();
        if let Some(shelf) = shelf {
            let mut sockets = shelf.sockets();
            if sockets.in_flight >= MAX_IN_FLIGHT {
                return None;
            }
            sockets.in_flight += 1;
            taken = take(&mut sockets);
        }
        Some((Permit { pool: self, shelf }, taken))
    }

    /// Takes an idle socket where there are many; closes those that have been kept for long enough.
    fn take(&self, Sockets { idle, in_flight }: &mut Sockets, now: Instant) -> Option<Idle> {
        while idle.front().is_some_and(|oldest| oldest.is_over(now)) {
            idle.pop_front();
            self.left();
        }
        let limit = self.keep.max_idle;
        let enough = if limit == 0 { PORTS } else { PORTS.min(limit) };
        if idle.len() + *in_flight <= enough {
            return None;
        }
        let place = random::below(idle.len());
        let taken = idle.swap_remove_front(place)?;
        self.left();
        Some(taken)
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
        let has = |shelf: &Shelf| shelf.sockets.try_lock().is_ok_and(|sockets| sockets.idle.back().is_some_and(fresh));
        self.shelves.all().any(has)
    }

    /// Closes idle sockets that are kept no longer.
    pub fn sweep(&self, now: Instant) {
        for shelf in self.shelves.all() {
            // Closed once the lock is free again.
            let mut closed = Vec::new();
            {
                let idle = &mut shelf.sockets().idle;
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
    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Gives the permission back, and keeps the socket for later, unless it has served its time.
    pub fn give_back(mut self, mut idle: Idle, now: Instant) {
        idle.until = self.pool.until(idle.opened, now);
        idle.exchanges += 1;
        let worn = idle.exchanges >= MAX_EXCHANGES && now.saturating_duration_since(idle.opened) >= SHORT;
        let Some(shelf) = self.shelf.take() else { return };
        let mut sockets = shelf.sockets();
        sockets.in_flight -= 1;
        if !worn && self.pool.enters() {
            sockets.idle.push_back(idle);
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

    /// A socket that is used until `now`, and kept then.
    fn used(pool: &Pool, idle: Idle, now: Instant) {
        pool.permit().expect("free").give_back(idle, now);
    }

    /// So many idle sockets more.
    fn fill(pool: &Pool, number: usize, now: Instant) {
        (0..number).for_each(|_| used(pool, socket(now), now));
    }

    fn taken(pool: &Pool, now: Instant) -> Option<Idle> {
        pool.permit_and_socket(now).expect("free").1
    }

    #[tokio::test]
    async fn ports_are_many_before_one_is_used_again() {
        let (pool, now) = (Pool::new(KEEP), Clock::manual().now());
        fill(&pool, PORTS - 1, now);
        assert!(taken(&pool, now).is_none() && pool.has_idle(now), "few: another one is opened");
        fill(&pool, 1, now);
        let in_use: Vec<_> = (0..PORTS).map(|_| pool.permit_and_socket(now).expect("free")).collect();
        let ports = in_use.iter().filter_map(|(_, idle)| Some(idle.as_ref()?.socket.timed_out().to_string()));
        assert_eq!(ports.collect::<HashSet<_>>().len(), PORTS);
        assert!(taken(&pool, now).is_none());
    }

    #[tokio::test]
    async fn sockets_are_used_again_until_they_expire() {
        let (pool, clock) = (Pool::new(KEEP), Clock::manual());
        fill(&pool, PORTS, clock.now());
        clock.advance(Duration::from_secs(10));
        assert!(taken(&pool, clock.now()).is_some() && pool.has_idle(clock.now()));
        fill(&pool, 1, clock.now());
        clock.advance(Duration::from_secs(1));
        assert!(pool.has_idle(clock.now()));
        assert!(taken(&pool, clock.now()).is_none(), "the others are too old");
    }

    #[tokio::test]
    async fn a_sweep_closes_what_is_over() {
        let (pool, clock) = (Pool::new(Keep { max_age: Some(Duration::from_secs(15)), ..KEEP }), Clock::manual());
        fill(&pool, PORTS, clock.now());
        let kept = || pool.shelves.get().expect("a shelf").sockets().idle.len();
        clock.advance(Duration::from_secs(9));
        let again = taken(&pool, clock.now()).expect("kept");
        used(&pool, again, clock.now());
        pool.sweep(clock.now());
        assert_eq!(kept(), PORTS);
        clock.advance(Duration::from_secs(2));
        pool.sweep(clock.now());
        assert_eq!(kept(), 1, "the one that was used again");
        clock.advance(Duration::from_secs(5));
        pool.sweep(clock.now());
        assert_eq!(kept(), 0, "over max_age");
    }

    #[tokio::test]
    async fn limits() {
        let (pool, now) = (Pool::new(Keep { max_idle: 1, ..KEEP }), Clock::manual().now());
        fill(&pool, 2, now);
        assert!(taken(&pool, now).is_some());
        assert!(taken(&pool, now).is_none(), "one is kept");
        let much_used = || Idle { exchanges: MAX_EXCHANGES, ..socket(now) };
        used(&pool, much_used(), now + SHORT);
        assert!(!pool.has_idle(now), "worn");
        used(&pool, much_used(), now + SHORT / 2);
        assert!(pool.has_idle(now), "nobody has had the time to find it");
        let all: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| pool.permit().expect("free")).collect();
        assert!(pool.permit().is_none() && pool.permit_and_socket(now).is_none());
        drop(all);
        assert!(pool.permit().is_some());
    }

    #[tokio::test]
    async fn what_is_kept_no_longer_leaves_room() {
        let (pool, now) = (Pool::new(Keep { max_idle: 2, ..KEEP }), Clock::manual().now());
        let after = |seconds| now + Duration::from_secs(seconds);
        [after(5), now].into_iter().for_each(|then| used(&pool, socket(now), then));
        let in_use: Vec<_> = (0..2).map(|_| pool.permit_and_socket(after(11)).expect("free")).collect();
        let taken = in_use.iter().filter(|(_, idle)| idle.is_some()).count();
        assert_eq!((taken, pool.idle.load(Relaxed)), (1, 0), "one was too old");
    }
}

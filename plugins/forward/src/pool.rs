//! The idle sockets of an upstream, and how many queries it has in flight; each thread has its own.
//!
//! A socket belongs to the runtime that it was opened on, and so to a worker. A thread's lock is taken by nobody else but the
//! sweep of idle sockets, every few seconds: workers never wait for each other.
//!
//! Each query has a socket of its own, by chance one of many. Where very many are sent, those of the same moment share one.

use crate::pace::Pace;
use crate::random;
use crate::socket::{BATCH, Left, Socket};
use crate::threads::PerThread;
use crate::upstream::Fault;
use api::task::Beside;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Queries that one worker may have in flight to one upstream.
pub const MAX_IN_FLIGHT: usize = 2048;
/// Sockets that a thread opens before it uses one again: who wants to forge a reply has to guess among so many ports.
const PORTS: usize = 512;
/// Exchanges that a socket is good for, so that nobody has long to find its port out; where it has them sooner than within that
/// time, the time counts.
const MAX_EXCHANGES: u32 = 64;
const SHORT: Duration = Duration::from_secs(1);
/// Queries that share a socket, at most: as many as leave at once; and the time in which they are sent.
const MAX_SEATS: usize = BATCH;
const MOMENT: Duration = Duration::from_micros(200);
/// They share sockets where as many queries as this were sent in the last window: 10,000 a second.
const MANY: u32 = 1_000;
const WINDOW: Duration = Duration::from_millis(100);

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
    /// How many are used by queries.
    in_use: usize,
    /// The one that queries share which are sent now.
    shared: Option<Shared>,
    rate: Rate,
    /// Queries in flight, over sockets and otherwise.
    in_flight: usize,
}

/// A socket that waits for its next query.
#[derive(Debug)]
struct Idle {
    socket: Arc<Socket>,
    /// How long it is kept.
    until: Instant,
}

/// A socket that queries of a moment share.
#[derive(Debug)]
struct Shared {
    socket: Arc<Socket>,
    since: Instant,
    seats: usize,
}

/// Whether very many queries are sent.
#[derive(Debug, Default)]
struct Rate {
    /// In this window, so far.
    queries: u32,
    /// When it began; there was none before the first query.
    since: Option<Instant>,
    is_high: bool,
}

/// A query's seat at a socket.
#[derive(Debug)]
pub struct Seat<'a> {
    permit: Permit<'a>,
    socket: Arc<Socket>,
    /// The query's ID there.
    id: u16,
    /// Whether very many queries are sent, so that they leave together.
    is_one_of_many: bool,
    is_left: bool,
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
    /// Whether it has been kept for long enough.
    fn is_over(&self, now: Instant) -> bool {
        now > self.until
    }
}

impl Rate {
    /// A query is sent now; returns whether it is one of very many.
    fn count(&mut self, now: Instant) -> bool {
        let passed = self.since.map_or(Duration::MAX, |since| now.saturating_duration_since(since));
        if passed >= WINDOW {
            self.is_high = passed < 2 * WINDOW && self.queries >= MANY;
            (self.queries, self.since) = (0, Some(now));
        }
        self.queries += 1;
        self.is_high
    }
}

impl Shared {
    /// Whether a query that is sent now may share it.
    fn is_open(&self, now: Instant) -> bool {
        self.seats < MAX_SEATS && now.saturating_duration_since(self.since) <= MOMENT
    }
}

impl Pool {
    /// An empty pool.
    pub fn new(keep: Keep) -> Pool {
        Pool { keep, shelves: PerThread::default(), idle: AtomicUsize::new(0) }
    }

    /// Permission for one more query in flight; `None` where the thread has as many as it may have.
    pub fn permit(&self) -> Option<Permit<'_>> {
        self.permit_with(|_| None).map(|(permit, _)| permit)
    }

    /// A seat for one more query, which has this ID: at an idle socket, by chance one of many; where there are too few to choose from,
    /// at one that `open` opens; where very many are sent, at the socket of those of this moment. With it, whether it was opened.
    /// `None` where the thread has as many queries in flight as it may have.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn seat<E>(
        &self,
        id: u16,
        now: Instant,
        open: impl FnOnce() -> Result<Arc<Socket>, E>,
    ) -> Option<Result<(Seat<'_>, bool), E>> {
        let mut is_one_of_many = false;
        let (permit, found) = self.permit_with(|sockets| {
            is_one_of_many = sockets.rate.count(now);
            self.enter(sockets, id, now)
        })?;
        let opened = found.is_none();
        let socket = found.map_or_else(|| permit.open(id, now, open), Ok);
        Some(socket.map(|socket| (Seat { permit, socket, id, is_one_of_many, is_left: false }, opened)))
    }

    /// The permission, and what `find` finds among this thread's sockets, if it has some.
    fn permit_with(
        &self,
        find: impl FnOnce(&mut Sockets) -> Option<Arc<Socket>>,
    ) -> Option<(Permit<'_>, Option<Arc<Socket>>)> {
        let shelf = self.shelves.get();
        let mut found = None;
        if let Some(shelf) = shelf {
            let mut sockets = shelf.sockets();
            if sockets.in_flight >= MAX_IN_FLIGHT {
                return None;
            }
            sockets.in_flight += 1;
            found = find(&mut sockets);
        }
        Some((Permit { pool: self, shelf }, found))
    }

    /// The shared socket or an idle one, where the query with this ID has a seat then; without, one is to be opened.
    fn enter(&self, sockets: &mut Sockets, id: u16, now: Instant) -> Option<Arc<Socket>> {
        if let Some(shared) = &mut sockets.shared
            && shared.is_open(now)
            && shared.socket.enter(id)
        {
            shared.seats += 1;
            return Some(shared.socket.clone());
        }
        let taken = self.take(sockets, now).filter(|taken| !taken.is_over(now) && !taken.socket.has_failed())?;
        taken.socket.enter(id).then(|| sockets.begin_use(taken.socket, now))
    }

    /// Takes an idle socket where there are many; closes those that have been kept for long enough.
    fn take(&self, Sockets { idle, in_use, .. }: &mut Sockets, now: Instant) -> Option<Idle> {
        while idle.front().is_some_and(|oldest| oldest.is_over(now)) {
            idle.pop_front();
            self.left();
        }
        let limit = self.keep.max_idle;
        let enough = if limit == 0 { PORTS } else { PORTS.min(limit) };
        if idle.len() + *in_use < enough {
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

impl Sockets {
    /// A socket is used from now on, and shared by queries that are sent in this moment where they are many.
    fn begin_use(&mut self, socket: Arc<Socket>, now: Instant) -> Arc<Socket> {
        self.in_use += 1;
        self.shared = self.rate.is_high.then(|| Shared { socket: socket.clone(), since: now, seats: 1 });
        socket
    }

    /// A socket is used no longer.
    fn end_use(&mut self, socket: &Arc<Socket>) {
        self.in_use -= 1;
        self.shared.take_if(|shared| Arc::ptr_eq(&shared.socket, socket));
    }
}

impl Permit<'_> {
    /// A socket of which the query with this ID has the first seat.
    fn open<E>(&self, id: u16, now: Instant, open: impl FnOnce() -> Result<Arc<Socket>, E>) -> Result<Arc<Socket>, E> {
        let socket = open()?;
        let is_seated = socket.enter(id);
        debug_assert!(is_seated, "nobody else has a seat");
        Ok(match self.shelf {
            Some(shelf) => shelf.sockets().begin_use(socket, now),
            None => socket,
        })
    }
}

impl Seat<'_> {
    /// The socket.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Sends a message of the query; where it is one of very many, with those of others, and when the query is looked at for the second
    /// time from now at the latest.
    ///
    /// # Errors
    /// The system's; those of messages that are sent later are told by [`Seat::poll_receive`].
    pub fn send(&self, message: &[u8]) -> Result<(), Fault> {
        if !self.is_one_of_many {
            return self.socket.send(message);
        }
        self.socket.send_soon(self.id, message);
        Ok(())
    }

    /// Sends a message of the query once more, by itself.
    ///
    /// # Errors
    /// The system's.
    pub fn send_again(&self, message: &[u8]) -> Result<(), Fault> {
        self.socket.send_again(self.id, message)
    }

    /// The next message for the query.
    ///
    /// # Errors
    /// The system's.
    pub fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Fault>> {
        self.socket.poll_receive(self.id, cx)
    }

    /// The query's reply has come. The socket is kept for later when nobody uses it any more, unless it has served its time.
    pub fn answered(mut self, now: Instant) {
        self.leave(Some(now));
    }

    /// Leaves the socket: `answered` then, or given up; a late reply may come to a query that is given up, so that its socket is not
    /// used again.
    fn leave(&mut self, answered: Option<Instant>) {
        self.is_left = true;
        let left = self.socket.leave(self.id, answered.is_some());
        let Permit { pool, shelf } = &mut self.permit;
        let Some(shelf) = shelf.take() else { return };
        let mut sockets = shelf.sockets();
        sockets.in_flight -= 1;
        if left == Left::InUse {
            return;
        }
        sockets.end_use(&self.socket);
        if let (Left::Free { exchanges }, Some(now)) = (left, answered) {
            let opened = self.socket.opened();
            let is_worn = exchanges >= MAX_EXCHANGES && now.saturating_duration_since(opened) >= SHORT;
            if !is_worn && pool.enters() {
                sockets.idle.push_back(Idle { socket: self.socket.clone(), until: pool.until(opened, now) });
            }
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if !self.is_left {
            self.leave(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics;
    use api::Clock;
    use std::collections::HashSet;
    use std::convert::Infallible;

    const KEEP: Keep = Keep { expire: Duration::from_secs(10), max_age: None, max_idle: 0 };

    fn open(now: Instant) -> Arc<Socket> {
        let remote = "127.0.0.1:9".parse().expect("an address");
        let metrics = Arc::new(metrics::Upstream::new("127.0.0.1:9"));
        Socket::open(remote, None, &metrics, &Arc::default(), now).expect("opened")
    }

    /// A seat for a query with this ID, and whether its socket was opened.
    fn seat(pool: &Pool, id: u16, now: Instant) -> (Seat<'_>, bool) {
        let Ok(seat) = pool.seat(id, now, || Ok::<_, Infallible>(open(now))).expect("free");
        seat
    }

    /// Seats for so many queries, which are all that are sent for a while.
    fn seats(pool: &Pool, number: usize, now: Instant) -> Vec<(Seat<'_>, bool)> {
        pool.sockets().rate = Rate::default();
        (0..number).map(|id| seat(pool, id as u16, now)).collect()
    }

    /// A pool where very many queries are sent.
    fn busy(clock: &Clock) -> Pool {
        let pool = Pool::new(KEEP);
        pool.sockets().rate = Rate { queries: MANY, since: Some(clock.now()), is_high: false };
        clock.advance(WINDOW);
        pool
    }

    /// So many sockets that are used until `now`, and kept then.
    fn fill(pool: &Pool, number: usize, now: Instant) {
        let seats = seats(pool, number, now);
        seats.into_iter().for_each(|(seat, _)| seat.answered(now));
    }

    impl Pool {
        fn sockets(&self) -> MutexGuard<'_, Sockets> {
            self.shelves.get().expect("a shelf").sockets()
        }

        fn kept(&self) -> usize {
            self.sockets().idle.len()
        }
    }

    fn opened(seats: &[(Seat<'_>, bool)]) -> usize {
        seats.iter().filter(|(_, opened)| *opened).count()
    }

    fn ports(seats: &[(Seat<'_>, bool)]) -> usize {
        seats.iter().map(|(seat, _)| seat.socket().timed_out().to_string()).collect::<HashSet<_>>().len()
    }

    #[tokio::test]
    async fn ports_are_many_before_one_is_used_again() {
        let (pool, now) = (Pool::new(KEEP), Clock::manual().now());
        let first = seats(&pool, PORTS - 1, now);
        assert_eq!((opened(&first), ports(&first)), (PORTS - 1, PORTS - 1));
        drop(first);
        fill(&pool, PORTS - 1, now);
        assert!(pool.has_idle(now));
        assert_eq!(opened(&seats(&pool, 1, now)), 1, "few: another one is opened");
        fill(&pool, 1, now);
        let all = seats(&pool, PORTS, now);
        assert_eq!((opened(&all), ports(&all)), (0, PORTS));
        assert_eq!(opened(&seats(&pool, 1, now)), 1);
    }

    #[tokio::test]
    async fn where_they_are_many_queries_of_a_moment_share_a_socket() {
        let clock = Clock::manual();
        let pool = busy(&clock);
        let several = |number: u16| (0..number).map(|id| seat(&pool, id, clock.now())).collect::<Vec<_>>();
        let most = MAX_SEATS as u16;
        let seats = several(most + 1);
        assert_eq!((opened(&seats), ports(&seats)), (2, 2));
        assert!(seats.iter().all(|(seat, _)| seat.is_one_of_many), "they leave together");
        let mut more = several(2);
        more.push(seat(&pool, 1, clock.now()));
        assert_eq!(ports(&more), 2, "no two with the same ID");
        let one = seat(&pool, 1, clock.now());
        clock.advance(2 * MOMENT);
        assert_eq!(ports(&[one, seat(&pool, 2, clock.now())]), 2, "later");
        clock.advance(WINDOW);
        let seats = several(2);
        assert_eq!(ports(&seats), 2, "few were sent lately");
        assert!(!seats.iter().any(|(seat, _)| seat.is_one_of_many), "each leaves at once");
    }

    #[test]
    fn the_rate_is_that_of_the_last_window() {
        let (mut rate, clock) = (Rate::default(), Clock::manual());
        let mut high = |queries: u32, after: Duration| {
            clock.advance(after);
            (0..queries).for_each(|_| _ = rate.count(clock.now()));
            rate.is_high
        };
        assert!(!high(10 * MANY, WINDOW), "it has just begun");
        assert!(high(MANY - 1, WINDOW));
        assert!(!high(MANY, WINDOW));
        assert!(!high(MANY, 2 * WINDOW), "nothing since");
        assert!(high(1, WINDOW) && high(1, WINDOW / 2) && !high(1, WINDOW / 2));
    }

    #[tokio::test]
    async fn a_socket_is_kept_when_all_have_their_replies() {
        let clock = Clock::manual();
        let (pool, now) = (busy(&clock), clock.now());
        let ((one, _), (other, _)) = (seat(&pool, 1, now), seat(&pool, 2, now));
        one.answered(now);
        assert_eq!(pool.kept(), 0);
        other.answered(now);
        assert_eq!(pool.kept(), 1);
        let ((one, opened), (other, _)) = (seat(&pool, 1, now), seat(&pool, 2, now));
        assert!(opened, "it is nobody's any more");
        drop(one);
        let (third, _) = seat(&pool, 3, now);
        assert_ne!(third.socket().timed_out().to_string(), other.socket().timed_out().to_string(), "one was given up");
        [other, third].into_iter().for_each(|seat| seat.answered(now));
        assert_eq!(pool.kept(), 2, "the first one and the third one's");
        let sockets = pool.sockets();
        assert_eq!((sockets.in_use, sockets.in_flight, sockets.shared.is_none()), (0, 0, true));
    }

    #[tokio::test]
    async fn sockets_are_used_again_until_they_expire() {
        let (pool, clock) = (Pool::new(KEEP), Clock::manual());
        fill(&pool, PORTS, clock.now());
        clock.advance(Duration::from_secs(10));
        assert!(pool.has_idle(clock.now()));
        assert_eq!(opened(&seats(&pool, 1, clock.now())), 0);
        fill(&pool, 1, clock.now());
        clock.advance(Duration::from_secs(1));
        assert!(pool.has_idle(clock.now()));
        assert_eq!(opened(&seats(&pool, 1, clock.now())), 1, "the others are too old");
    }

    #[tokio::test]
    async fn a_sweep_closes_what_is_over() {
        let (pool, clock) = (Pool::new(Keep { max_age: Some(Duration::from_secs(15)), ..KEEP }), Clock::manual());
        fill(&pool, PORTS, clock.now());
        clock.advance(Duration::from_secs(9));
        fill(&pool, 1, clock.now());
        pool.sweep(clock.now());
        assert_eq!(pool.kept(), PORTS);
        clock.advance(Duration::from_secs(2));
        pool.sweep(clock.now());
        assert_eq!(pool.kept(), 1, "the one that was used again");
        clock.advance(Duration::from_secs(5));
        pool.sweep(clock.now());
        assert_eq!(pool.kept(), 0, "over max_age");
    }

    #[tokio::test]
    async fn limits() {
        let (pool, now) = (Pool::new(Keep { max_idle: 1, ..KEEP }), Clock::manual().now());
        fill(&pool, 2, now);
        assert_eq!(pool.kept(), 1);
        assert_eq!(opened(&seats(&pool, 2, now)), 1, "one is kept");
        let use_much = |until: Instant| {
            let (first, _) = seat(&pool, 0, now);
            (1..MAX_EXCHANGES as u16).for_each(|id| assert!(first.socket().enter(id)));
            (1..MAX_EXCHANGES as u16).for_each(|id| assert_eq!(first.socket().leave(id, true), Left::InUse));
            first.answered(until);
            pool.kept()
        };
        assert_eq!(use_much(now + SHORT), 0, "worn");
        assert_eq!(use_much(now + SHORT / 2), 1, "nobody has had the time to find it");
        let all: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| pool.permit().expect("free")).collect();
        assert!(pool.permit().is_none() && pool.seat(1, now, || Ok::<_, Infallible>(open(now))).is_none());
        drop(all);
        assert!(pool.permit().is_some());
    }

    #[tokio::test]
    async fn what_is_kept_no_longer_leaves_room() {
        let (pool, now) = (Pool::new(Keep { max_idle: 2, ..KEEP }), Clock::manual().now());
        let after = |seconds| now + Duration::from_secs(seconds);
        let two = seats(&pool, 2, now);
        two.into_iter().zip([after(5), now]).for_each(|((seat, _), then)| seat.answered(then));
        let in_use = seats(&pool, 2, after(11));
        assert_eq!((opened(&in_use), pool.idle.load(Relaxed)), (1, 0), "one was too old");
    }
}

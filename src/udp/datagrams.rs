//! A datagram socket, and who tells when something arrives there.
//!
//! The runtime's own UDP sockets are watched for room to send as well. The system then tells of each datagram that has left, too,
//! and a worker that has little to do is woken twice for each query.

use super::batch::{BATCH, Batch};
use super::pause::Pause;
use super::watch::watch;
use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long something is waited for where it cannot be watched.
const PAUSE: Duration = Duration::from_millis(1);
/// Datagrams at once from which on there are many, and it is simpler to look for more than to be told; and below which they are few
/// again.
const MANY: usize = BATCH / 2;
const FEW: usize = BATCH / 8;
/// How long datagrams gather where there are many: more than 100,000 a second, for [`FEW`] come within that time and their answers'.
const GATHER: Duration = Duration::from_micros(50);

/// A datagram socket that does not block.
#[derive(Clone, Debug)]
pub struct Datagrams(Rc<OwnedFd>);

impl Datagrams {
    /// The socket, which does not block.
    pub fn new(socket: impl Into<OwnedFd>) -> Datagrams {
        Datagrams(Rc::new(socket.into()))
    }

    /// Waits until the system may have room for what it has just refused to send.
    pub async fn room(&self) {
        // A descriptor of its own, since another one may be watched already for what arrives.
        let watched = self.0.try_clone().and_then(|socket| watch(Rc::new(socket), Interest::WRITABLE));
        let room = match &watched {
            Ok(socket) => socket.writable().await.is_ok(),
            Err(_) => false, // too many open files
        };
        if !room {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What arrives at a socket.
///
/// At rest the runtime watches the socket. While many datagrams come, nobody does: a worker looks for more whenever its other work
/// has had its turn, until there are few. For a socket that is watched, the system goes through those who wait for each datagram
/// that has come and each that has left, some 90 ns every time.
///
/// Who looks all the time finds small batches, however many datagrams come; but each batch of replies has the clients woken, which
/// costs as much as two queries. So where a look has left nothing, the next one is a moment later.
pub struct Arrivals {
    socket: Datagrams,
    watched: Watched,
    /// The timer for that moment, once it was needed; none where the system has none.
    pause: OnceCell<Option<Pause>>,
}

enum Watched {
    /// The runtime tells when there is something.
    Runtime(AsyncFd<Rc<OwnedFd>>),
    /// There was much the last time: there is more, or will be soon.
    Nobody(Next),
    /// The system cannot watch it at the moment.
    Unable,
}

/// When a socket that nobody watches is looked at next.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    /// When other work has had its turn: there is more.
    Now,
    /// After a pause, which is still to begin: the answers come first.
    Later,
    /// When the pause is over.
    AfterPause,
}

impl Arrivals {
    /// Watches `socket` in the runtime of this thread.
    ///
    /// # Errors
    /// The system cannot watch it.
    pub fn at(socket: Datagrams) -> io::Result<Arrivals> {
        let watched = Watched::Runtime(watch(socket.0.clone(), Interest::READABLE)?);
        Ok(Arrivals { socket, watched, pause: OnceCell::new() })
    }

    /// Waits until it is time for [`Arrivals::receive`]: something has arrived, or a pending error, or may have.
    pub async fn some(&mut self) {
        if let Watched::Nobody(next @ Next::Later) = &mut self.watched {
            let pause = self.pause.get_or_init(timer).as_ref();
            let begun = pause.is_some_and(|pause| pause.begin(GATHER).is_ok());
            *next = if begun { Next::AfterPause } else { Next::Now };
        }
        match (&self.watched, self.pause.get()) {
            (Watched::Runtime(socket), _) => drop(socket.readable().await), // what is amiss, reading finds out
            (Watched::Nobody(Next::AfterPause), Some(Some(pause))) => pause.over().await,
            (Watched::Nobody(_), _) => tokio::task::yield_now().await,
            (Watched::Unable, _) => tokio::time::sleep(PAUSE).await,
        }
    }

    /// Receives a batch; returns how many datagrams it has. A pending error of the socket (an ICMP message, say) is fetched with this.
    pub fn receive(&mut self, batch: &mut Batch) -> usize {
        let mut n = 0;
        self.watched = match std::mem::replace(&mut self.watched, Watched::Unable) {
            Watched::Runtime(socket) => {
                // Fewer datagrams than there is room for: the socket is empty now. Saying so spares the call that would find that out.
                let read = socket.try_io(Interest::READABLE, |socket| {
                    n = batch.receive(socket.as_fd())?;
                    if n < BATCH { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
                });
                drop(read); // the next call reads on
                if n < MANY { Watched::Runtime(socket) } else { Watched::nobody(n) }
            }
            Watched::Nobody(_) | Watched::Unable => {
                n = batch.receive(self.socket.as_fd()).unwrap_or(0);
                if n < FEW { Watched::by_runtime(&self.socket) } else { Watched::nobody(n) }
            }
        };
        n
    }
}

impl Watched {
    /// Where `n` datagrams have come the last time, which are many.
    fn nobody(n: usize) -> Watched {
        Watched::Nobody(if n < BATCH { Next::Later } else { Next::Now })
    }

    fn by_runtime(socket: &Datagrams) -> Watched {
        watch(socket.0.clone(), Interest::READABLE).map_or(Watched::Unable, Watched::Runtime)
    }
}

/// The timer for pauses; without, datagrams do not gather.
fn timer() -> Option<Pause> {
    Pause::new().inspect_err(|e| tracing::warn!("no timer for batches of datagrams: {}", api::os_words(e))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Clock;
    use std::future::poll_fn;
    use std::net::UdpSocket;
    use std::task::Poll;

    struct Pair {
        arrivals: Arrivals,
        batch: Batch,
        other: UdpSocket,
    }

    impl Pair {
        fn new() -> Pair {
            let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a port"));
            let address = |socket: &UdpSocket| socket.local_addr().expect("an address");
            one.connect(address(&other)).expect("connected");
            other.connect(address(&one)).expect("connected");
            one.set_nonblocking(true).expect("set");
            let arrivals = Arrivals::at(Datagrams::new(one)).expect("watched");
            Pair { arrivals, batch: Batch::default(), other }
        }

        /// Sends `n` datagrams to the socket.
        fn send(&self, n: usize) {
            (0..n).for_each(|_| assert_eq!(self.other.send(b"x").expect("sent"), 1));
        }

        async fn receive(&mut self) -> usize {
            self.arrivals.some().await;
            self.arrivals.receive(&mut self.batch)
        }

        /// Whether [`Arrivals::some`] waits, and does not only let others have their turn.
        async fn waits(&mut self) -> bool {
            tokio::time::timeout(Duration::from_millis(50), self.arrivals.some()).await.is_err()
        }
    }

    #[tokio::test]
    async fn what_arrives_is_received() {
        let mut pair = Pair::new();
        for n in 1..3 {
            pair.send(n);
            assert_eq!(pair.receive().await, n);
            assert!(pair.waits().await);
        }
        assert_eq!(pair.arrivals.receive(&mut pair.batch), 0);
    }

    #[tokio::test]
    async fn nobody_watches_while_many_arrive() {
        let mut pair = Pair::new();
        pair.send(BATCH + FEW);
        assert_eq!(pair.receive().await, BATCH);
        assert!(!pair.waits().await);
        assert_eq!(pair.receive().await, FEW);
        assert!(!pair.waits().await, "only for a moment");
        pair.send(FEW - 1);
        assert_eq!(pair.receive().await, FEW - 1);
        assert!(pair.waits().await, "it is watched again");
        pair.send(1);
        assert_eq!(pair.receive().await, 1);
    }

    #[tokio::test]
    async fn many_gather_where_nothing_was_left() {
        let mut pair = Pair::new();
        pair.send(BATCH + MANY);
        assert_eq!((pair.receive().await, pair.receive().await), (BATCH, MANY));
        assert!(matches!(pair.arrivals.watched, Watched::Nobody(Next::Later)));
        let clock = Clock::system();
        let begun = clock.now();
        let mut cut_short = Box::pin(pair.arrivals.some());
        let waits = poll_fn(|cx| Poll::Ready(cut_short.as_mut().poll(cx).is_pending()));
        assert!(waits.await, "other work of the socket comes first");
        drop(cut_short);
        pair.arrivals.some().await;
        assert!(clock.now() >= begun + GATHER);
        pair.arrivals.some().await; // it is over
    }

    #[tokio::test]
    async fn what_comes_before_it_is_watched_again_is_told() {
        let mut pair = Pair::new();
        pair.send(BATCH);
        assert_eq!(pair.receive().await, BATCH);
        assert_eq!(pair.arrivals.receive(&mut pair.batch), 0);
        pair.send(1);
        let told = tokio::time::timeout(Duration::from_secs(5), pair.receive()).await;
        assert_eq!(told, Ok(1));
    }

    #[tokio::test]
    async fn what_leaves_wakes_nobody() {
        let mut pair = Pair::new();
        let socket = pair.arrivals.socket.clone();
        rustix::io::write(socket.as_fd(), b"x").expect("sent");
        pair.other.recv(&mut [0]).expect("received");
        assert!(pair.waits().await);
        tokio::time::timeout(Duration::from_secs(5), socket.room()).await.expect("there is room");
    }
}

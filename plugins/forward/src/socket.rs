//! A UDP socket of an upstream: connected, so that it takes datagrams from the upstream's address and port only, on a port that
//! the system chooses by chance.
//!
//! Queries that are sent in the same moment may share one, each with a seat of its own, by its ID. One of them, the reader, is woken by
//! the system and reads for all: what the system has to do to watch sockets, and the runtime to wake those who wait at them, is
//! done once for all of them and not for each. What they send in one turn of the worker leaves in one system call, what has come for
//! them is read in one.

mod batch;
mod segments;

use crate::message::Verdict;
use crate::metrics;
use crate::upstream::Fault;
use api::wire;
use api::{Error, os_words};
pub use batch::BATCH;
use batch::{Inbox, Outbox, Sent};
use rustix::net::SendFlags;
pub use segments::Segments;
use segments::Way;
use smallvec::SmallVec;
use socket2::{Domain, Type};
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Messages that one query may have unread, while others are read for: what comes then is ignored.
const MAX_UNREAD: usize = 4;
/// Messages that are kept for their memory, and the octets that those may have.
const MAX_SPARE: usize = 64;
const SPARE: usize = 4096;

/// A socket that queries are asked over.
#[derive(Debug)]
pub struct Socket {
    /// Watched for what arrives and for errors only: the system would tell of each message that has left, too.
    io: AsyncFd<socket2::Socket>,
    remote: SocketAddr,
    opened: Instant,
    metrics: Arc<metrics::Upstream>,
    segments: Arc<Segments>,
    /// Locked by nobody but the thread of its runtime.
    seats: Mutex<Seats>,
}

/// The queries that are asked over a socket at the moment.
#[derive(Debug, Default)]
struct Seats {
    taken: Vec<Seat>,
    /// The ID of the seat whose query reads for all: the runtime wakes it when something arrives.
    reader: Option<u16>,
    /// More may have arrived with the last datagram, and is not told of.
    more: bool,
    /// What is to be sent when all that this turn of the worker brings is together, and whose query sees to it.
    unsent: Outbox,
    sender: Option<Sender>,
    /// The ID of the query that was sent to find out whether segments arrive.
    trial: Option<u16>,
    /// What the system says of the socket, which is of no use then.
    failure: Option<Failure>,
    /// A query was given up, or the socket has failed: it takes no others, for late replies may come.
    spoilt: bool,
    /// Queries so far.
    exchanges: u32,
}

/// What failed, and how.
#[derive(Debug)]
struct Failure {
    what: &'static str,
    words: String,
}

/// The query that sends what is unsent: the first one of these.
#[derive(Debug)]
struct Sender {
    id: u16,
    /// Whether the others of this turn have had theirs.
    is_last: bool,
}

#[derive(Debug)]
struct Seat {
    id: u16,
    /// Who waits, while somebody else reads.
    waker: Option<Waker>,
    /// Messages for it that are not read yet.
    unread: SmallVec<[Vec<u8>; 1]>,
}

thread_local! {
    /// Memory that datagrams are read into.
    static IN: RefCell<Inbox> = RefCell::default();
    /// Messages that are needed no longer: the next ones get their memory.
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Takes back a message that is needed no longer.
pub fn recycle(mut message: Vec<u8>) {
    if message.capacity() <= SPARE {
        message.clear();
        SPARES.with_borrow_mut(|spares| {
            if spares.len() < MAX_SPARE {
                spares.push(message);
            }
        });
    }
}

/// Memory for a message.
fn spare() -> Vec<u8> {
    SPARES.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// A message of its own with these octets.
fn message(octets: &[u8]) -> Vec<u8> {
    let mut message = spare();
    message.extend_from_slice(octets);
    message
}

impl Socket {
    /// A socket to `remote`, from the address `source` if there is one, at the time `now`; `segments` is what is known of the way there.
    ///
    /// # Errors
    /// The system's.
    pub fn open(
        remote: SocketAddr,
        source: Option<IpAddr>,
        metrics: &Arc<metrics::Upstream>,
        segments: &Arc<Segments>,
        now: Instant,
    ) -> io::Result<Arc<Socket>> {
        let socket = socket2::Socket::new(Domain::for_address(remote), Type::DGRAM.nonblocking(), None)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect(&remote.into())?;
        let told = Interest::READABLE | Interest::ERROR;
        // SAFETY: the socket is open for as long as it lives, and always gives the same descriptor.
        #[expect(unsafe_code, reason = "the runtime's only way to watch a socket for some events only")]
        let io = unsafe { AsyncFd::register_with_interest(socket, told) }?;
        let (metrics, segments) = (metrics.clone(), segments.clone());
        Ok(Arc::new(Socket { io, remote, opened: now, metrics, segments, seats: Mutex::default() }))
    }

    /// When it was opened.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a query with this ID, until [`Socket::leave`]; `false` where there is none: another one has that ID, or no more
    /// queries are taken.
    pub fn enter(&self, id: u16) -> bool {
        let mut seats = self.seats();
        let free = !seats.spoilt && seats.taken.iter().all(|seat| seat.id != id);
        if free {
            seats.exchanges += 1;
            seats.taken.push(Seat { id, waker: None, unread: SmallVec::new() });
        }
        free
    }

    /// The query with this ID is over; `answered`, or given up. Returns what becomes of the socket.
    pub fn leave(&self, id: u16, answered: bool) -> Left {
        let mut seats = self.seats();
        if seats.sender.take_if(|sender| sender.id == id).is_some() {
            self.send_all(&mut seats);
        }
        seats.tell(id, answered, &self.segments);
        seats.spoilt |= !answered;
        seats.remove(id);
        match (seats.taken.is_empty(), seats.spoilt) {
            (false, _) => Left::InUse,
            (true, false) => Left::Free { exchanges: seats.exchanges },
            (true, true) => Left::Spoilt,
        }
    }

    /// Sends a message. One for which the system has no room is lost, as it may be on its further way.
    ///
    /// # Errors
    /// The system's.
    pub fn send(&self, message: &[u8]) -> Result<(), Fault> {
        let send = || Ok::<_, io::Error>(rustix::net::send(&self.io, message, SendFlags::empty())?);
        // What became of an earlier message (ICMP) is told first; it says nothing about this one.
        match send().or_else(|_| send()) {
            Err(e) if e.kind() != ErrorKind::WouldBlock => Err(Fault::Failed(self.error(&Failure::new("write", &e)))),
            _ => Ok(()),
        }
    }

    /// Sends a message of the query with this ID, which has a seat, once more: the one before may have been lost, with those that left
    /// together with it. So this one leaves by itself.
    ///
    /// # Errors
    /// The system's.
    pub fn send_again(&self, id: u16, message: &[u8]) -> Result<(), Fault> {
        self.seats().tell(id, false, &self.segments);
        self.send(message)
    }

    /// Sends a message of the query with this ID, which has a seat, together with those of others that are sent in the same turn of the
    /// worker: no later than when it looks for a reply for the second time. That it fails is told there.
    pub fn send_soon(&self, id: u16, message: &[u8]) {
        let mut seats = self.seats();
        let seats = &mut *seats;
        if seats.unsent.push(message, spare) {
            seats.sender.get_or_insert(Sender { id, is_last: false });
        } else {
            self.send_all(seats);
        }
    }

    /// Sends what is unsent.
    fn send_all(&self, seats: &mut Seats) {
        seats.sender = None;
        let mut way = Way::OneByOne;
        let wanted = || {
            way = self.segments.way();
            way != Way::OneByOne
        };
        let Sent { memory, result, segment } = seats.unsent.send(wanted, self.io.as_fd());
        recycle(memory);
        match (way, segment) {
            (Way::Trial, Some(id)) if seats.seat(id).is_some() => seats.trial = segment,
            (Way::Trial | Way::Segments, None) if result.is_ok() => self.segments.rule_out(),
            (Way::Trial, _) => self.segments.tried(false),
            (Way::Segments | Way::OneByOne, _) => (),
        }
        if let Err(e) = result {
            seats.fail("write", &e);
        }
    }

    /// The next message for the query with this ID, which has a seat.
    ///
    /// # Errors
    /// The system's: the upstream's port is closed, for example.
    pub fn poll_receive(&self, id: u16, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Fault>> {
        let mut seats = self.seats();
        let seats = &mut *seats;
        if let Some(message) = seats.unread(id) {
            return Poll::Ready(Ok(message));
        }
        if let Some(sender) = seats.sender.as_mut().filter(|sender| sender.id == id) {
            if !mem::replace(&mut sender.is_last, true) {
                cx.waker().wake_by_ref(); // when the others have had their turn
                return Poll::Pending;
            }
            self.send_all(seats);
        }
        if seats.reader.is_some_and(|reader| reader != id) && seats.failure.is_none() {
            seats.wait(id, cx);
            return Poll::Pending;
        }
        seats.reader = Some(id);
        if mem::take(&mut seats.more) {
            self.read(seats);
        }
        loop {
            if let Some(message) = seats.unread(id) {
                return Poll::Ready(Ok(message));
            }
            if let Some(failure) = &seats.failure {
                return Poll::Ready(Err(Fault::Failed(self.error(failure))));
            }
            match self.io.poll_read_ready(cx) {
                // Before it is read: then what comes from now on is told anew.
                Poll::Ready(Ok(mut ready)) => {
                    ready.clear_ready();
                    self.read(seats);
                }
                Poll::Ready(Err(e)) => seats.fail("read", &e),
                Poll::Pending => {
                    // An error leaves nothing to read where a port is closed (ICMP).
                    let told = ready!(self.io.poll_write_ready(cx)).and_then(|_| self.io.get_ref().take_error());
                    match told.and_then(|error| error.map_or(Ok(()), Err)) {
                        Ok(()) => return Poll::Pending, // it was an earlier query's, and sending this one has fetched it
                        Err(e) => seats.fail("read", &e),
                    }
                }
            }
        }
    }

    /// What was received for the query with this ID was of no use: more may have arrived with it, which is looked for before the
    /// system tells of anything.
    pub fn look_again(&self) {
        self.seats().more = true;
    }

    /// Whether there has been an error: then the next one is not told. The runtime takes one that comes alone for the end of the way
    /// out, and tells of that once.
    pub fn has_failed(&self) -> bool {
        self.io.try_io(Interest::WRITABLE, |_| Ok(())).is_ok()
    }

    /// Reads what there is until each query has something. As a rule nothing is left then, and no read has to find that out.
    fn read(&self, seats: &mut Seats) {
        IN.with_borrow_mut(|inbox| {
            loop {
                let missing = seats.taken.iter().filter(|seat| seat.unread.is_empty()).count();
                if missing == 0 {
                    return;
                }
                let messages = match inbox.receive(missing, self.io.as_fd()) {
                    Ok(messages) => messages,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                    Err(e) => return seats.fail("read", &e),
                };
                let is_empty = messages.len() < missing.min(BATCH);
                let foreign = messages.filter(|message| !seats.deliver(message));
                foreign.for_each(|_| self.metrics.ignored(Verdict::Foreign));
                if is_empty {
                    return;
                }
            }
        });
    }

    /// What a time-out while waiting for a reply is called.
    pub fn timed_out(&self) -> Error {
        self.error(&Failure { what: "read", words: "i/o timeout".to_owned() })
    }

    fn error(&self, Failure { what, words }: &Failure) -> Error {
        let local = self.io.get_ref().local_addr().ok().and_then(|a| a.as_socket());
        let local = local.map_or_else(String::new, |a| a.to_string());
        Error::msg(format!("{what} udp {local}->{}: {words}", self.remote))
    }
}

/// What becomes of a socket when a query leaves its seat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// Others are asked over it.
    InUse,
    /// It may be used for others, after so many.
    Free {
        /// Queries so far.
        exchanges: u32,
    },
    /// It is to be closed.
    Spoilt,
}

impl Failure {
    fn new(what: &'static str, e: &io::Error) -> Failure {
        Failure { what, words: format!("{what}: {}", os_words(e)) }
    }
}

impl Seats {
    fn seat(&mut self, id: u16) -> Option<&mut Seat> {
        self.taken.iter_mut().find(|seat| seat.id == id)
    }

    /// Tells `segments` what became of the query with this ID: `answered`, or its reply is missing.
    fn tell(&mut self, id: u16, answered: bool, segments: &Segments) {
        if self.trial.take_if(|trial| *trial == id).is_some() {
            segments.tried(answered);
        } else if !answered {
            segments.doubt();
        }
    }

    /// The next message that a query has to read.
    fn unread(&mut self, id: u16) -> Option<Vec<u8>> {
        let unread = &mut self.seat(id)?.unread;
        (!unread.is_empty()).then(|| unread.remove(0))
    }

    /// Lets a query wait for who reads.
    fn wait(&mut self, id: u16, cx: &Context<'_>) {
        match self.seat(id) {
            Some(Seat { waker: Some(waker), .. }) => waker.clone_from(cx.waker()),
            Some(Seat { waker, .. }) => *waker = Some(cx.waker().clone()),
            None => (),
        }
    }

    /// Delivers a message to the query with its ID; `false` where none has that. One that is alone gets all that comes: it finds out
    /// what it is.
    fn deliver(&mut self, octets: &[u8]) -> bool {
        let seat = match &mut *self.taken {
            [seat] => Some(seat),
            seats => wire::u16_at(octets, 0).ok().and_then(|id| seats.iter_mut().find(|seat| seat.id == id)),
        };
        let Some(seat) = seat.filter(|seat| seat.unread.len() < MAX_UNREAD) else { return false };
        seat.unread.push(message(octets));
        seat.waker.take().into_iter().for_each(Waker::wake);
        true
    }

    /// The socket has failed: all who wait are told.
    fn fail(&mut self, what: &'static str, e: &io::Error) {
        self.failure = Some(Failure::new(what, e));
        self.spoilt = true;
        self.taken.iter_mut().filter_map(|seat| seat.waker.take()).for_each(Waker::wake);
    }

    /// Takes a seat away. Where its query was the one that reads, another one becomes that, and is woken: the one that was sent
    /// last, for it is likely to be here for the longest time.
    fn remove(&mut self, id: u16) {
        if let Some(at) = self.taken.iter().position(|seat| seat.id == id) {
            self.taken.remove(at).unread.into_iter().for_each(recycle);
        }
        if self.reader == Some(id) {
            // Those that are not waiting are about to look, or will be: the first one to do so reads.
            let next = self.taken.iter_mut().rev().find(|seat| seat.waker.is_some());
            self.reader = next.as_ref().map(|seat| seat.id);
            next.and_then(|seat| seat.waker.take()).into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests;

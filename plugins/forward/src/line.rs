//! One stream connection to an upstream, with many queries under way on it at the same time (RFC 7766 6.2.1, RFC 7858 3.3).
//!
//! Queries put their messages into the connection's buffer and wait; a task of its own writes what has gathered there and hands
//! replies to those who wait for them, by their ID and in whatever order they come.

use crate::dial::{self, Config, Stream};
use crate::drive::{FRAME, KEPT, drive};
use crate::message::Verdict;
use crate::random;
use crate::upstream::Fault;
use api::wire::HEADER;
use api::{Error, os_words};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// Queries that wait on one connection, at most.
const MOST_WAITING: usize = 64;
/// Octets that wait to be written; a message fits whatever its length where there are none.
const MOST_UNWRITTEN: usize = 128 * 1024;
/// After so long without anything from an upstream that is waited for, another connection may do better.
const STALLED: Duration = Duration::from_millis(100);
/// A query that was given up after so long, with nothing having come since, says that its connection is dead.
const DEAD: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Clone, Debug)]
pub struct End {
    words: String,
    /// The upstream closed it: another one may do better.
    pub by_upstream: bool,
}

impl End {
    /// The upstream has closed the connection, maybe within a message.
    pub fn of_file(within: bool) -> End {
        End { words: if within { "unexpected EOF" } else { "EOF" }.to_owned(), by_upstream: true }
    }

    /// As the outcome of an exchange.
    pub fn fault(self) -> Fault {
        Fault::Failed(Error::msg(self.words))
    }
}

/// One connection.
#[derive(Debug)]
pub struct Line {
    config: Arc<Config>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    opened: Instant,
    /// When it was last used: something came, or there was nothing to wait for before a query.
    used: Instant,
    /// Queries that went over it, so far.
    asked: u64,
    /// Framed messages.
    unwritten: Vec<u8>,
    /// By the ID that a query has on this connection; without anybody who waits where it was given up.
    waiting: HashMap<u16, Option<Sender>>,
    given_up: usize,
    /// No more queries are taken.
    retired: bool,
    /// It is counted among the idle ones.
    idle: bool,
    task: Option<Waker>,
}

type Sender = oneshot::Sender<Result<Vec<u8>, End>>;

#[derive(Debug)]
enum Stage {
    Connecting,
    Open(Option<SocketAddr>),
    Closed,
}

/// A query on a connection; given up where it is dropped.
#[derive(Debug)]
pub struct Ticket {
    line: Arc<Line>,
    /// Its ID there, and its own.
    ids: (u16, u16),
    asked: Instant,
    /// The connection has served other queries before.
    pub reused: bool,
    reply: oneshot::Receiver<Result<Vec<u8>, End>>,
}

impl Line {
    /// A connection that is not open yet; [`Line::run`] opens it.
    pub fn new(config: Arc<Config>, now: Instant) -> Arc<Line> {
        let state = State {
            stage: Stage::Connecting,
            opened: now,
            used: now,
            asked: 0,
            unwritten: Vec::new(),
            waiting: HashMap::new(),
            given_up: 0,
            retired: false,
            idle: false,
            task: None,
        };
        Arc::new(Line { config, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many queries one of so many octets would wait behind, and many more where nothing comes from the upstream; `None` where
    /// it does not fit.
    pub fn queue(&self, length: usize, now: Instant) -> Option<usize> {
        let state = self.state();
        let waiting = state.waiting.len();
        let room = state.unwritten.is_empty() || state.unwritten.len() + FRAME + length <= MOST_UNWRITTEN;
        if matches!(state.stage, Stage::Closed) || self.is_over(&state, now) || waiting >= MOST_WAITING || !room {
            return None;
        }
        let open = matches!(state.stage, Stage::Open(_));
        let stalled = open && waiting > 0 && now.saturating_duration_since(state.used) > STALLED;
        Some(if stalled { waiting + MOST_WAITING } else { waiting })
    }

    /// Whether it is open and has nothing to do.
    pub fn is_idle(&self, now: Instant) -> bool {
        let state = self.state();
        matches!(state.stage, Stage::Open(_)) && state.waiting.is_empty() && !self.is_over(&state, now)
    }

    /// Whether it is closed; before that, makes it close when it has served its time.
    pub fn is_closed(&self, now: Instant) -> bool {
        let mut state = self.state();
        if self.is_over(&state, now) {
            state.retire();
        }
        matches!(state.stage, Stage::Closed)
    }

    fn is_over(&self, state: &State, now: Instant) -> bool {
        let since = |then| now.saturating_duration_since(then);
        let unused = state.waiting.is_empty() && state.asked > 0 && since(state.used) > self.config.keep.expire;
        state.retired || unused || self.config.keep.max_age.is_some_and(|age| since(state.opened) > age)
    }

    /// Puts a query on the connection.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn ask(self: &Arc<Self>, query: &[u8], now: Instant) -> Result<Ticket, Fault> {
        let failed = |words: String| Fault::Failed(Error::msg(words));
        let (Some(own), Ok(length)) = (query.first_chunk(), u16::try_from(query.len())) else {
            return Err(failed(format!("a query of {} octets", query.len())));
        };
        let own = u16::from_be_bytes(*own);
        let (sender, reply) = oneshot::channel();
        let mut state = self.state();
        let id = loop {
            let id = random::number().map_err(|e| failed(format!("no random numbers: {e}")))?;
            if let Entry::Vacant(place) = state.waiting.entry(id) {
                place.insert(Some(sender));
                break id;
            }
        };
        if state.waiting.len() == 1 {
            state.used = now;
            self.leave_idle(&mut state);
        }
        state.asked += 1;
        let reused = state.asked > 1;
        state.unwritten.extend_from_slice(&length.to_be_bytes());
        state.unwritten.extend_from_slice(&id.to_be_bytes());
        state.unwritten.extend_from_slice(&query[2..]);
        state.wake();
        drop(state);
        Ok(Ticket { line: self.clone(), ids: (id, own), asked: now, reused, reply })
    }

    /// Nothing waits any more: the connection is kept, or it closes.
    fn rest(&self, state: &mut State) {
        let limit = self.config.keep.max_idle;
        if limit == 0 || state.idle || state.retired {
            return;
        }
        if self.config.idle.fetch_add(1, Relaxed) < limit {
            state.idle = true;
        } else {
            self.config.idle.fetch_sub(1, Relaxed);
            state.retire();
        }
    }

    fn leave_idle(&self, state: &mut State) {
        if std::mem::take(&mut state.idle) {
            self.config.idle.fetch_sub(1, Relaxed);
        }
    }

    /// Opens the connection and serves it until it ends.
    pub async fn run(self: Arc<Self>) {
        let line = Closes(self);
        let end = match line.0.open().await {
            Ok(Stream::Tcp(stream)) => drive(&line.0, stream).await,
            Ok(Stream::Tls(stream)) => drive(&line.0, *stream).await,
            Err(words) => Some(End { words, by_upstream: false }),
        };
        line.0.close(end);
    }

    async fn open(&self) -> Result<Stream, String> {
        let (stream, local) = self.config.open().await?;
        self.state().stage = Stage::Open(local);
        Ok(stream)
    }

    /// What a time-out is called.
    fn timed_out(&self) -> String {
        match (&self.state().stage, &self.config.address) {
            (Stage::Connecting, Ok(address)) => dial::timed_out(*address),
            (Stage::Open(local), Ok(address)) => error("read", *local, *address, "i/o timeout"),
            _ => "i/o timeout".to_owned(),
        }
    }

    /// Tells all who wait that the connection has ended.
    fn close(&self, end: Option<End>) {
        let waiting = {
            let mut state = self.state();
            state.stage = Stage::Closed;
            self.leave_idle(&mut state);
            (state.unwritten, state.given_up) = (Vec::new(), 0);
            std::mem::take(&mut state.waiting)
        };
        let end = end.unwrap_or_else(|| End::of_file(false));
        for sender in waiting.into_values().flatten() {
            let _ = sender.send(Err(end.clone())); // given up in this moment: then nobody needs to know
        }
    }

    /// Hands a message to who waits for it.
    pub fn deliver(&self, message: &[u8]) {
        let id = message.first_chunk().filter(|_| message.len() >= HEADER).map(|id| u16::from_be_bytes(*id));
        let now = self.config.clock.now();
        let waits = {
            let mut state = self.state();
            state.used = now;
            let waits = id.and_then(|id| state.waiting.remove(&id));
            state.given_up -= usize::from(matches!(waits, Some(None)));
            if state.waiting.is_empty() && waits.is_some() {
                self.rest(&mut state);
            }
            if state.retired {
                state.wake();
            }
            waits
        };
        let taken = waits.flatten().is_some_and(|sender| sender.send(Ok(message.to_vec())).is_ok());
        if !taken {
            self.config.metrics.ignored(Verdict::Foreign);
        }
    }

    /// For the connection's task: takes what is to be written, in exchange for an empty buffer; `false` where the connection has
    /// nothing more to do. The task is woken when there is more.
    pub fn take_unwritten(&self, buffer: &mut Vec<u8>, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        state.task = Some(cx.waker().clone());
        if state.retired && state.waiting.len() == state.given_up {
            state.stage = Stage::Closed; // nobody puts a query on it from now on
            return false;
        }
        if buffer.is_empty() {
            buffer.shrink_to(KEPT);
            std::mem::swap(buffer, &mut state.unwritten);
        }
        true
    }

    /// The connection has failed.
    pub fn broken(&self, what: &str, e: &io::Error) -> End {
        if e.kind() == ErrorKind::UnexpectedEof {
            return End::of_file(false); // closed without the words that TLS has for it
        }
        let by_upstream =
            matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted);
        let words = match (&self.state().stage, &self.config.address) {
            (Stage::Open(local), Ok(address)) => error(what, *local, *address, &format!("{what}: {}", os_words(e))),
            _ => os_words(e),
        };
        End { words, by_upstream }
    }

    /// A query is given up.
    fn give_up(&self, id: u16, asked: Instant) {
        let now = self.config.clock.now();
        let mut state = self.state();
        let Some(sender) = state.waiting.get_mut(&id) else { return };
        *sender = None;
        state.given_up += 1;
        let silent = state.used <= asked && now.saturating_duration_since(asked) >= DEAD.min(self.config.patience);
        // What nothing comes from any more, or what keeps too many places for nothing, is of no use.
        if silent && matches!(state.stage, Stage::Open(_)) || state.given_up > MOST_WAITING / 2 {
            state.retired = true;
        }
        if state.retired {
            state.wake();
        }
    }
}

/// Closes a connection that is served no longer, for whatever reason.
struct Closes(Arc<Line>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close(None);
    }
}

impl State {
    fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    fn retire(&mut self) {
        self.retired = true;
        self.wake();
    }
}

impl Ticket {
    /// The reply, with the query's own ID.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, End>> {
        let told = ready!(Pin::new(&mut self.reply).poll(cx));
        let mut reply = told.unwrap_or_else(|_| {
            Err(End { words: "use of closed network connection".to_owned(), by_upstream: false })
        })?;
        if let Some(id) = reply.first_chunk_mut() {
            *id = self.ids.1.to_be_bytes();
        }
        Poll::Ready(Ok(reply))
    }

    /// What the end of the wait for the reply is called.
    pub fn timed_out(&self) -> Error {
        Error::msg(self.line.timed_out())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if matches!(self.reply.try_recv(), Err(TryRecvError::Empty)) {
            self.line.give_up(self.ids.0, self.asked);
        }
    }
}

/// An error in the words of Go's library.
fn error(what: &str, local: Option<SocketAddr>, remote: SocketAddr, words: &str) -> String {
    let local = local.map_or_else(String::new, |a| a.to_string());
    format!("{what} tcp {local}->{remote}: {words}")
}

//! Plain DNS over TCP (RFC 7766): messages behind their lengths, pipelined, on connections that end when they are idle.

use crate::admit::{Admission, admit};
use crate::clients::{Full, Place};
use crate::route::Begun;
use crate::seal::seal;
use crate::sockets;
use crate::waiting::{Busy, Deliver, Job};
use crate::worker::{Current, Routes, Shared};
use api::reply::More;
use api::setup::Timeouts;
use api::task::{Stop, StopSource};
use api::{Query, Transport, traffic};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

/// Connections that one worker serves at the same time; more are closed at once.
pub const MAX_CONNECTIONS: usize = 4_096;
/// Queries of one connection that may wait at the same time; more are not read until one is answered.
const MAX_WAITING: usize = 128;
/// Octets of replies that may wait to be written; more queries are not read until the client has taken some.
const MAX_UNWRITTEN: usize = 128 * 1024;
/// Octets that all connections of a worker may hold. Beyond that, a part of a long message ends its connection, and one reply has to
/// be written before the next is made.
const MAX_BUFFERED: usize = 32 << 20;
/// Memory that a connection may keep for what it reads and writes next.
const KEPT: usize = 4 * 1024;

/// Connections that have begun when the listener ends are complete after that time: a round trip to a distant client.
const HANDSHAKE: Duration = Duration::from_millis(100);
/// How long it takes until a client sends again what was dropped before its connection was accepted: 200 ms, as Linux does it.
const SENT_AGAIN: Duration = Duration::from_millis(250);
/// How long clients that always have another query are listened to once the listener has ended.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a connection that is idle is listened to once the listener has ended: what the client has just sent arrives.
const ON_ITS_WAY: Duration = Duration::from_millis(50);
/// How long a client may take to end its side after ours.
const LINGER: Duration = Duration::from_secs(1);

/// Time-outs without the directive `timeouts` (CoreDNS's values).
const READ: Duration = Duration::from_secs(3);
const WRITE: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(10);

/// One listener of a worker, as its connections see it.
pub struct TcpServer {
    current: Current,
    shared: Rc<Shared>,
    connections: Busy,
    /// Ordered when the end cannot wait for clients any more that always have another query.
    hurry: StopSource,
}

impl TcpServer {
    /// A server without connections.
    pub fn new(current: Current, shared: Rc<Shared>) -> Rc<TcpServer> {
        Rc::new(TcpServer { current, shared, connections: Busy::default(), hurry: StopSource::default() })
    }

    /// Accepts connections until `stop`; those that have begun until then end when they are idle, and this ends with the last.
    pub async fn serve(self: Rc<Self>, listener: TcpListener, mut stop: Stop) {
        while let Some(accepted) = stop.or(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => self.begin(stream, peer, &stop),
                // Out of descriptors, most likely: closing connections give some back.
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
        self.accept_all(&listener, &stop);
        if let Err(e) = sockets::begin_no_more(&listener) {
            tracing::debug!("connections that begin at the very end may be reset: {}", api::os_words(&e));
        }
        sleep(HANDSHAKE).await;
        let late = StopSource::default();
        let accepted = self.accept_all(&listener, &late.listen());
        drop(listener); // connections may end later than others can have the port
        if accepted > 0 {
            sleep(SENT_AGAIN).await;
        }
        late.stop();
        if timeout(PATIENCE, self.connections.ended()).await.is_err() {
            self.hurry.stop();
        }
        self.connections.ended().await;
    }

    /// Accepts the connections that are there already, whether the runtime has heard of them or not; how many there are.
    fn accept_all(self: &Rc<Self>, listener: &TcpListener, stop: &Stop) -> usize {
        let mut accepted = 0;
        while let Ok((stream, peer)) = accept_now(listener) {
            // One that has the listener's limit, and keeps it, is deaf: it ends when nothing comes.
            let _ = sockets::let_go_on(&stream);
            self.begin(stream, peer, stop);
            accepted += 1;
        }
        accepted
    }

    /// Begins to answer on a connection, if there is a place for it.
    fn begin(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, stop: &Stop) {
        let shed = |reason| self.current.get().router.shed(reason, 1);
        match self.shared.connections.take(peer.ip()) {
            Ok(place) => {
                let served = Served::new(self, place);
                tokio::task::spawn_local(converse(stream, canonical(peer), served, stop.clone()));
            }
            Err(Full::All) => shed("connections"),
            Err(Full::Share) => shed("connections_client"),
        }
    }

    /// Whether the connections of the worker hold as much as they may.
    fn is_laden(&self) -> bool {
        self.shared.buffered.get() >= MAX_BUFFERED
    }
}

/// A connection that is served, counted as long as it lives.
struct Served {
    server: Rc<TcpServer>,
    _place: Place,
}

impl Served {
    fn new(server: &Rc<TcpServer>, place: Place) -> Served {
        server.connections.begin();
        Served { server: server.clone(), _place: place }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.connections.end();
    }
}

/// Accepts a connection that is there already, whether the runtime has heard of it or not.
fn accept_now(socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, _) = socket2::SockRef::from(socket).accept()?;
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream.into())?;
    let peer = stream.peer_addr()?;
    Ok((stream, peer))
}

/// A reply of which more messages follow.
struct Unfinished {
    q: Box<Query>,
    more: Box<dyn More>,
}

/// What a connection's task and its waiting queries share.
struct Connection {
    server: Rc<TcpServer>,
    peer: SocketAddr,
    local: SocketAddr,
    unwritten: RefCell<Vec<u8>>,
    unfinished: RefCell<VecDeque<Unfinished>>,
    waiting: Cell<usize>,
    answered: Answered,
}

/// Tells the connection's task that queries that waited have been answered.
#[derive(Default)]
struct Answered {
    since: Cell<bool>,
    task: Cell<Option<Waker>>,
}

impl Answered {
    fn tell(&self) {
        self.since.set(true);
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    /// Ready if there was an answer since the last time.
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.since.take() {
            return Poll::Ready(());
        }
        let known = self.task.take().filter(|task| task.will_wake(cx.waker()));
        self.task.set(Some(known.unwrap_or_else(|| cx.waker().clone())));
        Poll::Pending
    }
}

/// Answers the queries of one connection until its end.
async fn converse(stream: TcpStream, peer: SocketAddr, served: Served, stop: Stop) {
    let Ok(local) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true); // replies are written whole: a delay gains nothing
    answer(stream, (peer, canonical(local)), served.server.clone(), stop).await;
}

/// Answers what comes over `stream`, between these two addresses, until its end or `stop`.
pub async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    (peer, local): (SocketAddr, SocketAddr),
    server: Rc<TcpServer>,
    stop: Stop,
) {
    let (unwritten, waiting, answered) = (RefCell::default(), Cell::new(0), Answered::default());
    let unfinished = RefCell::default();
    let hurry = server.hurry.listen();
    let connection = Rc::new(Connection { server, peer, local, unwritten, unfinished, waiting, answered });
    let (input, written, queries, leaves, client_ended) = (Vec::new(), 0, 0, false, false);
    // A broken connection needs no further words.
    let _ = Conversation { connection, stream, hurry, input, written, queries, held: 0, leaves, client_ended }
        .run(stop)
        .await;
}

struct Conversation<S> {
    connection: Rc<Connection>,
    stream: S,
    /// No more is to be read.
    hurry: Stop,
    /// What was read and is not answered yet: a part of a message, mostly, or messages that have to wait.
    input: Vec<u8>,
    /// Octets of the unwritten ones that have been written meanwhile.
    written: usize,
    queries: u64,
    /// Octets of memory that the worker was told of.
    held: usize,
    /// The server stops, and the connection ends as soon as it is idle.
    leaves: bool,
    /// The client has said all that it has to say.
    client_ended: bool,
}

/// Why a conversation goes on, or does not.
enum Event {
    /// Messages were read, so many of them whole and taken.
    Read(u64),
    /// Queries that waited are answered.
    Answered,
    /// The server stops.
    Stop,
    /// The client has said all, or too little for too long.
    End,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    async fn run(mut self, mut stop: Stop) -> io::Result<()> {
        let Timeouts { read, write, idle, max_queries } = self.connection.server.current.get().timeouts;
        let (mut idle, write, most) = (idle.unwrap_or(IDLE), write.unwrap_or(WRITE), max_queries.unwrap_or(u64::MAX));
        let mut deadline = self.now() + read.unwrap_or(READ);
        // Set anew only when it ends before its time has come: a query does not move it.
        let mut timer = pin!(sleep_until(deadline));
        let mut stopped = pin!(stop.stopped());
        while self.queries < most {
            if deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            self.tell_held();
            let event = poll_fn(|cx| self.poll(cx, most, deadline, timer.as_mut(), stopped.as_mut())).await?;
            match event {
                Event::End => break,
                Event::Read(0) => (),
                Event::Read(_) => deadline = self.now() + idle,
                Event::Answered => {
                    self.take_input(most); // that had to wait for it
                    deadline = self.now() + idle;
                }
                Event::Stop => {
                    // What is on its way is answered, too.
                    (idle, self.leaves) = (Duration::ZERO, true);
                    deadline = deadline.min(self.now() + ON_ITS_WAY);
                }
            }
            if self.write(write, most).await? {
                deadline = self.now() + idle;
            }
        }
        self.write(write, most).await?; // what was answered at the same time
        while self.connection.waiting.get() > 0 {
            poll_fn(|cx| self.connection.answered.poll(cx)).await;
            self.take_input(most);
            self.write(write, most).await?;
        }
        self.stream.shutdown().await?;
        self.hear_out().await;
        Ok(())
    }

    /// Reads what the client may have sent while it was told of the end, and forgets it: a connection that is closed with octets
    /// unread is reset (RFC 9293 3.10.4), and the client may lose replies that it has not read yet.
    async fn hear_out(&mut self) {
        let end = poll_fn(|cx| {
            let mut shared = self.connection.server.shared.read.borrow_mut();
            loop {
                let mut buffer = ReadBuf::new(&mut shared[..]);
                let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
                if read.is_err() || buffer.filled().is_empty() {
                    return Poll::Ready(());
                }
            }
        });
        if !self.client_ended {
            let _ = timeout(LINGER, end).await; // it was given its time
        }
    }

    fn now(&self) -> Instant {
        Instant::from_std(self.connection.server.shared.clock.now())
    }

    /// Waits for what is next. What has arrived is answered before an end.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        most: u64,
        deadline: Instant,
        mut timer: Pin<&mut Sleep>,
        stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<io::Result<Event>> {
        if self.hurry.is_ordered() {
            return Poll::Ready(Ok(Event::End));
        }
        if self.connection.waiting.get() < MAX_WAITING
            && let Poll::Ready(read) = self.read(cx, most)
        {
            return Poll::Ready(read);
        }
        if self.connection.answered.poll(cx).is_ready() {
            return Poll::Ready(Ok(Event::Answered));
        }
        if self.connection.waiting.get() > 0 {
            return Poll::Pending;
        }
        while timer.as_mut().poll(cx).is_ready() {
            if deadline <= timer.deadline() {
                return Poll::Ready(Ok(Event::End));
            }
            timer.as_mut().reset(deadline);
        }
        if self.leaves { Poll::Pending } else { stopped.poll(cx).map(|()| Ok(Event::Stop)) }
    }

    /// Reads once, into the memory that all connections of the worker share, and answers what is whole.
    fn read(&mut self, cx: &mut Context<'_>, most: u64) -> Poll<io::Result<Event>> {
        let server = self.connection.server.clone();
        let mut shared = server.shared.read.borrow_mut();
        let mut buffer = ReadBuf::new(&mut shared[..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let octets = buffer.filled();
        if octets.is_empty() {
            self.client_ended = true;
            return Poll::Ready(Ok(Event::End));
        }
        let before = self.queries;
        if self.input.is_empty() {
            let taken = self.take_messages(octets, most);
            self.input.extend_from_slice(&octets[taken..]);
        } else {
            self.input.extend_from_slice(octets);
            self.take_input(most);
        }
        if self.input.len() > KEPT && server.is_laden() && !is_whole(&self.input) {
            server.current.get().router.shed("buffers", 1);
            return Poll::Ready(Ok(Event::End));
        }
        Poll::Ready(Ok(Event::Read(self.queries - before)))
    }

    /// Tells the worker how much memory this connection holds beyond what each may keep.
    fn tell_held(&mut self) {
        let has = self.input.capacity() + self.connection.unwritten.borrow().capacity();
        let held = has.saturating_sub(2 * KEPT);
        if held != self.held {
            let all = &self.connection.server.shared.buffered;
            all.set(all.get() + held - self.held);
            self.held = held;
        }
    }

    /// Answers what has been read before, as far as that goes without waiting.
    fn take_input(&mut self, most: u64) {
        if self.input.is_empty() {
            return;
        }
        let mut input = std::mem::take(&mut self.input);
        let taken = self.take_messages(&input, most);
        input.drain(..taken);
        if !input.is_empty() || input.capacity() <= KEPT {
            self.input = input;
        }
    }

    /// Answers the whole messages at the beginning of `input`, as far as that goes without waiting; returns how many octets
    /// they have.
    fn take_messages(&mut self, input: &[u8], most: u64) -> usize {
        let connection = &self.connection;
        let (routes, now) = (connection.server.current.get(), connection.server.shared.clock.now());
        let mut at = 0;
        while self.queries < most
            && connection.has_room()
            && let Some((length, rest)) = input[at..].split_first_chunk::<2>()
            && let Some(message) = rest.get(..usize::from(u16::from_be_bytes(*length)))
        {
            connection.take(message, &routes, now);
            at += 2 + message.len();
            self.queries += 1;
        }
        traffic::batch_complete(&connection.server.shared.clock);
        at
    }

    /// Writes the replies that are complete, message by message where there are several; then takes up queries that had to wait
    /// for that. Returns whether there were replies of several messages, which may have taken long.
    async fn write(&mut self, limit: Duration, most: u64) -> io::Result<bool> {
        let mut long = false;
        while !self.connection.unwritten.borrow().is_empty() {
            // A timer is set only where the client is slow to take what there is.
            match poll_fn(|cx| Poll::Ready(self.poll_write(cx))).await {
                Poll::Ready(written) => written?,
                Poll::Pending => timeout(limit, poll_fn(|cx| self.poll_write(cx))).await??,
            }
            if self.connection.go_on() {
                long = true;
                tokio::task::yield_now().await; // others have their turn between two messages
            }
            self.take_input(most);
        }
        Ok(long)
    }

    /// Writes all that is unwritten.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut unwritten = self.connection.unwritten.borrow_mut();
        while self.written < unwritten.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &unwritten[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        self.written = 0;
        unwritten.clear();
        if unwritten.capacity() > KEPT {
            *unwritten = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> Drop for Conversation<S> {
    fn drop(&mut self) {
        let all = &self.connection.server.shared.buffered;
        all.set(all.get() - self.held);
    }
}

impl Connection {
    /// Whether one more query may be answered now.
    fn has_room(&self) -> bool {
        let most = if self.server.is_laden() { 1 } else { MAX_UNWRITTEN };
        self.waiting.get() < MAX_WAITING && self.unwritten.borrow().len() < most && self.unfinished.borrow().is_empty()
    }

    fn take(self: &Rc<Self>, message: &[u8], routes: &Rc<Routes>, now: std::time::Instant) {
        let shared = &self.server.shared;
        let mut q = shared.waiting.query();
        match admit(message, &mut q) {
            Admission::Ignored => return shared.waiting.give_back(q),
            Admission::Refused => {
                self.put(q.reply.bytes());
                return shared.waiting.give_back(q);
            }
            Admission::Query => (),
        }
        (q.client, q.local, q.transport) = (self.peer, self.local, Transport::Tcp);
        (q.received, q.in_batch) = (now, true);
        q.set_server(&routes.server);
        match routes.router.begin(&mut q) {
            Begun::Done => self.seal(q),
            Begun::Wait(at) => {
                self.waiting.set(self.waiting.get() + 1);
                shared.waiting.start(Job { q, at, routes: routes.clone(), to: self.clone() });
            }
        }
    }

    fn seal(&self, mut q: Box<Query>) {
        let more = q.reply.take_more();
        match (seal(&mut q), more) {
            (Some(octets), Some(more)) => {
                self.put(octets);
                self.unfinished.borrow_mut().push_back(Unfinished { q, more });
            }
            (sealed, _) => {
                sealed.map(|octets| self.put(octets)).unwrap_or_default();
                self.server.shared.waiting.give_back(q);
            }
        }
    }

    /// Makes the next message of a reply that has several, if there is one.
    fn go_on(&self) -> bool {
        let first = self.unfinished.borrow_mut().pop_front();
        let Some(Unfinished { mut q, mut more }) = first else { return false };
        let another = more.next(&mut q);
        if let Some(octets) = seal(&mut q) {
            self.put(octets);
        }
        if another {
            self.unfinished.borrow_mut().push_front(Unfinished { q, more });
        }
        // The last one is not given back for others: its buffers have grown.
        true
    }

    /// Leaves a message to be written.
    fn put(&self, octets: &[u8]) {
        let mut unwritten = self.unwritten.borrow_mut();
        unwritten.extend_from_slice(&(octets.len() as u16).to_be_bytes());
        unwritten.extend_from_slice(octets);
    }
}

impl Deliver for Connection {
    fn deliver(&self, q: Box<Query>) {
        self.seal(q);
        self.waiting.set(self.waiting.get() - 1);
        self.answered.tell();
    }
}

/// Whether the first message of what was read is there as a whole.
fn is_whole(input: &[u8]) -> bool {
    let length = input.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)));
    length.is_some_and(|length| input.len() >= 2 + length)
}

/// An IPv4 address that came in the form of an IPv6 one, as such.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(a) if a.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(address.ip().to_canonical(), a.port())
        }
        other => other,
    }
}

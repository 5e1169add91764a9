//! Plain DNS over TCP (RFC 7766): messages behind their lengths, pipelined, on connections that end when they are idle.

use crate::admit::{Admission, admit};
use crate::route::Begun;
use crate::seal::seal;
use crate::udp::canonical;
use crate::waiting::{Busy, Deliver, Job};
use crate::worker::{Current, Shared};
use api::reply::More;
use api::task::Stop;
use api::{Query, Transport};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Connections that one socket serves at the same time; more are closed at once.
const MAX_CONNECTIONS: usize = 4_096;
/// Queries of one connection that may wait at the same time; more are not read until one is answered.
const MAX_WAITING: usize = 128;
/// Octets of replies that may wait to be written; more queries are not read until the client has taken some.
const MAX_UNWRITTEN: usize = 128 * 1024;

/// Time-outs without the directive `timeouts` (CoreDNS's values).
const READ: Duration = Duration::from_secs(3);
const WRITE: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(10);

/// One listening socket of a worker.
pub struct TcpServer {
    socket: tokio::net::TcpListener,
    current: Current,
    shared: Rc<Shared>,
    connections: Busy,
}

impl TcpServer {
    /// Serves `socket`, which does not block and listens.
    ///
    /// # Errors
    /// The socket cannot be watched.
    pub fn new(socket: std::net::TcpListener, current: Current, shared: Rc<Shared>) -> io::Result<Rc<TcpServer>> {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        Ok(Rc::new(TcpServer { socket, current, shared, connections: Busy::default() }))
    }

    /// A connection's place among those that are served; `None` where there are too many.
    fn admit(self: &Rc<Self>) -> Option<Place> {
        (self.connections.number() < MAX_CONNECTIONS).then(|| {
            self.connections.begin();
            Place(self.clone())
        })
    }
}

/// Counts a connection as long as it lives.
struct Place(Rc<TcpServer>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.end();
    }
}

/// Accepts connections until `stop`; those that have come until then end when they are idle, and this ends with the last.
pub async fn serve(server: Rc<TcpServer>, mut stop: Stop) {
    while let Some(accepted) = stop.or(server.socket.accept()).await {
        match accepted {
            Ok((stream, peer)) => begin(&server, stream, peer, &stop),
            // Out of descriptors, most likely: closing connections give some back.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    while let Ok((stream, peer)) = accept_now(&server.socket) {
        begin(&server, stream, peer, &stop);
    }
    server.connections.ended().await;
}

/// Accepts a connection that is there already, whether the runtime has heard of it or not.
fn accept_now(socket: &tokio::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, _) = socket2::SockRef::from(socket).accept()?;
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream.into())?;
    let peer = stream.peer_addr()?;
    Ok((stream, peer))
}

/// Begins to answer on a connection, if there is a place for it.
fn begin(server: &Rc<TcpServer>, stream: TcpStream, peer: SocketAddr, stop: &Stop) {
    match server.admit() {
        Some(place) => drop(tokio::task::spawn_local(converse(stream, canonical(peer), place, stop.clone()))),
        None => server.current.get().router.shed("connections"),
    }
}

/// A reply of which more messages follow.
struct Unfinished {
    q: Box<Query>,
    more: Box<dyn More>,
}

/// What a connection's reader and its waiting queries share.
struct Connection {
    server: Rc<TcpServer>,
    peer: SocketAddr,
    local: SocketAddr,
    unwritten: RefCell<Vec<u8>>,
    unfinished: RefCell<VecDeque<Unfinished>>,
    waiting: Cell<usize>,
    answered: Notify,
}

/// Answers the queries of one connection until its end.
async fn converse(stream: TcpStream, peer: SocketAddr, place: Place, stop: Stop) {
    let Ok(local) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true); // replies are written whole: a delay gains nothing
    let (unwritten, waiting, answered) = (RefCell::default(), Cell::new(0), Notify::new());
    let server = place.0.clone();
    let (local, unfinished) = (canonical(local), RefCell::default());
    let connection = Rc::new(Connection { server, peer, local, unwritten, unfinished, waiting, answered });
    let (reader, writer) = stream.into_split();
    // A broken connection needs no further words.
    let _ = Conversation { connection, reader, writer, input: Vec::new(), queries: 0 }.run(stop).await;
}

struct Conversation {
    connection: Rc<Connection>,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    /// What was read and is no whole message yet.
    input: Vec<u8>,
    queries: u64,
}

impl Conversation {
    async fn run(mut self, mut stop: Stop) -> io::Result<()> {
        let timeouts = self.connection.server.current.get().timeouts;
        let mut deadline = Instant::now() + timeouts.read.unwrap_or(READ);
        let idle = timeouts.idle.unwrap_or(IDLE);
        let max_queries = timeouts.max_queries.unwrap_or(u64::MAX);
        let mut open = true;
        while open {
            let connection = self.connection.clone();
            let full = connection.waiting.get() >= MAX_WAITING;
            tokio::select! {
                biased; // what has arrived is answered before an end
                read = self.reader.read_buf(&mut self.input), if !full => match read? {
                    0 => open = false,
                    _ => if self.take_messages(max_queries) > 0 { deadline = Instant::now() + idle },
                },
                () = connection.answered.notified() => {
                    self.take_messages(max_queries); // that had to wait for it
                    deadline = Instant::now() + idle;
                }
                () = tokio::time::sleep_until(deadline), if connection.waiting.get() == 0 => open = false,
                () = stop.stopped(), if connection.waiting.get() == 0 => open = false,
            }
            open &= self.queries < max_queries;
            if self.write(&timeouts).await? {
                deadline = Instant::now() + idle;
            }
        }
        while self.connection.waiting.get() > 0 {
            self.connection.answered.notified().await;
            self.take_messages(max_queries);
            self.write(&timeouts).await?;
        }
        self.writer.shutdown().await
    }

    /// Answers the whole messages that have been read, as far as that goes without waiting; returns how many there were.
    fn take_messages(&mut self, max_queries: u64) -> u64 {
        let mut at = 0;
        let before = self.queries;
        while self.queries < max_queries
            && self.connection.waiting.get() < MAX_WAITING
            && self.connection.unwritten.borrow().len() < MAX_UNWRITTEN
            && self.connection.unfinished.borrow().is_empty()
            && let Some((length, rest)) = self.input[at..].split_first_chunk::<2>()
            && let Some(message) = rest.get(..usize::from(u16::from_be_bytes(*length)))
        {
            self.connection.take(message);
            at += 2 + message.len();
            self.queries += 1;
        }
        self.input.drain(..at);
        self.queries - before
    }

    /// Writes the replies that are complete, message by message where there are several; then takes up queries that had to wait
    /// for that. Returns whether there were replies of several messages, which may have taken long.
    async fn write(&mut self, timeouts: &api::setup::Timeouts) -> io::Result<bool> {
        let mut long = false;
        loop {
            let octets = std::mem::take(&mut *self.connection.unwritten.borrow_mut());
            if octets.is_empty() {
                return Ok(long);
            }
            timeout(timeouts.write.unwrap_or(WRITE), self.writer.write_all(&octets)).await??;
            if self.connection.go_on() {
                long = true;
                tokio::task::yield_now().await; // others have their turn between two messages
            }
            self.take_messages(timeouts.max_queries.unwrap_or(u64::MAX));
        }
    }
}

impl Connection {
    fn take(self: &Rc<Self>, message: &[u8]) {
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
        (q.client, q.local, q.transport, q.received) = (self.peer, self.local, Transport::Tcp, shared.clock.now());
        let routes = self.server.current.get();
        q.set_server(&routes.server);
        match routes.router.begin(&mut q) {
            Begun::Done => self.seal(q),
            Begun::Wait(chain, at) => {
                self.waiting.set(self.waiting.get() + 1);
                shared.waiting.start(Job { q, chain, at, router: routes.router.clone(), to: self.clone() });
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
        self.answered.notify_one();
    }
}

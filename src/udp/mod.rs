//! Plain DNS over UDP: datagrams in, datagrams out.

mod backlog;
pub mod batch;
mod datagrams;
mod fair;
mod outbox;
mod pause;
mod watch;

use crate::admit::{Admission, admit};
use crate::metrics;
use crate::route::Begun;
use crate::seal::seal;
use crate::sockets;
use crate::waiting::{Busy, Deliver, Job};
use crate::worker::{Current, Routes, Shared};
use api::task::Stop;
use api::{Query, Transport, traffic};
use backlog::Backlog;
use batch::{BATCH, Batch, Datagram, Ready};
use datagrams::{Arrivals, Datagrams};
use fair::Fairness;
use outbox::Outbox;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// One socket of a worker.
pub struct UdpServer {
    socket: Datagrams,
    address: SocketAddr,
    current: Current,
    shared: Rc<Shared>,
    busy: Busy,
    backlog: Rc<Backlog>,
    outbox: Outbox,
    fairness: Rc<Fairness>,
}

/// What a socket needs from its first datagram on; many get none, those for IPv6 in most clusters.
struct Buffers {
    batch: Batch,
    /// The query that is being answered.
    q: Box<Query>,
    /// The replies of a batch, one behind the other, so that they stay in the CPU's cache until they are sent.
    octets: Vec<u8>,
    /// Where the reply to each datagram stands there; empty where there is none.
    replies: [Range<usize>; BATCH],
    /// Queries that had to wait, whose replies are being sent.
    #[expect(
        clippy::vec_box,
        reason = "a query moves as its box, between sockets, lanes and the pool of those that are spare"
    )]
    ready: Vec<Box<Query>>,
}

/// What the system was about to deliver to a socket when it was taken out is there after that time.
const DELIVERED: Duration = Duration::from_millis(20);
/// Pending errors of a socket, each of which reading it fetches, before it is taken for broken.
const MAX_FAILURES: u32 = 64;
/// Octets for replies that are kept from batch to batch.
const KEPT: usize = 256 << 10;

impl Default for Buffers {
    fn default() -> Self {
        let replies = std::array::from_fn(|_| 0..0);
        Buffers { batch: Batch::default(), q: Box::default(), octets: Vec::new(), replies, ready: Vec::new() }
    }
}

impl UdpServer {
    /// Serves `socket`, which does not block: answers queries until `stop`; then what has reached the socket before. Ends when nothing
    /// waits any more.
    ///
    /// # Errors
    /// The socket cannot be watched, or has no address.
    pub fn serve(
        socket: std::net::UdpSocket,
        current: Current,
        shared: Rc<Shared>,
        stop: Stop,
    ) -> io::Result<impl Future<Output = ()>> {
        let address = socket.local_addr()?;
        let (socket, busy) = (Datagrams::new(socket), Busy::default());
        let arrivals = Arrivals::at(socket.clone())?;
        let backlog = Backlog::new(socket.clone(), current.clone());
        let fairness = Fairness::new(socket.clone(), current.clone(), shared.clone());
        let outbox = Outbox::default();
        let server = Rc::new(UdpServer { socket, address, current, shared, busy, backlog, outbox, fairness });
        Ok(server.run(arrivals, stop))
    }

    async fn run(self: Rc<Self>, mut arrivals: Arrivals, mut stop: Stop) {
        let (order, mut stopped) = (stop.clone(), std::pin::pin!(stop.stopped()));
        let mut buffers = None;
        let way_back: Rc<dyn Deliver> = self.clone();
        while !order.is_ordered() {
            let ready = tokio::select! {
                biased;
                () = self.outbox.some() => true,
                () = arrivals.some() => false,
                () = &mut stopped => break,
            };
            let buffers = buffers.get_or_insert_with(Buffers::default);
            if ready {
                self.send_ready(buffers).await;
                continue;
            }
            let n = arrivals.receive(&mut buffers.batch);
            self.fairness.received(&buffers.batch, n);
            self.answer(buffers, n, &way_back).await;
        }
        let buffers = buffers.get_or_insert_with(Buffers::default);
        if let Err(e) = sockets::take_out(&self.socket) {
            tracing::debug!("what reaches {} at the very end is lost: {}", self.address, api::os_words(&e));
        }
        self.read_empty(buffers, &way_back).await;
        tokio::join!(tokio::time::sleep(DELIVERED), self.finish(buffers));
        self.read_empty(buffers, &way_back).await;
        self.finish(buffers).await;
        self.backlog.ended().await;
    }

    /// Sends what gets ready until nothing waits any more.
    async fn finish(&self, buffers: &mut Buffers) {
        loop {
            tokio::select! {
                biased;
                () = self.outbox.some() => self.send_ready(buffers).await,
                () = self.busy.ended() => return,
            }
        }
    }

    /// Answers all that has reached the socket. Other work of this worker has its turn in between.
    async fn read_empty(&self, buffers: &mut Buffers, way_back: &Rc<dyn Deliver>) {
        let mut failures = 0;
        loop {
            // Straight from the socket: the runtime may not have heard yet of what has come.
            match buffers.batch.receive(self.socket.as_fd()) {
                Ok(n) if n > 0 => self.answer(buffers, n, way_back).await,
                Err(e) if e.kind() != io::ErrorKind::WouldBlock && failures < MAX_FAILURES => failures += 1,
                _ => return,
            }
            tokio::task::yield_now().await;
        }
    }

    async fn answer(&self, buffers: &mut Buffers, n: usize, way_back: &Rc<dyn Deliver>) {
        let Buffers { batch, q, octets, replies, .. } = buffers;
        let (now, routes) = (self.shared.clock.now(), self.current.get());
        octets.clear();
        for (i, place) in replies.iter_mut().enumerate().take(n) {
            let begin = octets.len();
            if let Some(datagram) = batch.datagram(i)
                && let Some(reply) = self.take(datagram, now, &routes, q, way_back)
            {
                octets.extend_from_slice(reply);
            }
            *place = begin..octets.len();
        }
        traffic::batch_complete(&self.shared.clock);
        let mut from = 0;
        let reply = |i: usize| octets.get(replies[i].clone()).filter(|reply| !reply.is_empty());
        let send = || {
            batch.send(self.socket.as_fd(), &mut from, n, reply, metrics::unsent)?;
            Ok(from >= n)
        };
        if !self.send(send).await {
            let late = (from..n).filter_map(|i| Some((reply(i)?, batch.datagram(i)?)));
            late.for_each(|(octets, d)| self.backlog.push(Ready { octets, to: d.peer, local: d.local }));
        }
        octets.shrink_to(KEPT);
    }

    /// Sends the replies of queries that had to wait.
    async fn send_ready(&self, Buffers { batch, ready, .. }: &mut Buffers) {
        self.outbox.take(ready);
        let mut from = 0;
        let reply = |i: usize| self.ready(&ready[i]);
        let send = || {
            batch.send_ready(self.socket.as_fd(), &mut from, ready.len(), reply, metrics::unsent)?;
            Ok(from >= ready.len())
        };
        if !self.send(send).await {
            ready[from..].iter().for_each(|q| self.backlog.push(self.ready(q)));
        }
        ready.drain(..).for_each(|q| self.done(q));
    }

    /// Calls `send` until it says that all is sent, and waits while the socket takes no more; returns `false` where what is left is for the
    /// backlog in place of that (directive `shed`).
    async fn send(&self, mut send: impl FnMut() -> io::Result<bool>) -> bool {
        loop {
            match send() {
                Ok(true) => return true,
                Ok(false) => (),
                Err(_) if self.current.get().router.sheds() => return false,
                Err(_) => self.socket.room().await,
            }
        }
    }

    fn ready<'q>(&self, q: &'q Query) -> Ready<'q> {
        // A wildcard socket has to be told where from.
        let local = self.address.ip().is_unspecified().then_some(q.local.ip());
        Ready { octets: q.reply.bytes(), to: q.client, local }
    }

    /// A query that had to wait is done with.
    fn done(&self, q: Box<Query>) {
        self.shared.waiting.give_back(q);
        self.busy.end();
    }

    /// Answers one datagram as far as that goes without waiting; returns the message to send, if there is one already.
    fn take<'q>(
        &self,
        datagram: Datagram<'_>,
        now: Instant,
        routes: &Rc<Routes>,
        q: &'q mut Box<Query>,
        way_back: &Rc<dyn Deliver>,
    ) -> Option<&'q [u8]> {
        match admit(datagram.data, q) {
            Admission::Ignored => return None,
            Admission::Refused => return Some(q.reply.bytes()),
            Admission::Query => (),
        }
        q.client = datagram.peer;
        q.local = datagram.local.map_or(self.address, |ip| SocketAddr::new(ip, self.address.port()));
        q.transport = Transport::Udp;
        (q.received, q.in_batch) = (now, true);
        q.backlogged = self.backlog.is_full();
        q.set_server(&routes.server);
        match routes.router.begin(q) {
            Begun::Done => seal(q),
            Begun::Wait(at) => {
                let q = std::mem::replace(q, self.shared.waiting.query());
                self.busy.begin();
                self.shared.waiting.start(Job { q, at, routes: routes.clone(), to: way_back.clone() });
                None
            }
        }
    }
}

impl Deliver for UdpServer {
    fn deliver(&self, mut q: Box<Query>) {
        match seal(&mut q) {
            Some(_) => self.outbox.push(q),
            None => self.done(q),
        }
    }
}

//! Plain DNS over UDP: datagrams in, datagrams out.

pub mod batch;

use crate::admit::{Admission, admit};
use crate::metrics;
use crate::route::Begun;
use crate::seal::seal;
use crate::waiting::{Busy, Deliver, Job};
use crate::worker::{Current, Routes, Shared};
use api::{Query, Transport};
use batch::{BATCH, Batch, Datagram};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Instant;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// One socket of a worker.
pub struct UdpServer {
    socket: UdpSocket,
    address: SocketAddr,
    current: Current,
    shared: Rc<Shared>,
    busy: Busy,
}

/// Whether a slot of the batch holds a message to send.
type Ready = [bool; BATCH];

impl UdpServer {
    /// Serves `socket`, which does not block and is bound to `address`.
    ///
    /// # Errors
    /// The socket cannot be watched.
    pub fn new(
        socket: std::net::UdpSocket,
        address: SocketAddr,
        current: Current,
        shared: Rc<Shared>,
    ) -> io::Result<Rc<UdpServer>> {
        let (socket, busy) = (UdpSocket::from_std(socket)?, Busy::default());
        Ok(Rc::new(UdpServer { socket, address, current, shared, busy }))
    }

    /// Answers queries until `stop`; then what has reached the socket before. Ends when nothing waits any more.
    pub async fn serve(self: Rc<Self>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut batch = Batch::default();
        let mut slots: Vec<Box<Query>> = (0..BATCH).map(|_| Box::default()).collect();
        let way_back: Rc<dyn Deliver> = self.clone();
        loop {
            let n = tokio::select! {
                biased;
                readable = self.socket.readable() => match readable {
                    Ok(()) => self.receive(&mut batch),
                    Err(_) => 0,
                },
                () = &mut stop => break,
            };
            self.answer(&mut batch, n, &mut slots, &way_back).await;
            if n == BATCH {
                tokio::task::yield_now().await; // others of this worker have their turn
            }
        }
        loop {
            // Straight from the socket: the runtime may not have heard yet of what has come.
            match batch.receive(self.socket.as_fd()) {
                Ok(n) if n > 0 => self.answer(&mut batch, n, &mut slots, &way_back).await,
                _ => break,
            }
        }
        self.busy.ended().await;
    }

    fn receive(&self, batch: &mut Batch) -> usize {
        match self.socket.try_io(Interest::READABLE, || batch.receive(self.socket.as_fd())) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            // A pending error of the socket (an ICMP message, say) has been fetched with this; the next call reads on.
            Err(_) => 0,
        }
    }

    async fn answer(&self, batch: &mut Batch, n: usize, slots: &mut [Box<Query>], way_back: &Rc<dyn Deliver>) {
        let (now, routes) = (self.shared.clock.now(), self.current.get());
        let mut ready: Ready = [false; BATCH];
        for i in 0..n {
            if let Some(datagram) = batch.datagram(i) {
                ready[i] = self.take(datagram, now, &routes, &mut slots[i], way_back);
            }
        }
        let mut from = 0;
        while from < n {
            let reply = |i: usize| ready[i].then(|| slots[i].reply.bytes());
            let mut send = || batch.send(self.socket.as_fd(), &mut from, n, reply);
            if self.socket.try_io(Interest::WRITABLE, &mut send).is_err() && self.socket.writable().await.is_err() {
                return;
            }
        }
    }

    /// Answers one datagram as far as that goes without waiting; returns whether `q` holds a message to send.
    fn take(
        &self,
        datagram: Datagram<'_>,
        now: Instant,
        routes: &Routes,
        q: &mut Box<Query>,
        way_back: &Rc<dyn Deliver>,
    ) -> bool {
        match admit(datagram.data, q) {
            Admission::Ignored => return false,
            Admission::Refused => return true,
            Admission::Query => (),
        }
        q.client = canonical(datagram.peer);
        q.local = datagram.local.map_or(self.address, |ip| SocketAddr::new(ip.to_canonical(), self.address.port()));
        q.transport = Transport::Udp;
        q.received = now;
        q.set_server(&routes.server);
        match routes.router.begin(q) {
            Begun::Done => seal(q).is_some(),
            Begun::Wait(chain, at) => {
                let q = std::mem::replace(q, self.shared.waiting.query());
                let (router, to) = (routes.router.clone(), way_back.clone());
                self.busy.begin();
                self.shared.waiting.start(Job { q, chain, at, router, to });
                false
            }
        }
    }
}

impl Deliver for UdpServer {
    fn deliver(&self, mut q: Box<Query>) {
        // On a dual-stack socket IPv4 addresses are written as IPv6 ones; a wildcard socket has to be told where from.
        let v6 = self.address.is_ipv6();
        let (client, local) = (q.client, q.local.ip());
        let client = if v6 { SocketAddr::new(mapped(client.ip()), client.port()) } else { client };
        let local = self.address.ip().is_unspecified().then_some(if v6 { mapped(local) } else { local });
        if let Some(octets) = seal(&mut q) {
            let send = || batch::send_one(self.socket.as_fd(), octets, client, local);
            if let Err(e) = self.socket.try_io(Interest::WRITABLE, send) {
                metrics::unsent(&e);
            }
        }
        self.shared.waiting.give_back(q);
        self.busy.end();
    }
}

/// An IPv4 address that came in the form of an IPv6 one, as such.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(a) if a.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(address.ip().to_canonical(), a.port())
        }
        other => other,
    }
}

/// The form of an address that a dual-stack socket takes.
fn mapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        v6 => v6,
    }
}

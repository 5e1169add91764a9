//! A UDP socket of an upstream: connected, so that it takes datagrams from the upstream's address and port only, on a port that
//! the system chooses by chance.

use crate::upstream::Fault;
use api::wire::MAX_MESSAGE;
use api::{Error, os_words};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Type};
use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A socket that one query at a time is asked over.
#[derive(Debug)]
pub struct Socket {
    /// Watched for what arrives and for errors only: the system would tell of each message that has left, too.
    io: AsyncFd<socket2::Socket>,
    remote: SocketAddr,
    /// More may have arrived with the last datagram, and is not told of.
    more: AtomicBool,
}

thread_local! {
    /// The memory of a message that is needed no longer, with room for any other; or none.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Takes back a message that is needed no longer: the next one gets its memory.
pub fn recycle(message: Vec<u8>) {
    if message.capacity() >= MAX_MESSAGE {
        SPARE.set(message);
    }
}

impl Socket {
    /// A socket to `remote`, from the address `source` if there is one.
    ///
    /// # Errors
    /// The system's.
    pub fn open(remote: SocketAddr, source: Option<IpAddr>) -> io::Result<Box<Socket>> {
        let socket = socket2::Socket::new(Domain::for_address(remote), Type::DGRAM.nonblocking(), None)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect(&remote.into())?;
        let told = Interest::READABLE | Interest::ERROR;
        // SAFETY: the socket is open for as long as it lives, and always gives the same descriptor.
        #[expect(unsafe_code, reason = "the runtime's only way to watch a socket for some events only")]
        let io = unsafe { AsyncFd::register_with_interest(socket, told) }?;
        Ok(Box::new(Socket { io, remote, more: AtomicBool::new(false) }))
    }

    /// Sends a message. One for which the system has no room is lost, as it may be on its further way.
    ///
    /// # Errors
    /// The system's.
    pub fn send(&self, message: &[u8]) -> Result<(), Fault> {
        let send = || Ok::<_, io::Error>(rustix::net::send(&self.io, message, SendFlags::empty())?);
        // What became of an earlier message (ICMP) is told first; it says nothing about this one.
        match send().or_else(|_| send()) {
            Err(e) if e.kind() != ErrorKind::WouldBlock => {
                Err(Fault::Failed(self.error("write", &format!("write: {}", os_words(&e)))))
            }
            _ => Ok(()),
        }
    }

    /// The next datagram; one query at a time waits for it.
    ///
    /// # Errors
    /// The system's: the upstream's port is closed, for example.
    pub fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Fault>> {
        if self.more.load(Relaxed) {
            self.more.store(false, Relaxed);
            if let Some(received) = self.read() {
                return Poll::Ready(received);
            }
        }
        while let Poll::Ready(ready) = self.io.poll_read_ready(cx) {
            // Before it is read: then what comes from now on is told anew. As a rule that is nothing, and no read has to find that out.
            ready.map_err(|e| self.fault(&e))?.clear_ready();
            if let Some(received) = self.read() {
                return Poll::Ready(received);
            }
        }
        // An error leaves nothing to read where a port is closed (ICMP).
        let told = ready!(self.io.poll_write_ready(cx)).and_then(|_| self.io.get_ref().take_error());
        match told.and_then(|error| error.map_or(Ok(()), Err)) {
            Ok(()) => Poll::Pending, // it was an earlier query's, and sending this one has fetched it
            Err(e) => Poll::Ready(Err(self.fault(&e))),
        }
    }

    /// What has been received was of no use: more may have arrived with it, which is looked for before the system tells of anything.
    pub fn look_again(&self) {
        self.more.store(true, Relaxed);
    }

    /// Whether there has been an error: then the next one is not told. The runtime takes one that comes alone for the end of the way
    /// out, and tells of that once.
    pub fn has_failed(&self) -> bool {
        self.io.try_io(Interest::WRITABLE, |_| Ok(())).is_ok()
    }

    /// Reads one datagram, if there is one.
    fn read(&self) -> Option<Result<Vec<u8>, Fault>> {
        let mut message = SPARE.take();
        message.clear();
        message.reserve(MAX_MESSAGE);
        match rustix::net::recv(&self.io, spare_capacity(&mut message), RecvFlags::empty()) {
            Ok(_) => Some(Ok(message)),
            Err(e) => {
                recycle(message);
                (e != Errno::WOULDBLOCK).then(|| Err(self.fault(&e.into())))
            }
        }
    }

    /// What a time-out while waiting for a reply is called.
    pub fn timed_out(&self) -> Error {
        self.error("read", "i/o timeout")
    }

    fn fault(&self, e: &io::Error) -> Fault {
        Fault::Failed(self.error("read", &format!("read: {}", os_words(e))))
    }

    fn error(&self, what: &str, words: &str) -> Error {
        let local = self.io.get_ref().local_addr().ok().and_then(|a| a.as_socket());
        let local = local.map_or_else(String::new, |a| a.to_string());
        Error::msg(format!("{what} udp {local}->{}: {words}", self.remote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::net::UdpSocket;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn received(socket: &Socket) -> Result<Vec<u8>, Fault> {
        let message = poll_fn(|cx| socket.poll_receive(cx));
        timeout(Duration::from_secs(60), message).await.expect("something comes")
    }

    fn upstream() -> (UdpSocket, Box<Socket>) {
        let upstream = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let socket = Socket::open(upstream.local_addr().expect("an address"), None).expect("opened");
        socket.send(b"query").expect("sent");
        (upstream, socket)
    }

    #[tokio::test]
    async fn datagrams_that_arrive_together_are_all_received() {
        let (upstream, socket) = upstream();
        let (_, client) = upstream.recv_from(&mut [0; 16]).expect("a query");
        for message in [b"one", b"two"] {
            upstream.send_to(message, client).expect("sent");
        }
        assert_eq!(received(&socket).await.expect("a message"), b"one");
        socket.look_again();
        assert_eq!(received(&socket).await.expect("a message"), b"two");
        socket.look_again();
        let nothing = timeout(Duration::from_millis(20), poll_fn(|cx| socket.poll_receive(cx))).await;
        assert!(nothing.is_err());
        upstream.send_to(b"three", client).expect("sent");
        assert_eq!(received(&socket).await.expect("a message"), b"three");
        assert!(!socket.has_failed());
    }

    #[tokio::test]
    async fn a_closed_port_is_told() {
        let (closed, socket) = upstream();
        drop(closed);
        let fault = async {
            socket.send(b"query").expect("sent");
            received(&socket).await.expect_err("nobody is there")
        };
        let Fault::Failed(error) = fault.await else { panic!("no code has come") };
        assert!(error.to_string().ends_with("read: connection refused"), "{error}");
        assert!(socket.has_failed(), "it is not used again");
    }
}

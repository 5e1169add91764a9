//! A UDP socket of an upstream: connected, so that it takes datagrams from the upstream's address and port only, on a port that
//! the system chooses by chance.

use crate::upstream::Fault;
use api::wire::MAX_MESSAGE;
use api::{Error, os_words};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Type};
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A socket that one query at a time is asked over.
#[derive(Debug)]
pub struct Socket {
    /// Watched for what arrives and for errors only: the system would tell of each message that has left, too.
    io: AsyncFd<socket2::Socket>,
    remote: SocketAddr,
}

thread_local! {
    static DATAGRAM: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_MESSAGE]);
    /// The memory of a message that is needed no longer.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Takes back a message that is needed no longer: the next one gets its memory.
pub fn recycle(message: Vec<u8>) {
    SPARE.set(message);
}

impl Socket {
    /// A socket to `remote`, from the address `source` if there is one.
    ///
    /// # Errors
    /// The system's.
    pub fn open(remote: SocketAddr, source: Option<IpAddr>) -> io::Result<Arc<Socket>> {
        let socket = socket2::Socket::new(Domain::for_address(remote), Type::DGRAM.nonblocking(), None)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect(&remote.into())?;
        let told = Interest::READABLE | Interest::ERROR;
        // SAFETY: the socket is open for as long as it lives, and always gives the same descriptor.
        #[expect(unsafe_code, reason = "the runtime's only way to watch a socket for some events only")]
        let io = unsafe { AsyncFd::register_with_interest(socket, told) }?;
        Ok(Arc::new(Socket { io, remote }))
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

    /// Waits for a datagram.
    ///
    /// # Errors
    /// The system's: the upstream's port is closed, for example.
    pub async fn receive(self: Arc<Self>) -> Result<Vec<u8>, Fault> {
        loop {
            self.arrival().await.map_err(|e| self.fault(&e))?;
            if let Some(received) = self.read() {
                return received;
            }
        }
    }

    /// The same where something has been received that was of no use: more may have arrived with it.
    ///
    /// # Errors
    /// The system's.
    pub async fn receive_more(self: Arc<Self>) -> Result<Vec<u8>, Fault> {
        match self.read() {
            Some(received) => received,
            None => self.receive().await,
        }
    }

    /// Waits until something has arrived, or a pending error is there: a closed port (ICMP) leaves nothing to read.
    async fn arrival(&self) -> io::Result<()> {
        let mut ready = self.io.ready(Interest::READABLE | Interest::ERROR).await?;
        let failed = ready.ready().is_error();
        // Before it is read: then what comes from now on is told anew. As a rule that is nothing, and no read has to find that out.
        ready.clear_ready();
        if failed { self.io.get_ref().take_error()?.map_or(Ok(()), Err) } else { Ok(()) }
    }

    /// Reads one datagram, if there is one.
    fn read(&self) -> Option<Result<Vec<u8>, Fault>> {
        let read = DATAGRAM.with_borrow_mut(|buffer| -> io::Result<Vec<u8>> {
            let (_, length) = rustix::net::recv(&self.io, &mut buffer[..], RecvFlags::empty())?;
            let mut message = SPARE.take();
            message.clear();
            message.extend_from_slice(&buffer[..length]);
            Ok(message)
        });
        match read {
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            read => Some(read.map_err(|e| self.fault(&e))),
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

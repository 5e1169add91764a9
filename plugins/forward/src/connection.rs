//! A connection to an upstream, over UDP or TCP, and one exchange of messages over it.
//!
//! Every query in flight has a connection of its own, driven by its own future: no task stands between them, and a UDP socket
//! that is connected takes datagrams from the upstream's address and port only. What is written and read passes through
//! buffers of the thread, so that an exchange allocates nothing.

use crate::message::{self, Verdict};
use api::wire::MAX_MESSAGE;
use api::{Error, Query, Rcode, os_words};
use socket2::{Domain, Socket, Type};
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

/// A transport to upstreams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proto {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl Proto {
    /// As errors and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Proto::Udp => "udp",
            Proto::Tcp => "tcp",
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    remote: SocketAddr,
    /// When it was opened.
    pub opened: Instant,
    /// When it was last given back.
    pub used: Instant,
    /// Exchanges that went over it.
    pub exchanges: u32,
}

#[derive(Debug)]
enum Stream {
    Udp(UdpSocket),
    /// With what was received and is no whole message yet.
    Tcp(TcpStream, Vec<u8>),
}

/// Why an exchange failed.
#[derive(Debug)]
pub enum Fault {
    /// The connection had been closed before the query was sent, or without a reply: another one may do better.
    Closed(Error),
    /// The upstream answered something else than what it was asked, with this code; what the client gets is in the reply.
    Wrong(Rcode),
    /// Anything else; in the words of CoreDNS, for which users search and by which `errors` sorts.
    Failed(Error),
}

impl Connection {
    /// Opens a connection to `remote`, from the address `source` if there is one.
    ///
    /// # Errors
    /// The system's.
    pub async fn open(
        proto: Proto,
        remote: SocketAddr,
        source: Option<IpAddr>,
        now: Instant,
    ) -> io::Result<Connection> {
        let stream = match proto {
            Proto::Udp => Stream::Udp(open_udp(remote, source)?),
            Proto::Tcp => Stream::Tcp(open_tcp(remote, source).await?, Vec::new()),
        };
        Ok(Connection { stream, remote, opened: now, used: now, exchanges: 0 })
    }

    /// The transport.
    pub fn proto(&self) -> Proto {
        match self.stream {
            Stream::Udp(_) => Proto::Udp,
            Stream::Tcp(..) => Proto::Tcp,
        }
    }

    /// Whether the connection can be used for another exchange: nothing is left of the last one.
    pub fn is_clean(&self) -> bool {
        match &self.stream {
            Stream::Udp(_) => true,
            Stream::Tcp(_, received) => received.is_empty(),
        }
    }

    /// Sends `q` on with this ID, and waits until its reply is there.
    ///
    /// Whatever else arrives is ignored. But that a wrong reply is there (see [`Verdict::Wrong`]) is told; over a stream,
    /// which nobody else writes to, it ends the exchange.
    ///
    /// # Errors
    /// The connection failed; it is of no use any more.
    pub async fn ask(&mut self, q: &mut Query, id: u16, wrong: &mut Option<Rcode>) -> Result<(), Fault> {
        self.exchanges += 1;
        let asked = &mut *q; // moved into the closure: a query is not shared between threads, not even to be read
        self.send(move |out| message::write_query(asked, id, out)).await?;
        let stream = self.proto() == Proto::Tcp;
        let mut malformed = false;
        self.receive(|received| {
            let verdict = message::take_reply(q, id, received);
            malformed = stream && verdict == Verdict::Malformed;
            if !malformed && matches!(verdict, Verdict::Wrong | Verdict::Malformed) {
                *wrong = Some(message::rcode(received));
            }
            verdict == Verdict::Reply || stream && verdict != Verdict::Foreign
        })
        .await?;
        match *wrong {
            _ if malformed => Err(Fault::Failed(Error::msg("malformed message"))),
            Some(rcode) if stream => Err(Fault::Wrong(rcode)),
            _ => Ok(()),
        }
    }

    /// Sends a message that is ready, and waits for any reply with its ID.
    ///
    /// # Errors
    /// As for [`Connection::ask`].
    pub async fn probe(&mut self, query: &[u8], id: u16) -> Result<(), Fault> {
        self.send(|out| out.splice(.., query.iter().copied()).for_each(drop)).await?;
        self.receive(|reply| message::is_sign_of_life(id, reply)).await
    }

    /// What a time-out while waiting for a reply is called.
    pub fn timed_out(&self) -> Error {
        self.error("read", "i/o timeout")
    }

    async fn send(&mut self, write: impl Fn(&mut Vec<u8>)) -> Result<(), Fault> {
        let sent = match &mut self.stream {
            Stream::Udp(socket) => send_datagram(socket, write).await,
            Stream::Tcp(stream, _) => send_framed(stream, write).await,
        };
        sent.map_err(|e| Fault::Closed(self.error("write", &format!("write: {}", os_words(&e)))))
    }

    async fn receive(&mut self, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), Fault> {
        let received = match &mut self.stream {
            Stream::Udp(socket) => receive_datagram(socket, &mut take).await,
            Stream::Tcp(stream, buffer) => receive_framed(stream, buffer, &mut take).await,
        };
        received.map_err(|e| {
            let words = || self.error("read", &format!("read: {}", os_words(&e)));
            match e.kind() {
                ErrorKind::UnexpectedEof => Fault::Closed(Error::msg("EOF")),
                ErrorKind::ConnectionReset => Fault::Closed(words()),
                _ => Fault::Failed(words()),
            }
        })
    }

    fn error(&self, what: &str, words: &str) -> Error {
        let local = match &self.stream {
            Stream::Udp(socket) => socket.local_addr(),
            Stream::Tcp(stream, _) => stream.local_addr(),
        };
        let local = local.map_or_else(|_| String::new(), |a| a.to_string());
        Error::msg(format!("{what} {} {local}->{}: {words}", self.proto().name(), self.remote))
    }
}

/// A connected socket; the system chooses its port by chance.
fn open_udp(remote: SocketAddr, source: Option<IpAddr>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(remote), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect(&remote.into())?;
    UdpSocket::from_std(socket.into())
}

async fn open_tcp(remote: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.set_nodelay(true)?;
    socket.connect(remote).await
}

/// Octets of the frame in front of a message on a stream (RFC 1035 4.2.2).
const FRAME: usize = 2;
/// Octets that are kept of the buffer of an idle connection.
const KEPT: usize = 4096;

thread_local! {
    static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static IN: RefCell<Vec<u8>> = RefCell::new(vec![0; FRAME + MAX_MESSAGE]);
}

async fn send_datagram(socket: &UdpSocket, write: impl Fn(&mut Vec<u8>)) -> io::Result<()> {
    // What made the socket readable before is of no interest: the reply will do so anew, and waiting begins without a vain read.
    let _ = socket.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
    loop {
        let sent = OUT.with_borrow_mut(|out| {
            write(out);
            socket.try_send(out)
        });
        match sent {
            Err(e) if e.kind() == ErrorKind::WouldBlock => socket.writable().await?,
            sent => return sent.map(drop),
        }
    }
}

async fn receive_datagram(socket: &UdpSocket, take: &mut impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    loop {
        // That the port is closed (ICMP) is an error without anything to read.
        if socket.ready(Interest::READABLE | Interest::ERROR).await?.is_error() {
            socket.take_error()?.map_or(Ok(()), Err)?;
            let _ = socket.try_io(Interest::ERROR, || Err::<(), _>(ErrorKind::WouldBlock.into()));
        }
        let taken = IN.with_borrow_mut(|buffer| socket.try_recv(buffer).map(|n| take(&buffer[..n])));
        match taken {
            Ok(true) => return Ok(()),
            Ok(false) => (),
            Err(e) if e.kind() == ErrorKind::WouldBlock => (),
            Err(e) => return Err(e),
        }
    }
}

async fn send_framed(stream: &mut TcpStream, write: impl Fn(&mut Vec<u8>)) -> io::Result<()> {
    let mut rest = OUT.with_borrow_mut(|out| {
        write(out);
        let length = u16::try_from(out.len()).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        out.splice(..0, length.to_be_bytes());
        match stream.try_write(out) {
            Ok(n) => Ok(out[n..].to_vec()), // mostly empty, which allocates nothing
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(out.clone()),
            Err(e) => Err(e),
        }
    })?;
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(&rest) {
            Ok(n) => drop(rest.drain(..n)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => (),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

async fn receive_framed(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    take: &mut impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    loop {
        while let Some((message, rest)) = first_message(buffer) {
            let (taken, rest) = (take(message), rest.len());
            buffer.drain(..buffer.len() - rest);
            buffer.shrink_to(KEPT);
            if taken {
                return Ok(());
            }
        }
        stream.readable().await?;
        let read =
            IN.with_borrow_mut(|octets| stream.try_read(octets).inspect(|&n| buffer.extend_from_slice(&octets[..n])));
        match read {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => (),
            Err(e) if e.kind() == ErrorKind::WouldBlock => (),
            Err(e) => return Err(e),
        }
    }
}

/// The first whole message of what was received on a stream, and what follows it.
fn first_message(received: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = received.split_first_chunk::<FRAME>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

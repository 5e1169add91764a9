//! A datagram socket that is watched for what arrives.
//!
//! The runtime's own UDP sockets are watched for room to send as well. The system then tells of each datagram that has left, too,
//! and a worker that has little to do is woken twice for each query.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long room to send is waited for where it cannot be watched.
const PAUSE: Duration = Duration::from_millis(1);

/// A datagram socket, in the runtime that it was made on.
#[derive(Debug)]
pub struct Datagrams(AsyncFd<OwnedFd>);

impl Datagrams {
    /// Watches `socket`, which does not block, in the runtime of this thread.
    ///
    /// # Errors
    /// The system cannot watch it.
    pub fn watch(socket: impl Into<OwnedFd>) -> io::Result<Datagrams> {
        watch(socket.into(), Interest::READABLE).map(Datagrams)
    }

    /// Waits until something can be read: a datagram or a pending error.
    ///
    /// # Errors
    /// It cannot be watched any more.
    pub async fn arrived(&self) -> io::Result<()> {
        self.0.readable().await.map(drop)
    }

    /// Reads where something has arrived. What `read` returns; where that is [`io::ErrorKind::WouldBlock`], [`Datagrams::arrived`] waits
    /// for what comes from now on.
    ///
    /// # Errors
    /// Those of `read`; [`io::ErrorKind::WouldBlock`] where nothing has arrived.
    pub fn read<T>(&self, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.0.try_io(Interest::READABLE, |_| read())
    }

    /// Waits until the system may have room for what it has just refused to send.
    pub async fn room(&self) {
        let watched = self.0.get_ref().try_clone().and_then(|socket| watch(socket, Interest::WRITABLE));
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

#[expect(unsafe_code, reason = "the runtime's only way to watch a socket for some events only")]
fn watch(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open for as long as it lives, and always gives the same descriptor.
    unsafe { AsyncFd::register_with_interest(socket, interest) }.map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn pair() -> (Datagrams, UdpSocket) {
        let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a port"));
        let address = |socket: &UdpSocket| socket.local_addr().expect("an address");
        one.connect(address(&other)).expect("connected");
        other.connect(address(&one)).expect("connected");
        one.set_nonblocking(true).expect("set");
        (Datagrams::watch(one).expect("watched"), other)
    }

    fn receive(datagrams: &Datagrams) -> io::Result<usize> {
        datagrams.read(|| rustix::io::read(datagrams, &mut [0; 16]).map_err(Into::into))
    }

    #[tokio::test]
    async fn what_arrives_is_read() {
        let (datagrams, other) = pair();
        for n in 1..3 {
            other.send(&[0; 3][..n]).expect("sent");
            datagrams.arrived().await.expect("no error");
            assert_eq!(receive(&datagrams).expect("read"), n);
        }
        assert_eq!(receive(&datagrams).expect_err("nothing more").kind(), io::ErrorKind::WouldBlock);
        let more = tokio::time::timeout(Duration::from_millis(50), datagrams.arrived()).await;
        assert!(more.is_err(), "it waits");
    }

    #[tokio::test]
    async fn what_leaves_wakes_nobody() {
        let (datagrams, other) = pair();
        rustix::io::write(&datagrams, b"x").expect("sent");
        other.recv(&mut [0]).expect("received");
        let told = tokio::time::timeout(Duration::from_millis(50), datagrams.0.ready(Interest::READABLE)).await;
        assert!(told.is_err());
        tokio::time::timeout(Duration::from_secs(5), datagrams.room()).await.expect("there is room");
    }
}

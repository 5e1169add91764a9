//! Messages by the batch over a connected socket: `sendmmsg` and `recvmmsg`.
//!
//! Why unsafe code: the safe way, `nix`, allocates for each call. What keeps this sound: every pointer that the kernel is given was set
//! to memory that is borrowed for the time of the call, or that belongs to the same [`Inbox`] and stays where it is; the length of
//! that memory stands beside it.
#![expect(unsafe_code, reason = "system calls without a safe wrapper; see above")]

use api::wire::MAX_MESSAGE;
use rustix::net::RecvFlags;
use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Messages in a batch, at most.
pub const BATCH: usize = 16;

/// Messages that are to be sent together.
#[derive(Debug, Default)]
pub struct Outbox {
    /// One behind the other, each behind its length, as over TCP.
    octets: Vec<u8>,
    number: usize,
}

impl Outbox {
    /// One more message; `false` where it is the last one for which there is room. `memory` is used where it is the first one.
    pub fn push(&mut self, message: &[u8], memory: impl FnOnce() -> Vec<u8>) -> bool {
        if self.number == 0 {
            self.octets = memory();
        }
        self.octets.extend_from_slice(&(message.len() as u16).to_ne_bytes());
        self.octets.extend_from_slice(message);
        self.number += 1;
        self.number < BATCH
    }

    /// Sends all messages, in one call as a rule, and has none then; the memory that they had is returned. Those for which the system has
    /// no room are lost, as they may be on their further way.
    ///
    /// # Errors
    /// The system's, for the first message that cannot be sent; those behind it are lost.
    pub fn send(&mut self, socket: BorrowedFd<'_>) -> (Vec<u8>, io::Result<()>) {
        // SAFETY: all-zero octets are valid values of these C structures.
        let (mut heads, mut vectors): ([libc::mmsghdr; BATCH], [libc::iovec; BATCH]) = unsafe { mem::zeroed() };
        let octets = mem::take(&mut self.octets);
        let mut left = &mut heads[..mem::take(&mut self.number)];
        let mut rest = &*octets;
        for (head, vector) in left.iter_mut().zip(&mut vectors) {
            let Some((message, behind)) = split(rest) else { break };
            *vector = libc::iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
            (head.msg_hdr.msg_iov, head.msg_hdr.msg_iovlen) = (ptr::from_mut(vector), 1);
            rest = behind;
        }
        let (mut is_again, mut result) = (false, Ok(()));
        while !left.is_empty() && result.is_ok() {
            let (heads, n) = (left.as_mut_ptr(), left.len() as u32);
            // SAFETY: these `n` heads point to a vector each, and that to a message, none of which is touched until the call returns.
            let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), heads, n, libc::MSG_DONTWAIT) };
            match usize::try_from(sent).map_err(|_| io::Error::last_os_error()) {
                Ok(sent) => (left, is_again) = (&mut left[sent..], false),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                // What became of an earlier message (ICMP) is told first; it says nothing about this one.
                Err(_) if !mem::replace(&mut is_again, true) => (),
                Err(e) => result = Err(e),
            }
        }
        (octets, result)
    }
}

/// The first message, and what is behind it.
fn split(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk()?;
    rest.split_at_checked(u16::from_ne_bytes(*length).into())
}

/// Memory for messages that are received together.
pub struct Inbox {
    data: Box<[[u8; MAX_MESSAGE]]>,
    heads: Box<[libc::mmsghdr]>,
    /// What the heads point to.
    _vectors: Box<[libc::iovec]>,
}

impl Default for Inbox {
    fn default() -> Self {
        // Of this, the system gives as many pages as are once written to.
        let mut data = vec![[0; MAX_MESSAGE]; BATCH].into_boxed_slice();
        let vector =
            |octets: &mut [u8; MAX_MESSAGE]| libc::iovec { iov_base: octets.as_mut_ptr().cast(), iov_len: MAX_MESSAGE };
        let mut vectors: Box<[_]> = data.iter_mut().map(vector).collect();
        let head = |vector| {
            // SAFETY: all-zero octets are a valid value of this C structure.
            let mut head: libc::mmsghdr = unsafe { mem::zeroed() };
            (head.msg_hdr.msg_iov, head.msg_hdr.msg_iovlen) = (ptr::from_mut(vector), 1);
            head
        };
        let heads = vectors.iter_mut().map(head).collect();
        Inbox { data, heads, _vectors: vectors }
    }
}

impl Inbox {
    /// Receives up to `most` messages that wait at the socket.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] where none waits; those of `recvmmsg`.
    pub fn receive(&mut self, most: usize, socket: BorrowedFd<'_>) -> io::Result<impl ExactSizeIterator<Item = &[u8]>> {
        if most == 1 {
            let (length, _) = rustix::net::recv(socket, &mut self.data[0], RecvFlags::DONTWAIT)?;
            self.heads[0].msg_len = length as u32;
            return Ok(self.messages(1));
        }
        let (heads, n) = (self.heads.as_mut_ptr(), most.min(BATCH) as u32);
        // SAFETY: there are as many heads, each points to a vector, and that to octets of the length given, all of which `self` has; the
        // kernel changes none of these pointers.
        let received = unsafe { libc::recvmmsg(socket.as_raw_fd(), heads, n, libc::MSG_DONTWAIT, ptr::null_mut()) };
        Ok(self.messages(usize::try_from(received).map_err(|_| io::Error::last_os_error())?))
    }

    /// The first `n` messages.
    fn messages(&self, n: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        self.heads[..n].iter().zip(&self.data).map(|(head, octets)| &octets[..head.msg_len as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    /// Two sockets that are connected to each other.
    fn pair() -> [UdpSocket; 2] {
        let pair = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a port"));
        for (one, other) in [(0, 1), (1, 0)] {
            pair[one].connect(pair[other].local_addr().expect("an address")).expect("connected");
        }
        pair
    }

    fn message(n: usize) -> Vec<u8> {
        vec![n as u8; 1 + n * 37 % 1200]
    }

    /// Sends messages with these numbers.
    fn send(outbox: &mut Outbox, numbers: impl Iterator<Item = usize>, socket: &UdpSocket) {
        let mut room = true;
        for n in numbers {
            assert!(room, "{n}");
            room = outbox.push(&message(n), Vec::new);
        }
        let (memory, result) = outbox.send(socket.as_fd());
        result.expect("sent");
        assert!(memory.capacity() > 0);
    }

    #[test]
    fn all_that_is_sent_together_is_received_together() {
        let [one, other] = pair();
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
        for number in [1, BATCH, 3, BATCH - 1] {
            send(&mut outbox, 0..number, &one);
            let received: Vec<_> = inbox.receive(BATCH, other.as_fd()).expect("received").map(<[u8]>::to_vec).collect();
            assert_eq!(received, (0..number).map(message).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_more_is_received_than_is_asked_for() {
        let [one, other] = pair();
        let mut inbox = Inbox::default();
        send(&mut Outbox::default(), 0..10, &one);
        let mut expected = 0..;
        for (most, number) in [(1, 1), (2, 2), (1, 1), (0, 0), (100, 6)] {
            let received = inbox.receive(most, other.as_fd()).expect("received");
            assert_eq!(received.len(), number);
            received.zip(&mut expected).for_each(|(received, n)| assert_eq!(received, message(n)));
        }
        for most in [1, 2] {
            let nothing = inbox.receive(most, other.as_fd()).map(|messages| messages.len());
            assert_eq!(nothing.expect_err("nothing is left").kind(), ErrorKind::WouldBlock, "{most}");
        }
    }

    #[test]
    fn what_became_of_an_earlier_message_is_not_told_of_these() {
        let [one, other] = pair();
        let to = other.local_addr().expect("an address");
        drop(other);
        assert_eq!(one.send(b"to nobody").expect("sent"), 9); // an ICMP message has come
        let again = UdpSocket::bind(to).expect("the port is free");
        send(&mut Outbox::default(), 0..BATCH, &one);
        let mut octets = [0; 2000];
        for n in 0..BATCH {
            let length = again.recv(&mut octets).expect("received");
            assert_eq!(octets[..length], message(n));
        }
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        let [one, _other] = pair();
        let mut outbox = Outbox::default();
        for length in [1, 65_530, 1] {
            assert!(outbox.push(&vec![0; length], Vec::new));
        }
        let (_, result) = outbox.send(one.as_fd());
        assert_eq!(result.expect_err("more than a datagram has room for").raw_os_error(), Some(libc::EMSGSIZE));
        send(&mut outbox, 0..1, &one);
    }
}

//! Messages by the batch over a connected socket: `sendmmsg` and `recvmmsg`.
//!
//! Why unsafe code: the safe way, `nix`, allocates for each call. What keeps this sound: every pointer that the kernel is given was set
//! to memory that is borrowed for the time of the call, or that belongs to the same [`Inbox`] and stays where it is; the length of
//! that memory stands beside it.
#![expect(unsafe_code, reason = "system calls without a safe wrapper; see above")]

use api::wire::MAX_MESSAGE;
use rustix::net::RecvFlags;
use smallvec::SmallVec;
use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Messages in a batch, at most.
pub const BATCH: usize = 16;

/// Messages that are to be sent together.
#[derive(Debug, Default)]
pub struct Outbox {
    /// One behind the other.
    octets: Vec<u8>,
    /// Where each ends.
    ends: SmallVec<[usize; BATCH]>,
}

impl Outbox {
    /// One more message; `false` where it is the last one for which there is room.
    pub fn push(&mut self, message: &[u8]) -> bool {
        self.octets.extend_from_slice(message);
        self.ends.push(self.octets.len());
        self.ends.len() < BATCH
    }

    /// Sends all messages, in one call as a rule, and has none then. Those for which the system has no room are lost, as they may be on
    /// their further way.
    ///
    /// # Errors
    /// The system's, for the first message that cannot be sent; those behind it are lost.
    pub fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: all-zero octets are valid values of these C structures.
        let (mut heads, mut vectors): ([libc::mmsghdr; BATCH], [libc::iovec; BATCH]) = unsafe { mem::zeroed() };
        let (mut begin, mut left) = (0, &mut heads[..self.ends.len()]);
        for (&end, (head, vector)) in self.ends.iter().zip(left.iter_mut().zip(&mut vectors)) {
            let message = &self.octets[mem::replace(&mut begin, end)..end];
            *vector = libc::iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
            (head.msg_hdr.msg_iov, head.msg_hdr.msg_iovlen) = (ptr::from_mut(vector), 1);
        }
        let (mut is_again, mut result) = (false, Ok(()));
        while !left.is_empty() {
            let (heads, n) = (left.as_mut_ptr(), left.len() as u32);
            // SAFETY: these `n` heads point to a vector each, and that to a message, none of which is touched until the call returns.
            let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), heads, n, libc::MSG_DONTWAIT) };
            match usize::try_from(sent).map_err(|_| io::Error::last_os_error()) {
                Ok(sent) => (left, is_again) = (&mut left[sent..], false),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                // What became of an earlier message (ICMP) is told first; it says nothing about this one.
                Err(_) if !mem::replace(&mut is_again, true) => (),
                Err(e) => {
                    result = Err(e);
                    break;
                }
            }
        }
        self.octets.clear();
        self.ends.clear();
        result
    }
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

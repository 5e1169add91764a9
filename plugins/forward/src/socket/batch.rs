//! Messages by the batch over a connected socket: `sendmmsg` and `recvmmsg`.
//!
//! Messages of one length, with a shorter one at their end, go through the system as segments of one: it takes them apart just before the
//! device, or where they arrive (UDP segmentation offload, `UDP_SEGMENT` of udp(7)). What arrives are the same datagrams.
//!
//! Why unsafe code: the safe way, `nix`, allocates for each call. What keeps this sound: every pointer that the kernel is given was set
//! to memory that is borrowed for the time of the call, or that belongs to the same [`Inbox`] and stays where it is; the length of
//! that memory stands beside it.
#![expect(unsafe_code, reason = "system calls without a safe wrapper; see above")]

use api::wire::{self, MAX_MESSAGE};
use rustix::net::RecvFlags;
use std::cmp::Reverse;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::OnceLock;

/// Messages in a batch, at most.
pub const BATCH: usize = 16;
/// Octets that a segment may have: what every way is to carry in one piece. A query is longer only if somebody wants it to be, and is not
/// to make the system refuse segments.
const MAX_SEGMENT: usize = 512;

/// Messages that are to be sent together.
#[derive(Debug, Default)]
pub struct Outbox {
    /// One behind the other, each behind its length, as over TCP.
    octets: Vec<u8>,
    number: usize,
}

/// What became of messages that were to be sent.
#[derive(Debug)]
pub struct Sent {
    /// The memory that they had.
    pub memory: Vec<u8>,
    /// The system's error for the first message that could not be sent; those behind it are lost.
    pub result: io::Result<()>,
    /// The ID of a message that has left as a segment, as those like it; `None` where each has left by itself.
    pub segment: Option<u16>,
}

impl Outbox {
    /// One more message, which is not empty; `false` where it is the last one for which there is room. `memory` is used where it is the
    /// first one.
    pub fn push(&mut self, message: &[u8], memory: impl FnOnce() -> Vec<u8>) -> bool {
        if self.number == 0 {
            self.octets = memory();
        }
        self.octets.extend_from_slice(&(message.len() as u16).to_ne_bytes());
        self.octets.extend_from_slice(message);
        self.number += 1;
        self.number < BATCH
    }

    /// Sends all messages, in one call as a rule, the longest ones first, and has none then: as segments where they may be, and that is
    /// `wanted`, which is asked only then; otherwise one by one. Those for which the system has no room are lost, as they may be on their
    /// further way.
    pub fn send(&mut self, wanted: impl FnOnce() -> bool, socket: BorrowedFd<'_>) -> Sent {
        let memory = mem::take(&mut self.octets);
        let mut messages = [IoSlice::new(&[]); BATCH];
        let messages = &mut messages[..mem::take(&mut self.number)];
        let mut rest = &*memory;
        for place in &mut *messages {
            let Some((message, behind)) = split(rest) else { break };
            (*place, rest) = (IoSlice::new(message), behind);
        }
        messages.sort_unstable_by_key(|message| Reverse(message.len()));
        let may_be_segments =
            matches!(messages, [longest, _, ..] if longest.len() <= MAX_SEGMENT) && has_segments(socket);
        let mut as_segments = may_be_segments && wanted();
        let result = send_all(messages, &mut as_segments, socket);
        let segment = messages.first().filter(|_| as_segments).and_then(|longest| wire::u16_at(longest, 0).ok());
        Sent { memory, result, segment }
    }
}

/// Sends messages, of which none is longer than the one before it; `as_segments` until the system refuses that.
fn send_all(mut messages: &[IoSlice<'_>], as_segments: &mut bool, socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut is_again = false;
    while !messages.is_empty() {
        match send_some(messages, *as_segments, socket) {
            Ok(sent) => (messages, is_again) = (&messages[sent..], false),
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            // What became of an earlier message (ICMP) is told first; it says nothing about this one.
            Err(_) if !mem::replace(&mut is_again, true) => (),
            // The device of the way out cannot do it, or they are too long for it.
            Err(_) if mem::take(as_segments) => (),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Whether the system has segments: Linux 4.18 and later. Others do not look at what is said of them, and send them as one datagram.
fn has_segments(socket: BorrowedFd<'_>) -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let (mut length, mut size) = (0_i32, mem::size_of::<i32>() as libc::socklen_t);
        let place = ptr::from_mut(&mut length).cast();
        // SAFETY: `place` is that of `size` octets.
        0 == unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, place, &raw mut size) }
    })
}

/// Sends messages in one call; `as_segments`: those of one length and a shorter one together. Returns how many are sent.
fn send_some(messages: &[IoSlice<'_>], as_segments: bool, socket: BorrowedFd<'_>) -> io::Result<usize> {
    // SAFETY: all-zero octets are valid values of these C structures.
    let (mut heads, mut lengths): ([libc::mmsghdr; BATCH], [SegmentLength; BATCH]) = unsafe { mem::zeroed() };
    let (mut rest, mut number) = (messages, 0);
    while let Some(first) = rest.first() {
        let like_it = rest.iter().take_while(|message| message.len() == first.len()).count();
        let together = if as_segments { rest.len().min(like_it + 1) } else { 1 };
        let head = &mut heads[number].msg_hdr;
        // An `IoSlice` is the system's own structure.
        (head.msg_iov, head.msg_iovlen) = (rest.as_ptr().cast_mut().cast(), together as _);
        if together > 1 {
            let length = &mut lengths[number];
            length.set(first.len());
            let size = mem::size_of::<SegmentLength>();
            (head.msg_control, head.msg_controllen) = (ptr::from_mut(length).cast(), size as _);
        }
        (rest, number) = (&rest[together..], number + 1);
    }
    let n = number as u32;
    // SAFETY: these `n` heads point to `IoSlice`s, and those to messages, none of which is touched until the call returns; the system
    // writes to the heads only.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), heads.as_mut_ptr(), n, libc::MSG_DONTWAIT) };
    let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
    Ok(heads[..sent].iter().map(|head| head.msg_hdr.msg_iovlen).sum())
}

/// What tells the system how long segments are (cmsg(3)).
#[repr(C)]
struct SegmentLength {
    head: libc::cmsghdr,
    octets: u16,
}

impl SegmentLength {
    fn set(&mut self, octets: usize) {
        self.head.cmsg_len = (mem::offset_of!(SegmentLength, octets) + mem::size_of::<u16>()) as _;
        (self.head.cmsg_level, self.head.cmsg_type) = (libc::SOL_UDP, libc::UDP_SEGMENT);
        self.octets = octets as u16;
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
pub mod tests {
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

    /// With its number for an ID; three of each length, the longest ones first.
    fn message(n: usize) -> Vec<u8> {
        let mut message = vec![0; MAX_SEGMENT - n / 3 * 37];
        message[1] = n as u8;
        message
    }

    /// Sends messages with these numbers, as segments if possible. Returns the ID of one that was sent so.
    fn send(outbox: &mut Outbox, numbers: impl Iterator<Item = usize>, socket: &UdpSocket) -> Option<u16> {
        let mut room = true;
        for n in numbers {
            assert!(room, "{n}");
            room = outbox.push(&message(n), Vec::new);
        }
        let Sent { memory, result, segment } = outbox.send(|| true, socket.as_fd());
        result.expect("sent");
        assert!(memory.capacity() > 0);
        segment
    }

    /// Has a socket receive as one what was sent as segments of one.
    pub fn keep_segments_together(socket: &UdpSocket) {
        set(socket, libc::SOL_UDP, libc::UDP_GRO);
    }

    fn set(socket: &UdpSocket, level: i32, option: i32) {
        let yes = 1_i32;
        // SAFETY: the option's value is `yes`.
        let set = unsafe {
            let (value, size) = (ptr::from_ref(&yes).cast(), mem::size_of::<i32>() as libc::socklen_t);
            libc::setsockopt(socket.as_raw_fd(), level, option, value, size)
        };
        assert_eq!(set, 0);
    }

    /// Receives all that is there.
    fn receive(inbox: &mut Inbox, socket: &UdpSocket) -> Vec<Vec<u8>> {
        let mut received: Vec<_> =
            inbox.receive(BATCH, socket.as_fd()).expect("received").map(<[u8]>::to_vec).collect();
        received.sort_unstable_by_key(|message| message[1]);
        received
    }

    #[test]
    fn all_that_is_sent_together_is_received_together() {
        let [one, other] = pair();
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
        for number in [1, BATCH, 2, 3, BATCH - 1] {
            let segment = send(&mut outbox, (0..number).rev(), &one);
            assert_eq!(segment.map(|id| id < 3), (number > 1).then_some(true), "one of the longest");
            assert_eq!(receive(&mut inbox, &other), (0..number).map(message).collect::<Vec<_>>());
        }
    }

    #[test]
    fn those_of_one_length_and_a_shorter_one_are_one_for_the_system() {
        let [one, other] = pair();
        keep_segments_together(&other);
        send(&mut Outbox::default(), (0..6).rev(), &one);
        let lengths = [(); 2].map(|()| other.recv(&mut [0; 5000]).expect("received"));
        assert_eq!(lengths, [3 * 512 + 475, 2 * 475]);
    }

    #[test]
    fn long_messages_are_no_segments() {
        let [one, other] = pair();
        let mut outbox = Outbox::default();
        let lengths = [MAX_SEGMENT, MAX_SEGMENT + 1];
        for length in lengths {
            outbox.push(&vec![0; length], Vec::new);
        }
        assert_eq!(outbox.send(|| panic!("one is too long"), one.as_fd()).segment, None);
        let mut received = [(); 2].map(|()| other.recv(&mut [0; 5000]).expect("received"));
        received.sort_unstable();
        assert_eq!(received, lengths);
        assert!(send(&mut outbox, 0..2, &one).is_some(), "the next ones are");
    }

    #[test]
    fn where_the_system_takes_no_segments_each_is_sent_by_itself() {
        let [one, other] = pair();
        // Without checksums there are none (EINVAL). Devices that do not compute them answer EIO at the same place.
        set(&one, libc::SOL_SOCKET, libc::SO_NO_CHECK);
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
        for number in [1, BATCH, 2] {
            assert_eq!(send(&mut outbox, 0..number, &one), None);
            assert_eq!(receive(&mut inbox, &other), (0..number).map(message).collect::<Vec<_>>());
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
        let sent = outbox.send(|| true, one.as_fd());
        assert_eq!(sent.result.expect_err("more than a datagram has room for").raw_os_error(), Some(libc::EMSGSIZE));
        send(&mut outbox, 0..1, &one);
    }
}

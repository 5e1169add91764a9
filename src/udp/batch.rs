//! Datagrams by the batch: `recvmmsg` and `sendmmsg`, each with the local address it came to or leaves from.
//!
//! Why unsafe code: one system call for 64 datagrams halves the CPU time of a query, and no safe
//! crate gives both that and a source address for each datagram (`nix` has one control message for a whole batch,
//! `quinn-udp` sends one destination a call). What keeps it sound: every pointer handed to the kernel is set just before the
//! call, to memory that this function borrows and whose length stands beside it; or was set before an earlier call of `receive`, to
//! memory that belongs to the same [`Batch`] and stays where it is, and has not been touched since.
#![expect(unsafe_code, reason = "system calls without a safe wrapper; see above")]

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Datagrams in a batch.
pub const BATCH: usize = 64;
/// Octets kept of a datagram; more is no DNS query that anybody sends.
pub const MAX_DATAGRAM: usize = 4096;
/// Octets for control messages: one packet-info message of either family.
const CONTROL: usize = 64;

/// Buffers for receiving a batch and for answering each of its datagrams.
pub struct Batch {
    data: Box<[Data]>,
    peers: Box<[libc::sockaddr_storage]>,
    control: Box<[Control]>,
    heads: Box<[libc::mmsghdr]>,
    replies: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    /// So many of `heads` and `vectors` are perhaps not as `receive` hands them to the kernel.
    used: usize,
}

/// Room for a datagram, and as much more as keeps the beginnings of all from falling into the same few lines of the CPU's cache.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Data([u8; MAX_DATAGRAM + SKEW]);

/// A line of the cache.
const SKEW: usize = 64;

/// Aligned as control messages have to be.
#[repr(align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

// SAFETY: the raw pointers in `heads`, `replies` and `vectors` are only read by the kernel during a call of `receive` or `send`, both
// of which set them first, or point to what belongs to the same value.
unsafe impl Send for Batch {}

impl Default for Batch {
    fn default() -> Self {
        // SAFETY: all-zero octets are valid values of these C structures.
        let (peer, head, vector) = unsafe { (mem::zeroed(), mem::zeroed::<libc::mmsghdr>(), mem::zeroed()) };
        Batch {
            data: vec![Data([0; MAX_DATAGRAM + SKEW]); BATCH].into(),
            peers: vec![peer; BATCH].into(),
            control: vec![Control([0; CONTROL]); BATCH].into(),
            heads: vec![head; BATCH].into(),
            replies: vec![head; BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            used: BATCH,
        }
    }
}

/// A datagram of the batch received last.
pub struct Datagram<'a> {
    /// Its octets.
    pub data: &'a [u8],
    /// Where it came from.
    pub peer: SocketAddr,
    /// The address it was sent to, where the socket tells.
    pub local: Option<IpAddr>,
}

/// A reply that is ready to be sent.
pub struct Ready<'a> {
    /// Its octets.
    pub octets: &'a [u8],
    /// Where it goes.
    pub to: SocketAddr,
    /// The address that it leaves from, where the socket is bound to all.
    pub local: Option<IpAddr>,
}

impl Batch {
    /// Receives up to [`BATCH`] datagrams that wait at the socket; returns how many.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where none waits.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        // Mostly few datagrams come at once. All others are ready still: to make them so costs 2,000 instructions.
        for i in 0..mem::replace(&mut self.used, BATCH) {
            self.vectors[i] = libc::iovec { iov_base: self.data[i].0.as_mut_ptr().cast(), iov_len: MAX_DATAGRAM };
            let head = &mut self.heads[i].msg_hdr;
            head.msg_name = ptr::from_mut(&mut self.peers[i]).cast();
            head.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as u32;
            head.msg_iov = &raw mut self.vectors[i];
            head.msg_iovlen = 1;
            head.msg_control = self.control[i].0.as_mut_ptr().cast();
            head.msg_controllen = CONTROL;
            head.msg_flags = 0;
        }
        let fd = socket.as_raw_fd();
        // SAFETY: `heads` holds BATCH headers whose pointers were set, now or before, to buffers of the lengths given, which `self` owns.
        let n =
            unsafe { libc::recvmmsg(fd, self.heads.as_mut_ptr(), BATCH as u32, libc::MSG_DONTWAIT, ptr::null_mut()) };
        let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
        // The kernel has filled these, and may have tried another one.
        self.used = (n + 1).min(BATCH);
        Ok(n)
    }

    /// Datagram `i` of the batch received last; `None` where its sender's address is of no internet family.
    pub fn datagram(&self, i: usize) -> Option<Datagram<'_>> {
        let len = (self.heads[i].msg_len as usize).min(MAX_DATAGRAM);
        let peer = read_address(&self.peers[i])?;
        Some(Datagram { data: &self.data[i].0[..len], peer, local: read_local(&self.heads[i].msg_hdr) })
    }

    /// Sends `reply(i)` to the sender of each of the `n` datagrams received last, from the address that was asked.
    ///
    /// A reply that cannot be sent is left out, and `unsent` told why.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where the socket's buffer is full: `from` then says where to go on.
    pub fn send<'r>(
        &mut self,
        socket: BorrowedFd<'_>,
        from: &mut usize,
        n: usize,
        reply: impl Fn(usize) -> Option<&'r [u8]>,
        unsent: impl Fn(&io::Error),
    ) -> io::Result<()> {
        let mut replies = (*from..n).filter_map(|i| Some((i, reply(i)?)));
        let mut count = 0;
        for (i, octets) in replies.clone() {
            self.prepare(count, i, octets);
            count += 1;
        }
        let (sent, result) = self.send_prepared(socket, count, unsent);
        *from = if sent < count { replies.nth(sent).map_or(n, |(i, _)| i) } else { n };
        result
    }

    /// Sends the replies that `ready` gives for `from..n`, up to [`BATCH`] of them; `from` then says where to go on.
    ///
    /// A reply that cannot be sent is left out, and `unsent` told why. What was received before is gone.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where the socket's buffer is full.
    pub fn send_ready<'r>(
        &mut self,
        socket: BorrowedFd<'_>,
        from: &mut usize,
        n: usize,
        ready: impl Fn(usize) -> Ready<'r>,
        unsent: impl Fn(&io::Error),
    ) -> io::Result<()> {
        let count = (n - *from).min(BATCH);
        self.used = self.used.max(count);
        for slot in 0..count {
            let Ready { octets, to, local } = ready(*from + slot);
            let to = socket2::SockAddr::from(to);
            let peer = ptr::from_mut(&mut self.peers[slot]).cast::<u8>();
            // SAFETY: an address is shorter than the storage that any address has room in.
            unsafe { ptr::copy_nonoverlapping(to.as_ptr().cast(), peer, to.len() as usize) };
            self.heads[slot].msg_hdr.msg_namelen = to.len();
            self.address(slot, slot, octets);
            if let Some(local) = local {
                self.leave_from(slot, slot, local);
            }
        }
        let (sent, result) = self.send_prepared(socket, count, unsent);
        *from += sent;
        result
    }

    /// Sends the first `count` replies; returns how many are done with.
    fn send_prepared(
        &mut self,
        socket: BorrowedFd<'_>,
        count: usize,
        unsent: impl Fn(&io::Error),
    ) -> (usize, io::Result<()>) {
        let mut at = 0;
        while at < count {
            let sent = in_fragments_if_need_be(socket, |fd| {
                let replies = &mut self.replies[at..count];
                // SAFETY: these headers point to peers' addresses and control messages in `self`, and to the octets of replies, which
                // whoever has prepared them borrows until this function returns.
                let sent =
                    unsafe { libc::sendmmsg(fd, replies.as_mut_ptr(), replies.len() as u32, libc::MSG_DONTWAIT) };
                usize::try_from(sent).ok()
            });
            match sent {
                Ok(sent) => at += sent,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return (at, Err(e)),
                Err(e) => {
                    unsent(&e);
                    at += 1; // this one cannot be sent: the others can
                }
            }
        }
        (at, Ok(()))
    }

    /// Makes `octets` the `slot`th datagram to be sent, to the sender of datagram `i`.
    fn prepare(&mut self, slot: usize, i: usize, octets: &[u8]) {
        self.address(slot, i, octets);
        if let Some(local) = read_local(&self.heads[i].msg_hdr) {
            // The control message of datagram `i` has been read and may be overwritten.
            self.leave_from(slot, i, local);
        }
    }

    /// Makes `octets` the `slot`th datagram to be sent, to peer `i`.
    fn address(&mut self, slot: usize, i: usize, octets: &[u8]) {
        self.vectors[slot] = libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
        let head = &mut self.replies[slot].msg_hdr;
        head.msg_name = ptr::from_mut(&mut self.peers[i]).cast();
        head.msg_namelen = self.heads[i].msg_hdr.msg_namelen;
        head.msg_iov = &raw mut self.vectors[slot];
        head.msg_iovlen = 1;
        head.msg_control = ptr::null_mut();
        head.msg_controllen = 0;
    }

    /// Makes the `slot`th datagram leave from `local`, which control message `i` is to say.
    fn leave_from(&mut self, slot: usize, i: usize, local: IpAddr) {
        let head = &mut self.replies[slot].msg_hdr;
        head.msg_control = self.control[i].0.as_mut_ptr().cast();
        head.msg_controllen = CONTROL;
        write_local(head, local);
    }
}

/// Sends one reply.
///
/// # Errors
/// Those of `sendmsg`.
pub fn send_one(socket: BorrowedFd<'_>, Ready { octets, to, local }: Ready<'_>) -> io::Result<()> {
    let peer = socket2::SockAddr::from(to);
    let mut vector = libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
    let mut control = Control([0; CONTROL]);
    // SAFETY: all-zero octets are a valid message header.
    let mut head: libc::msghdr = unsafe { mem::zeroed() };
    head.msg_name = peer.as_ptr().cast_mut().cast();
    head.msg_namelen = peer.len();
    head.msg_iov = &raw mut vector;
    head.msg_iovlen = 1;
    if let Some(local) = local {
        head.msg_control = control.0.as_mut_ptr().cast();
        head.msg_controllen = CONTROL;
        write_local(&mut head, local);
    }
    in_fragments_if_need_be(socket, |fd| {
        // SAFETY: every pointer of `head` was just set to memory that lives until the call returns.
        usize::try_from(unsafe { libc::sendmsg(fd, &raw const head, libc::MSG_DONTWAIT) }).ok()
    })?;
    Ok(())
}

/// Calls `send`, which returns nothing where its system call fails; a second time where a datagram is too large for a link on its way.
fn in_fragments_if_need_be(
    socket: BorrowedFd<'_>,
    mut send: impl FnMut(libc::c_int) -> Option<usize>,
) -> io::Result<usize> {
    let mut send = || send(socket.as_raw_fd()).ok_or_else(io::Error::last_os_error);
    match send() {
        Err(e) if e.raw_os_error() == Some(libc::EMSGSIZE) => {
            set_fragments(socket, true)?;
            let sent = send();
            set_fragments(socket, false)?;
            sent
        }
        sent => sent,
    }
}

/// Says whether datagrams over IPv4 may leave in fragments. Where they may, the kernel takes a number for each, also of those that
/// are short enough, from a counter that all CPUs share: that costs a reply 3 % of its CPU time. Over IPv6 they may always.
///
/// # Errors
/// Those of `setsockopt`.
pub fn set_fragments(socket: BorrowedFd<'_>, allowed: bool) -> io::Result<()> {
    let discover = if allowed { libc::IP_PMTUDISC_WANT } else { libc::IP_PMTUDISC_DO };
    set(socket, (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER), discover)
}

/// Datagrams for the socket that the kernel has dropped since it was opened, with what a filter refused.
///
/// # Errors
/// Those of `getsockopt`.
pub fn dropped(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut memory = [0_u32; libc::SK_MEMINFO_DROPS as usize + 1];
    let mut len = mem::size_of_val(&memory) as u32;
    let (level, option, value) = (libc::SOL_SOCKET, libc::SO_MEMINFO, memory.as_mut_ptr().cast());
    // SAFETY: `value` points to `len` octets, which the call fills as far as it has something for them.
    let done = unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, value, &raw mut len) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(memory[libc::SK_MEMINFO_DROPS as usize]) }
}

/// Makes the socket tell the local address of each datagram ([`Datagram::local`]); for sockets bound to all addresses.
///
/// # Errors
/// Those of `setsockopt`.
pub fn tell_local(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    let option = if v6 { (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) } else { (libc::IPPROTO_IP, libc::IP_PKTINFO) };
    set(socket, option, 1)
}

/// Makes the socket drop packets with a lower TTL, or hop limit; connections that it begins have the same limit.
///
/// # Errors
/// Those of `setsockopt`.
pub fn set_least_ttl(socket: BorrowedFd<'_>, least: u8, v6: bool) -> io::Result<()> {
    // A socket for IPv6 may get packets of IPv4, too.
    set(socket, (libc::IPPROTO_IP, libc::IP_MINTTL), least.into())?;
    if v6 { set(socket, (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT), least.into()) } else { Ok(()) }
}

fn set(socket: BorrowedFd<'_>, (level, option): (libc::c_int, libc::c_int), value: libc::c_int) -> io::Result<()> {
    let (value, len) = (ptr::from_ref(&value).cast(), mem::size_of_val(&value) as u32);
    // SAFETY: `value` points to `len` octets that live until the call returns.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, len) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn read_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is a `sockaddr_in`, for which a `sockaddr_storage` has room and alignment.
            let a = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            Some(SocketAddr::from((Ipv4Addr::from(u32::from_be(a.sin_addr.s_addr)), u16::from_be(a.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for `sockaddr_in6`.
            let a = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(a.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(a.sin6_port), a.sin6_flowinfo, a.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// The local address in the control messages of a received datagram.
fn read_local(head: &libc::msghdr) -> Option<IpAddr> {
    if head.msg_controllen == 0 {
        return None;
    }
    // SAFETY: `head` is as the kernel left it: its control messages lie in a buffer of `msg_controllen` octets, which
    // CMSG_FIRSTHDR and CMSG_NXTHDR do not leave. The data is read without regard to alignment.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(head);
        while let Some(m) = message.as_ref() {
            match (m.cmsg_level, m.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = ptr::read_unaligned(libc::CMSG_DATA(m).cast::<libc::in_pktinfo>());
                    return Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = ptr::read_unaligned(libc::CMSG_DATA(m).cast::<libc::in6_pktinfo>());
                    return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => message = libc::CMSG_NXTHDR(head, m),
            }
        }
    }
    None
}

/// Makes the control message that sets the source address; `head` has a buffer of [`CONTROL`] octets for it.
fn write_local(head: &mut libc::msghdr, local: IpAddr) {
    // SAFETY: all-zero octets are valid values of both structures.
    let (mut v4, mut v6) = unsafe { (mem::zeroed::<libc::in_pktinfo>(), mem::zeroed::<libc::in6_pktinfo>()) };
    let (level, kind, size, data): (_, _, _, *const u8) = match local {
        IpAddr::V4(a) => {
            v4.ipi_spec_dst.s_addr = u32::from(a).to_be();
            v4.ipi_addr = v4.ipi_spec_dst; // for `read_local`, where the reply has to be sent once more
            (libc::IPPROTO_IP, libc::IP_PKTINFO, mem::size_of_val(&v4), ptr::from_ref(&v4).cast())
        }
        IpAddr::V6(a) => {
            v6.ipi6_addr.s6_addr = a.octets();
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, mem::size_of_val(&v6), ptr::from_ref(&v6).cast())
        }
    };
    // SAFETY: one message of at most 20 octets fits into the buffer of 64 that `head` points to; `data` has `size` octets.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(head);
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(size as u32) as usize;
        ptr::copy_nonoverlapping(data, libc::CMSG_DATA(message), size);
        head.msg_controllen = libc::CMSG_SPACE(size as u32) as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    /// Asks `server` from a socket bound to `from`, has it echoed in a batch; the reply and its source.
    fn echo(server: &UdpSocket, from: &str, to: SocketAddr) -> (Vec<u8>, SocketAddr) {
        let client = UdpSocket::bind(from).unwrap();
        client.send_to(b"question", to).unwrap();
        let mut batch = Batch::default();
        server.set_nonblocking(true).unwrap();
        let n = loop {
            match batch.receive(server.as_fd()) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                other => break other.unwrap(),
            }
        };
        assert_eq!(n, 1);
        let datagram = batch.datagram(0).unwrap();
        assert_eq!(datagram.data, b"question");
        assert_eq!(datagram.peer.port(), client.local_addr().unwrap().port());
        batch.send(server.as_fd(), &mut 0, n, |_| Some(&b"reply"[..]), |e| panic!("{e}")).unwrap();
        let mut buffer = [0; 100];
        let (n, source) = client.recv_from(&mut buffer).unwrap();
        (buffer[..n].to_vec(), source)
    }

    #[test]
    fn replies_leave_from_the_address_that_was_asked() {
        for any in ["0.0.0.0:0", "[::]:0"] {
            let Ok(server) = UdpSocket::bind(any) else { continue };
            tell_local(server.as_fd(), any.starts_with('[')).unwrap();
            let port = server.local_addr().unwrap().port();
            for asked in ["127.0.0.1", "127.0.0.7"] {
                let to = SocketAddr::new(asked.parse().unwrap(), port);
                assert_eq!(echo(&server, "127.0.0.1:0", to), (b"reply".to_vec(), to), "{any}");
            }
        }
    }

    #[test]
    fn one_datagram_can_be_sent_from_an_address() {
        let server = UdpSocket::bind("0.0.0.0:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let from: IpAddr = "127.0.0.9".parse().unwrap();
        let reply = Ready { octets: b"x", to: client.local_addr().unwrap(), local: Some(from) };
        send_one(server.as_fd(), reply).unwrap();
        assert_eq!(client.recv_from(&mut [0; 9]).unwrap().1.ip(), from);
    }

    #[test]
    fn replies_that_are_ready_leave_in_batches_to_whom_they_are_for() {
        let server = UdpSocket::bind("0.0.0.0:0").unwrap();
        let clients = ["127.0.0.1:0", "127.0.0.2:0"].map(|from| UdpSocket::bind(from).unwrap());
        let replies: Vec<[u8; 1]> = (0..2 * BATCH as u8 - 5).map(|n| [n]).collect();
        let to = clients.each_ref().map(|client| client.local_addr().unwrap());
        let ready = |i: usize| Ready { octets: &replies[i], to: to[i % 2], local: Some(IpAddr::from([127, 0, 0, 9])) };
        let (mut batch, mut from) = (Batch::default(), 0);
        for done in [BATCH, replies.len()] {
            batch.send_ready(server.as_fd(), &mut from, replies.len(), ready, |e| panic!("{e}")).unwrap();
            assert_eq!(from, done);
        }
        for (i, reply) in replies.iter().enumerate() {
            let mut buffer = [0; 9];
            let (n, source) = clients[i % 2].recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..n], source.ip()), (&reply[..], IpAddr::from([127, 0, 0, 9])));
        }
    }

    #[test]
    fn a_batch_is_used_again() {
        let server = UdpSocket::bind("0.0.0.0:0").unwrap();
        server.set_nonblocking(true).unwrap();
        tell_local(server.as_fd(), false).unwrap();
        let clients = ["127.0.0.1:0", "127.0.0.2:0"].map(|from| UdpSocket::bind(from).unwrap());
        let mut batch = Batch::default();
        for (round, count) in [3, 1, 2, BATCH, 1, 5].into_iter().enumerate() {
            let asked = SocketAddr::from(([127, 0, 0, 3 + round as u8], server.local_addr().unwrap().port()));
            let question = |i: usize| vec![i as u8; 1 + (round * 7 + i) % 50];
            for i in 0..count {
                clients[i % 2].send_to(&question(i), asked).unwrap();
            }
            assert_eq!(batch.receive(server.as_fd()).unwrap(), count);
            for i in 0..count {
                let Datagram { data, peer, local } = batch.datagram(i).unwrap();
                assert_eq!((data, local), (&*question(i), Some(asked.ip())), "{round} {i}");
                assert_eq!(peer, clients[i % 2].local_addr().unwrap(), "{round} {i}");
            }
            // In between it sends: twice as many replies as it has received questions.
            let ready = |_: usize| Ready { octets: b"ready", to: clients[0].local_addr().unwrap(), local: None };
            batch.send_ready(server.as_fd(), &mut 0, (2 * count).min(BATCH), ready, |e| panic!("{e}")).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_sent_does_not_hold_up_the_rest() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.local_addr().unwrap()).unwrap();
        (0..3).for_each(|i| assert_eq!(client.send(&[i]).unwrap(), 1));
        let mut batch = Batch::default();
        assert_eq!(batch.receive(server.as_fd()).unwrap(), 3);
        let huge = vec![0; 70_000];
        let reply = |i: usize| Some(if i == 1 { &huge[..] } else { b"ok" });
        let unsent = std::cell::Cell::new(0);
        batch.send(server.as_fd(), &mut 0, 3, reply, |_| unsent.update(|n| n + 1)).unwrap();
        assert_eq!(unsent.get(), 1);
        (0..2).for_each(|_| assert_eq!(client.recv(&mut [0; 9]).unwrap(), 2));
    }
}

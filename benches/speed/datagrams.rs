//! Answers datagrams by the batch, as the server does: the echo, and the upstream that knows all names.

use poddns::batch::{self, BATCH, Batch};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use tokio::io::Interest;

/// Sends every datagram back, with QR set, for good.
///
/// # Errors
/// The port cannot be had.
pub fn echo(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    serve(socket, |query, reply| {
        reply.extend_from_slice(query);
        if let Some(bits) = reply.get_mut(2) {
            *bits |= 0x80;
        }
    })
}

/// Starts a thread that answers every question of type A with one address, and others with no data; where it listens.
///
/// # Errors
/// No port can be had.
pub fn upstream() -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = socket.local_addr()?;
    std::thread::spawn(|| serve(socket, answer).expect("a socket that works"));
    Ok(address)
}

/// Writes an upstream's reply; nothing to what is no question.
fn answer(query: &[u8], reply: &mut Vec<u8>) {
    let Some(end) = query.get(12..).and_then(|rest| rest.iter().position(|&b| b == 0)).map(|n| 12 + n + 5) else {
        return;
    };
    let Some(question) = query.get(..end) else { return };
    let is_address = question.ends_with(&[0, 1, 0, 1]);
    reply.extend_from_slice(question);
    (reply[2], reply[3]) = (0x81, 0x80);
    reply[6..12].copy_from_slice(&[0, u8::from(is_address), 0, 0, 0, 0]);
    if is_address {
        reply.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x01");
    }
}

/// Gives every datagram to `answer`, and sends what that writes.
fn serve(socket: UdpSocket, answer: impl Fn(&[u8], &mut Vec<u8>)) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    batch::set_fragments(socket.as_fd(), false)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let (mut batch, mut replies) = (Batch::default(), vec![Vec::new(); BATCH]);
        loop {
            socket.readable().await?;
            let n = match socket.try_io(Interest::READABLE, || batch.receive(socket.as_fd())) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                received => received?,
            };
            for (i, reply) in replies.iter_mut().enumerate().take(n) {
                reply.clear();
                if let Some(datagram) = batch.datagram(i) {
                    answer(datagram.data, reply);
                }
            }
            let reply = |i: usize| Some(&*replies[i]).filter(|reply| !reply.is_empty());
            // What the socket does not take is lost, and counted as such by who asked.
            match batch.send(socket.as_fd(), &mut 0, n, reply, |_| ()) {
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                _ => (),
            }
        }
    })
}

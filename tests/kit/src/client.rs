//! A client that asks once.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// The reply to `query`, sent once over UDP from a port of its own.
///
/// # Errors
/// Where the port is closed, or nothing comes from the address that was asked within `patience`. A signal that interrupts
/// the wait, as where the machine is suspended for a moment, is not an error: the wait begins anew.
pub fn ask(to: SocketAddr, query: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(if to.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" })?;
    socket.set_read_timeout(Some(patience))?;
    socket.connect(to)?;
    socket.send(query)?;
    let mut reply = vec![0; usize::from(u16::MAX)];
    loop {
        match socket.recv(&mut reply) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            received => {
                reply.truncate(received?);
                return Ok(reply);
            }
        }
    }
}

//! The probes: questions that the server asks itself.

use api::wire::{HEADER, flag};
use api::{Chain, Class, Name, NameRef, Query, RecordType, Run};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Octets that are read of a reply: its header and question are all that matters.
const READ: usize = 512;

/// A name below `zone` that nobody can guess: two numbers of 62 bits. None where there is no room for them, or the system has no
/// random numbers.
pub fn name(zone: NameRef<'_>) -> Option<Name> {
    let mut labels = Vec::new();
    for _ in 0..2 {
        let mut octets = [0; 8];
        getrandom::fill(&mut octets).ok()?;
        let number = (u64::from_be_bytes(octets) >> 2).to_string();
        labels.push(number.len() as u8);
        labels.extend_from_slice(number.as_bytes());
    }
    Name::join(&labels, zone)
}

/// How a server block is asked.
pub struct Way {
    /// The first address that it listens on.
    pub address: Option<SocketAddr>,
    /// Its plugins.
    pub chain: Option<Arc<Chain>>,
}

impl Way {
    /// Asks over UDP, or, where no such socket is open, over TCP, and waits for a reply.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn over_sockets(&self, name: NameRef<'_>) -> io::Result<()> {
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let remotes = self.address.map(reachable).unwrap_or_default();
        for remote in &remotes {
            match over_udp(*remote, name).await {
                Ok(()) => return Ok(()),
                Err(e) => failure = e,
            }
        }
        for remote in &remotes {
            match over_tcp(*remote, name).await {
                Ok(()) => return Ok(()),
                Err(e) => failure = e,
            }
        }
        Err(failure)
    }

    /// Takes the question down the plugins of the block, past sockets and other blocks; whether there was an answer.
    pub async fn through_chain(&self, name: NameRef<'_>) -> bool {
        let (Some(chain), Ok((_, message))) = (&self.chain, query(name)) else { return false };
        let mut q = Box::new(Query::default());
        if q.parse(&message).is_err() {
            return false;
        }
        q.client = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let run = match chain.run(&mut q) {
            Run::Wait(at) => chain.finish(&mut q, at).await,
            run => run,
        };
        run == Run::Done && q.reply.rcode().is_some()
    }
}

/// The addresses at which a server that listens at `address` can be reached from here. A socket for all addresses is one for
/// both families; it is asked over IPv4 first, as Go's system calls have it.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let at = |ip: IpAddr| SocketAddr::new(ip, address.port());
    match address.ip() {
        ip if !ip.is_unspecified() => vec![address],
        IpAddr::V4(_) => vec![at(Ipv4Addr::LOCALHOST.into())],
        IpAddr::V6(_) => vec![at(Ipv4Addr::LOCALHOST.into()), at(Ipv6Addr::LOCALHOST.into())],
    }
}

async fn over_udp(remote: SocketAddr, name: NameRef<'_>) -> io::Result<()> {
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(remote).await?;
    let (id, message) = query(name)?;
    socket.send(&message).await?;
    let mut reply = [0; READ];
    loop {
        let length = socket.recv(&mut reply).await?;
        if is_reply(&reply[..length], id) {
            return Ok(());
        }
    }
}

async fn over_tcp(remote: SocketAddr, name: NameRef<'_>) -> io::Result<()> {
    let mut stream = TcpStream::connect(remote).await?;
    let (id, message) = query(name)?;
    let length = (message.len() as u16).to_be_bytes();
    stream.write_all(&[&length[..], &message].concat()).await?;
    let mut reply = [0; 2 + HEADER];
    stream.read_exact(&mut reply).await?;
    if is_reply(&reply[2..], id) { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn is_reply(message: &[u8], id: [u8; 2]) -> bool {
    message.len() >= HEADER && message.starts_with(&id) && message[2] & 0x80 != 0
}

/// A message that asks for the HINFO records of a name, and its ID.
fn query(name: NameRef<'_>) -> io::Result<([u8; 2], Vec<u8>)> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let header = [flag::RD, 1, 0, 0, 0].map(u16::to_be_bytes);
    let question = [RecordType::HINFO.0, Class::IN.0].map(u16::to_be_bytes);
    Ok((id, [&id, header.as_flattened(), name.as_bytes(), question.as_flattened()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let random = || name(NameRef::ROOT).expect("random numbers").to_string();
        let text = random();
        let numbers: Vec<&str> = text.trim_end_matches('.').split('.').collect();
        assert_eq!(numbers.len(), 2);
        assert!(numbers.iter().all(|n| n.parse::<u64>().is_ok_and(|n| n < 1 << 62)), "{text}");
        assert_ne!(random(), random());
        let long = Name::from_text(&"a.".repeat(120)).expect("a name");
        assert_eq!(name(long.as_ref()), None, "not the zone itself, which anybody can ask for");
    }

    #[test]
    fn addresses() {
        for (address, want) in [
            ("[::]:53", "127.0.0.1:53 [::1]:53"),
            ("0.0.0.0:53", "127.0.0.1:53"),
            ("127.0.0.2:53", "127.0.0.2:53"),
            ("[fe80::1%3]:54", "[fe80::1%3]:54"),
        ] {
            let found = reachable(address.parse().expect("an address"));
            assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), want);
        }
    }
}

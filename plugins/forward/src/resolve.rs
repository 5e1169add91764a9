//! Host names of upstreams, looked up once, when the configuration is read.

use crate::random;
use api::corefile::value::split_host_port;
use api::wire::{self, HEADER, flag};
use api::{Class, Name, NameRef, RecordType};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// Who is asked, in this order; nobody is named: the system.
pub type Resolvers = Vec<String>;

/// How long a resolver is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The addresses of a host.
///
/// # Errors
/// There are none, in CoreDNS's words.
pub fn addresses(name: &str, resolvers: &Resolvers) -> Result<Vec<IpAddr>, String> {
    if resolvers.is_empty() { from_system(name) } else { from_resolvers(name, resolvers) }
}

fn from_system(name: &str) -> Result<Vec<IpAddr>, String> {
    let unknown = || format!("lookup {name}: no such host");
    // What ends in a number is an address to C's library, which takes `127.1` for one.
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(unknown());
    }
    let found = (name, 0).to_socket_addrs().map_err(|_| unknown())?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|a| a.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn from_resolvers(name: &str, resolvers: &Resolvers) -> Result<Vec<IpAddr>, String> {
    let none = |why: &str| format!("no addresses found for {}{why}", api::gotext::quote(name));
    let question = Name::from_text(name).map_err(|e| none(&format!(": {e}")))?;
    let mut why = String::new();
    for resolver in resolvers {
        let ask = |rtype| resolver_address(resolver).and_then(|to| ask(to, question.as_ref(), rtype));
        let (v4, v6) = (ask(RecordType::A), ask(RecordType::AAAA));
        match (v4, v6) {
            (Err(e), _) => why = format!(": {e}"),
            (Ok(v4), v6) => {
                let found: Vec<IpAddr> = v4.into_iter().chain(v6.unwrap_or_default()).collect();
                if !found.is_empty() {
                    return Ok(found);
                }
            }
        }
    }
    Err(none(&why))
}

fn resolver_address(resolver: &str) -> io::Result<SocketAddr> {
    let (host, port) = split_host_port(resolver).unwrap_or((resolver, "53"));
    let bad = |_| io::Error::from(ErrorKind::InvalidInput);
    let ip: IpAddr = host.parse().map_err(bad)?;
    let port = port.parse().map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    Ok(SocketAddr::new(ip, port))
}

/// Asks a resolver for the addresses of a type.
fn ask(resolver: SocketAddr, name: NameRef<'_>, rtype: RecordType) -> io::Result<Vec<IpAddr>> {
    let any: IpAddr = if resolver.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(resolver)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let id = random::number().map_err(io::Error::other)?;
    let header = [id, flag::RD, 1, 0, 0, 0].map(u16::to_be_bytes);
    let question = [name.as_bytes(), [rtype.0, Class::IN.0].map(u16::to_be_bytes).as_flattened()].concat();
    socket.send(&[header.as_flattened(), &question].concat())?;
    let mut reply = vec![0; wire::MAX_MESSAGE];
    let length = socket.recv(&mut reply)?;
    let reply = &reply[..length];
    let same = wire::u16_at(reply, 0) == Ok(id)
        && reply.get(HEADER..HEADER + question.len()).is_some_and(|q| q.eq_ignore_ascii_case(&question));
    if !same {
        return Err(io::Error::other("the reply does not match"));
    }
    found(reply, HEADER + question.len(), rtype).map_err(io::Error::other)
}

/// The addresses in a reply's answer, which begins at `at`.
fn found(reply: &[u8], mut at: usize, rtype: RecordType) -> Result<Vec<IpAddr>, wire::Malformed> {
    let mut found = Vec::new();
    for _ in 0..wire::u16_at(reply, 6)? {
        let record = wire::read_record(reply, at)?;
        let data = &reply[record.rdata..record.end];
        let address = match (record.rtype, <[u8; 4]>::try_from(data), <[u8; 16]>::try_from(data)) {
            (RecordType::A, Ok(octets), _) => Some(IpAddr::from(octets)),
            (RecordType::AAAA, _, Ok(octets)) => Some(IpAddr::from(octets)),
            _ => None,
        };
        found.extend(address.filter(|_| record.rtype == rtype));
        at = record.end;
    }
    Ok(found)
}

//! Asks one resolver for the addresses of a host, while the configuration is read. It blocks, for a time that is bounded.

use crate::random;
use api::wire::{self, HEADER, Malformed, flag};
use api::{Class, Clock, Name, NameRef, Rcode, RecordType};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// Who is asked for what, and for how long.
pub struct Asking<'a> {
    /// The resolver.
    pub resolver: SocketAddr,
    /// The host.
    pub name: NameRef<'a>,
    /// The time.
    pub clock: &'a Clock,
    /// When it is given up.
    pub until: Instant,
}

/// Pauses before an unanswered query is sent again; the last one lasts to the end.
const PAUSES: [Duration; 3] = [Duration::from_millis(300), Duration::from_millis(600), Duration::MAX];
/// Aliases that are followed within a reply.
const MAX_ALIASES: usize = 16;

/// The addresses of the host, first those of IPv4. Both are asked for at once.
///
/// # Errors
/// There is none, and one family could not be asked for.
pub fn addresses(asking: &Asking<'_>) -> io::Result<Vec<IpAddr>> {
    let mut queries = [Query::new(asking.name, RecordType::A)?, Query::new(asking.name, RecordType::AAAA)?];
    let ended = asking.over_udp(&mut queries);
    let mut failure = ended.err();
    let mut found = Vec::new();
    for query in &mut queries {
        match asking.complete(query) {
            Ok(addresses) => found.extend(addresses),
            Err(e) => failure = failure.or(Some(e)),
        }
    }
    match failure {
        Some(e) if found.is_empty() => Err(e),
        _ => Ok(found),
    }
}

/// A question and the reply to it.
struct Query {
    message: Vec<u8>,
    rtype: RecordType,
    reply: Option<Vec<u8>>,
}

impl Query {
    fn new(name: NameRef<'_>, rtype: RecordType) -> io::Result<Query> {
        let id = random::number().map_err(io::Error::other)?;
        let header = [id, flag::RD, 1, 0, 0, 0].map(u16::to_be_bytes);
        let question = [rtype.0, Class::IN.0].map(u16::to_be_bytes);
        let message = [header.as_flattened(), name.as_bytes(), question.as_flattened()].concat();
        Ok(Query { message, rtype, reply: None })
    }

    /// Whether a message is the reply: the same ID, and the same question but for the letters' case.
    fn is_answered_by(&self, reply: &[u8]) -> bool {
        let (id, question) = (&self.message[..2], &self.message[HEADER..]);
        let flags = wire::u16_at(reply, 2).unwrap_or(0);
        reply.starts_with(id)
            && flags & flag::QR != 0
            && flags & flag::OPCODE == 0
            && wire::u16_at(reply, 4) == Ok(1)
            && reply.get(HEADER..self.message.len()).is_some_and(|asked| asked.eq_ignore_ascii_case(question))
    }

    /// The addresses in a reply, of the host or of what it is an alias of.
    fn addresses_in(&self, reply: &[u8]) -> io::Result<Vec<IpAddr>> {
        match Rcode(wire::u16_at(reply, 2).unwrap_or(0) & flag::RCODE) {
            Rcode::NOERROR => {
                let answer = Answer::read(reply, self.message.len()).map_err(io::Error::other)?;
                let name = NameRef::read(&self.message[HEADER..]).unwrap_or(NameRef::ROOT);
                Ok(answer.addresses(name.to_name().to_lower(), self.rtype))
            }
            Rcode::NXDOMAIN => Ok(Vec::new()),
            _ => Err(io::Error::other("server misbehaving")), // in the words of Go's library
        }
    }
}

impl Asking<'_> {
    /// The time that is left; an error where there is none.
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(self.clock.now());
        if left.is_zero() { Err(timed_out()) } else { Ok(left) }
    }

    /// Sends the queries, again from time to time, until all have a reply.
    fn over_udp(&self, queries: &mut [Query]) -> io::Result<()> {
        let v4 = self.resolver.is_ipv4();
        let any: IpAddr = if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(self.resolver)?; // what comes from elsewhere is not received
        for pause in PAUSES {
            for query in queries.iter().filter(|query| query.reply.is_none()) {
                socket.send(&query.message)?;
            }
            let end = self.clock.now().checked_add(pause).map_or(self.until, |end| end.min(self.until));
            while queries.iter().any(|query| query.reply.is_none()) {
                match self.receive(&socket, end)? {
                    Some(reply) => {
                        if let Some(query) = queries.iter_mut().find(|query| query.is_answered_by(&reply)) {
                            query.reply = Some(reply);
                        }
                    }
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// The next packet, whatever it is; `None` at `end`.
    fn receive(&self, socket: &UdpSocket, end: Instant) -> io::Result<Option<Vec<u8>>> {
        let mut packet = vec![0; wire::MAX_MESSAGE];
        loop {
            let left = end.saturating_duration_since(self.clock.now());
            if left.is_zero() {
                return Ok(None);
            }
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut packet) {
                Ok(length) => {
                    packet.truncate(length);
                    return Ok(Some(packet));
                }
                Err(e) if is_time_out(&e) => return Ok(None),
                // A signal, or a machine that was suspended for a moment.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The addresses in the reply to a query, which is asked for over TCP where it was truncated.
    fn complete(&self, query: &mut Query) -> io::Result<Vec<IpAddr>> {
        let reply = query.reply.take().ok_or_else(timed_out)?;
        if wire::u16_at(&reply, 2).unwrap_or(0) & flag::TC == 0 {
            return query.addresses_in(&reply);
        }
        let whole = self.over_tcp(query).map_err(|e| if is_time_out(&e) { timed_out() } else { e })?;
        query.addresses_in(&whole)
    }

    fn over_tcp(&self, query: &Query) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.resolver, self.left()?)?;
        stream.set_write_timeout(Some(self.left()?))?;
        let length = (query.message.len() as u16).to_be_bytes();
        stream.write_all(&[&length[..], &query.message].concat())?;
        let mut length = [0; 2];
        self.read_all(&mut stream, &mut length)?;
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        self.read_all(&mut stream, &mut reply)?;
        if query.is_answered_by(&reply) { Ok(reply) } else { Err(io::Error::other("the reply does not match")) }
    }

    /// Fills `octets`, however small the pieces are that come.
    fn read_all(&self, stream: &mut TcpStream, mut octets: &mut [u8]) -> io::Result<()> {
        while !octets.is_empty() {
            stream.set_read_timeout(Some(self.left()?))?;
            match stream.read(octets) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => octets = &mut octets[n..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn is_time_out(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// In the words of Go's library.
fn timed_out() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "i/o timeout")
}

/// The records of a reply's answer that matter here.
#[derive(Default)]
struct Answer {
    /// Owner and target, in lower case.
    aliases: Vec<(Name, Name)>,
    /// Owner in lower case, and address.
    addresses: Vec<(Name, IpAddr)>,
}

impl Answer {
    /// Reads the answer of a reply, which begins at `at`.
    fn read(reply: &[u8], mut at: usize) -> Result<Answer, Malformed> {
        let mut answer = Answer::default();
        for _ in 0..wire::u16_at(reply, 6)? {
            let record = wire::read_record(reply, at)?;
            at = record.end;
            let owner = name_at(reply, record.start)?;
            let data = &reply[record.rdata..record.end];
            match (record.class, record.rtype) {
                (Class::IN, RecordType::CNAME) => answer.aliases.push((owner, name_at(reply, record.rdata)?)),
                (Class::IN, RecordType::A) => {
                    let octets: [u8; 4] = data.try_into().map_err(|_| Malformed)?;
                    answer.addresses.push((owner, octets.into()));
                }
                (Class::IN, RecordType::AAAA) => {
                    let octets: [u8; 16] = data.try_into().map_err(|_| Malformed)?;
                    answer.addresses.push((owner, octets.into()));
                }
                _ => (),
            }
        }
        Ok(answer)
    }

    /// The addresses of a type that `name` has, or what it is an alias of; addresses of others are none of our business.
    fn addresses(&self, mut name: Name, rtype: RecordType) -> Vec<IpAddr> {
        for _ in 0..MAX_ALIASES {
            match self.aliases.iter().find(|(owner, _)| *owner == name) {
                Some((_, target)) => name = target.clone(),
                None => break,
            }
        }
        let wanted = |address: &IpAddr| address.is_ipv4() == (rtype == RecordType::A);
        let of_name = self.addresses.iter().filter(|(owner, address)| *owner == name && wanted(address));
        of_name.map(|(_, address)| *address).collect()
    }
}

/// The name at a place of a message, in lower case.
fn name_at(message: &[u8], at: usize) -> Result<Name, Malformed> {
    let mut name = Vec::new();
    wire::read_name(message, at, &mut name)?;
    Ok(wire::plain_name(&name)?.to_name().to_lower())
}

#[cfg(test)]
mod tests;

//! One query: what was asked, by whom, and the reply under construction.

mod company;

use crate::codes::{Class, Opcode, Rcode, RecordType};
use crate::name::{NameBuf, NameRef};
use crate::reply::Reply;
use crate::server::Server;
use crate::wire::{self, HEADER, Malformed, flag, read_record};
use std::any::{Any, TypeId};
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// How a query reached the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    /// Whether a reply has to fit into one datagram.
    pub fn is_datagram(self) -> bool {
        self == Transport::Udp
    }

    /// `udp` or `tcp`, as metrics and logs name it.
    pub fn proto(self) -> &'static str {
        if self.is_datagram() { "udp" } else { "tcp" }
    }
}

/// The question of a query, its name both as the client wrote it and in lower case.
#[derive(Clone)]
pub struct Question {
    original: NameBuf,
    lower: NameBuf,
    /// The type asked for.
    pub rtype: RecordType,
    /// The class asked for.
    pub class: Class,
}

impl Question {
    /// The name as the client wrote it.
    pub fn original(&self) -> NameRef<'_> {
        self.original.get()
    }

    /// The name in lower case: what everything is looked up by.
    pub fn name(&self) -> NameRef<'_> {
        self.lower.get()
    }

    /// Asks for another name.
    pub fn set_name(&mut self, name: NameRef<'_>) {
        self.original.set(name);
        self.lower.set_lower(name);
    }
}

impl Default for Question {
    fn default() -> Self {
        let (original, lower) = (NameBuf::default(), NameBuf::default());
        Question { original, lower, rtype: RecordType(0), class: Class::IN }
    }
}

/// What the client's OPT record says (RFC 6891 6.1.2), but for its options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edns {
    /// UDP payload size that the client can take, in octets.
    pub size: u16,
    /// EDNS version.
    pub version: u8,
    /// DNSSEC OK.
    pub dnssec_ok: bool,
}

/// One DNS query on its way through a chain.
///
/// Transports keep a pool of these; a query that has to wait moves to a task as it is.
pub struct Query {
    /// What is asked; plugins may ask for something else below and restore it on the way up.
    pub question: Question,
    /// The client's OPT record, if it sent one.
    pub edns: Option<Edns>,
    /// The client's EDNS options as they stand on the wire; empty without OPT.
    pub edns_options: Vec<u8>,
    /// The reply.
    pub reply: Reply,
    /// The client's address.
    pub client: SocketAddr,
    /// The server's address that the query was sent to; of a wildcard socket's query the port only, where it is not known.
    pub local: SocketAddr,
    /// How the query came.
    pub transport: Transport,
    /// When the query was received.
    pub received: Instant,
    /// Whether its reply leaves together with those of the queries received with it; see [`crate::traffic::batch_complete`].
    pub in_batch: bool,
    /// When waiting for an answer makes no sense any more (directive `cancel`); plugins that ask others give up then.
    pub deadline: Option<Instant>,
    /// Whether the client, if it understands EDNS, is told why the reply is what it is (directive `errors`).
    pub explains: bool,
    /// Whether more replies wait for the socket that the query came to than it keeps (directive `shed`).
    pub backlogged: bool,
    id: u16,
    flags: u16,
    packet: Vec<u8>,
    question_end: usize,
    notes: Vec<(TypeId, Box<dyn Any + Send>)>,
    pub(crate) site: usize,
    /// The site whose block knows values about the query, once a block with `metadata` was tried for it.
    described_at: Option<usize>,
    /// Values that plugins left about it on its way.
    described: Vec<(&'static str, String)>,
    server: Option<Arc<dyn Server>>,
    /// The plugin that its reply goes up to.
    pub(crate) floor: usize,
    pub(crate) turns: u8,
    pub(crate) depth: u8,
    /// Look-ups for the client's query, with all that they led to; there from the first one on.
    lookups: OnceLock<Arc<AtomicU16>>,
}

impl Default for Query {
    fn default() -> Self {
        let nobody = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        Query {
            question: Question::default(),
            edns: None,
            edns_options: Vec::new(),
            reply: Reply::default(),
            client: nobody,
            local: nobody,
            transport: Transport::Udp,
            received: crate::clock::Clock::system().now(),
            in_batch: false,
            deadline: None,
            explains: false,
            backlogged: false,
            id: 0,
            flags: 0,
            packet: Vec::with_capacity(512),
            question_end: 0,
            notes: Vec::new(),
            site: 0,
            described_at: None,
            described: Vec::new(),
            server: None,
            floor: 0,
            turns: 0,
            depth: 0,
            lookups: OnceLock::new(),
        }
    }
}

/// Why [`Query::parse`] failed: whether the question at least could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadQuery {
    /// The question is unreadable.
    Question,
    /// The question was read, what follows it is malformed.
    Rest,
}

/// Reading.
impl Query {
    /// Reads a message that passed the header checks: exactly one question.
    ///
    /// # Errors
    /// The message is malformed (RFC 1035 4, RFC 6891 6.1): it gets FORMERR.
    pub fn parse(&mut self, packet: &[u8]) -> Result<(), BadQuery> {
        self.reset();
        self.packet.clear();
        self.packet.extend_from_slice(packet);
        self.id = wire::u16_at(packet, 0).map_err(|_| BadQuery::Question)?;
        self.flags = wire::u16_at(packet, 2).map_err(|_| BadQuery::Question)?;
        self.parse_question().map_err(|_| BadQuery::Question)?;
        if self.packet.len() > self.question_end || self.packet[6..HEADER] != [0; 6] {
            self.parse_rest().map_err(|_| BadQuery::Rest)?;
        }
        Ok(())
    }

    /// Makes the query ready for the next message.
    fn reset(&mut self) {
        self.reply.clear();
        self.edns = None;
        self.edns_options.clear();
        self.notes.clear();
        self.described_at = None;
        self.described.clear();
        self.in_batch = false;
        self.deadline = None;
        self.explains = false;
        self.backlogged = false;
        self.floor = 0;
        self.turns = 0;
        self.depth = 0;
        self.lookups.take();
    }

    /// Counts a look-up for this query, or for the one that it is itself made for; returns how many there were before.
    pub(crate) fn count_lookup(&self) -> u16 {
        self.lookups.get_or_init(Arc::default).fetch_add(1, Relaxed)
    }

    fn parse_question(&mut self) -> Result<(), Malformed> {
        let name = NameRef::read(self.packet.get(HEADER..).ok_or(Malformed)?).ok_or(Malformed)?;
        let end = HEADER + name.as_bytes().len();
        self.question.rtype = RecordType(wire::u16_at(&self.packet, end)?);
        self.question.class = Class(wire::u16_at(&self.packet, end + 2)?);
        self.question.original.set(name);
        self.question.lower.set_lower(name);
        self.question_end = end + 4;
        Ok(())
    }

    /// Reads the records behind the question: checks all, keeps what the OPT says.
    fn parse_rest(&mut self) -> Result<(), Malformed> {
        let mut at = self.question_end;
        for (field, additional) in [(6, false), (8, false), (10, true)] {
            for _ in 0..wire::u16_at(&self.packet, field)? {
                let r = read_record(&self.packet, at)?;
                at = r.end;
                if r.rtype != RecordType::OPT {
                    wire::plain_rdata_len(&self.packet, r.rtype, r.rdata, r.end)?;
                    continue;
                }
                if !additional || self.edns.is_some() || r.owner_plain != 1 {
                    return Err(Malformed);
                }
                check_options(&self.packet[r.rdata..r.end])?;
                let (version, dnssec_ok) = ((r.ttl >> 16) as u8, r.ttl & 0x8000 != 0);
                self.edns = Some(Edns { size: r.class.0, version, dnssec_ok });
                self.edns_options.extend_from_slice(&self.packet[r.rdata..r.end]);
            }
        }
        Ok(())
    }

    /// The ID of the client's message.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The second header word of the client's message; see [`flag`].
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// Sets the header bits of `mask` to those of `bits`: what plugins below see as asked.
    pub fn set_flags(&mut self, mask: u16, bits: u16) {
        self.flags = self.flags & !mask | bits & mask;
    }

    /// The operation code.
    pub fn opcode(&self) -> Opcode {
        Opcode(((self.flags & flag::OPCODE) >> 11) as u8)
    }

    /// The client's message as it was received; of a look-up of the server itself, the one that it would have come in.
    pub fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// What follows the question in the client's message.
    pub fn packet_rest(&self) -> &[u8] {
        self.packet.get(self.question_end..).unwrap_or_default()
    }

    /// The lower-case name asked for.
    pub fn name(&self) -> NameRef<'_> {
        self.question.name()
    }

    /// The type asked for.
    pub fn rtype(&self) -> RecordType {
        self.question.rtype
    }

    /// Whether the client wants DNSSEC records (RFC 3225).
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|e| e.dnssec_ok)
    }

    /// The question in the client's message, whatever plugins made of it.
    pub fn asked_question(&self) -> Question {
        let mut asked = self.question.clone();
        if let Some(name) = self.packet.get(HEADER..).and_then(NameRef::read) {
            asked.set_name(name);
        }
        asked.rtype = self.asked_type();
        asked
    }

    /// The type in the client's message, whatever plugins made of the question.
    pub fn asked_type(&self) -> RecordType {
        let asked = self.question_end.checked_sub(4).and_then(|at| wire::u16_at(&self.packet, at).ok());
        asked.map_or(self.question.rtype, RecordType)
    }

    /// The second header word of the client's message, whatever plugins made of it.
    pub fn asked_flags(&self) -> u16 {
        wire::u16_at(&self.packet, 2).unwrap_or(self.flags)
    }

    /// Octets of the client's message.
    pub fn asked_len(&self) -> usize {
        self.packet.len()
    }

    /// Whether the query came over UDP to a socket that is bound to no address (CoreDNS does not tell the address then).
    pub fn on_all_addresses(&self) -> bool {
        self.transport.is_datagram() && self.site().is_some_and(|site| site.server.contains("//:"))
    }

    /// Octets that the reply may have.
    pub fn size_limit(&self) -> usize {
        match self.edns {
            _ if !self.transport.is_datagram() => wire::MAX_MESSAGE,
            Some(edns) => usize::from(edns.size.max(512)),
            None => 512,
        }
    }
}

/// Answering.
impl Query {
    /// Begins a reply: NOERROR, the question, no records.
    pub fn respond(&mut self) -> &mut Reply {
        self.reply.start(self.id, self.opcode(), self.flags, &self.question);
        &mut self.reply
    }

    /// Begins an authoritative reply with this code.
    pub fn respond_authoritative(&mut self, rcode: Rcode) -> &mut Reply {
        let reply = self.respond();
        reply.set_authoritative(true);
        reply.set_rcode(rcode);
        reply
    }
}

/// Checks that the options of an OPT record fill its data (RFC 6891 6.1.2), and those whose length is fixed.
fn check_options(options: &[u8]) -> Result<(), Malformed> {
    let mut at = 0;
    while at < options.len() {
        let (code, len) = (wire::u16_at(options, at)?, usize::from(wire::u16_at(options, at + 2)?));
        at += 4 + len;
        let fits = match code {
            9 => len == 0 || len == 4,  // EXPIRE (RFC 7314)
            11 => len == 0 || len == 2, // TCP keep-alive (RFC 7828)
            8 => len >= 4,              // client subnet (RFC 7871)
            15 => len >= 2,             // extended error (RFC 8914)
            18 => len > 0,              // report channel (RFC 9567): a name
            _ => true,
        };
        if at > options.len() || !fits {
            return Err(Malformed);
        }
    }
    Ok(())
}

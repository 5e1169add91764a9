//! DNS messages as far as a load and an upstream need them: one question, at most one address.

/// What a client asks. Recursion is always desired.
#[derive(Clone, Debug)]
pub struct Question {
    /// Without a last dot.
    pub name: String,
    /// Type.
    pub rtype: u16,
    /// Class.
    pub class: u16,
    /// Checking disabled.
    pub cd: bool,
    /// The OPT record, if there is one.
    pub edns: Option<Edns>,
}

/// What an OPT record of a question says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edns {
    /// Nothing but a size.
    Plain,
    /// DNSSEC records are welcome.
    DnssecOk,
}

impl Question {
    /// For the IPv4 address of a name, without EDNS.
    pub fn a(name: impl Into<String>) -> Question {
        Question { name: name.into(), rtype: A, class: IN, cd: false, edns: None }
    }

    /// On the wire, with the number 0.
    pub fn to_wire(&self) -> Vec<u8> {
        let bits = RD | if self.cd { CD } else { 0 };
        let counts = [1, 0, 0, u16::from(self.edns.is_some())];
        let mut wire: Vec<u8> = [&[0, bits][..], &counts].concat().iter().flat_map(|n| n.to_be_bytes()).collect();
        write_name(&mut wire, &self.name);
        wire.extend([self.rtype, self.class].iter().flat_map(|n| n.to_be_bytes()));
        if let Some(edns) = self.edns {
            opt(&mut wire, edns == Edns::DnssecOk);
        }
        wire
    }
}

/// A question as an upstream got it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    wire: &'a [u8],
    /// Where the question's section ends.
    end: usize,
}

impl<'a> Asked<'a> {
    /// `None`: no message with one whole question.
    pub fn parse(wire: &'a [u8]) -> Option<Asked<'a>> {
        let end = question_end(wire)?;
        (wire[4..6] == [0, 1]).then_some(Asked { wire, end })
    }

    /// The number.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.wire[0], self.wire[1]])
    }

    /// Whether the name is the root: the question of a health check.
    pub fn is_probe(&self) -> bool {
        self.wire[12] == 0
    }

    /// What makes one question another: name in lower case, type, class, CD and DO.
    pub fn key(&self) -> Vec<u8> {
        let mut key = self.wire[12..self.end].to_ascii_lowercase();
        let dnssec_ok = self.opt().is_some_and(|opt| opt[7] & 0x80 != 0);
        key.extend([self.wire[3] & CD as u8, u8::from(dnssec_ok)]);
        key
    }

    /// The OPT record, if it is the first one after the question.
    fn opt(&self) -> Option<&'a [u8]> {
        let rest = &self.wire[self.end..];
        (rest.len() >= 11 && rest[..3] == [0, 0, 41]).then_some(rest)
    }

    /// Whether there is an OPT record.
    pub fn has_opt(&self) -> bool {
        self.opt().is_some()
    }

    /// A reply with the one address, or what else is to be in it.
    pub fn reply(&self, reply: &Reply<'_>) -> Vec<u8> {
        let bits = u16::from_be_bytes([self.wire[2], self.wire[3]]) & (RD | CD);
        let echo = reply.question.is_none_or(|q| !q.is_empty());
        let counts = [u16::from(echo), u16::from(reply.address.is_some()), 0, u16::from(self.has_opt() && reply.opt)];
        let header = [self.id(), QR | RA | bits | reply.bits, counts[0], counts[1], counts[2], counts[3]];
        let mut wire: Vec<u8> = header.iter().flat_map(|n| n.to_be_bytes()).collect();
        wire.extend_from_slice(reply.question.unwrap_or(&self.wire[12..self.end]));
        if let Some(address) = reply.address {
            match reply.owner {
                Some(owner) => write_name(&mut wire, owner),
                None if echo => wire.extend([0xc0, 12]),
                None => wire.extend_from_slice(&self.wire[12..self.end - 4]),
            }
            self.address(&mut wire, address);
        }
        if self.has_opt() && reply.opt {
            opt(&mut wire, false);
        }
        wire
    }

    /// All of an address record but its owner; one of type AAAA begins with the octets of the IPv4 address.
    fn address(&self, wire: &mut Vec<u8>, address: [u8; 4]) {
        wire.extend_from_slice(&self.wire[self.end - 4..self.end]);
        wire.extend(300u32.to_be_bytes());
        let long = self.wire[self.end - 3] == AAAA as u8;
        let length: u16 = if long { 16 } else { 4 };
        wire.extend(length.to_be_bytes());
        wire.extend(address);
        wire.resize(wire.len() + usize::from(length) - 4, 0);
    }
}

/// What a reply has.
pub struct Reply<'a> {
    /// Header bits beside QR, RA, RD and CD.
    pub bits: u16,
    /// In place of the question that was asked; empty for none.
    pub question: Option<&'a [u8]>,
    /// The owner of the record in place of the name asked.
    pub owner: Option<&'a str>,
    /// The address.
    pub address: Option<[u8; 4]>,
    /// Whether an OPT record answers one.
    pub opt: bool,
}

impl Default for Reply<'_> {
    fn default() -> Self {
        Reply { bits: 0, question: None, owner: None, address: Some(GOOD), opt: true }
    }
}

/// What a client makes of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The address that was expected.
    Good,
    /// A code other than NOERROR.
    Code(u8),
    /// Anything else: another question, another address, none.
    Wrong,
}

impl Verdict {
    /// Compares a reply with the question and the address that is expected.
    pub fn of(question: &[u8], reply: &[u8], expected: [u8; 4]) -> Verdict {
        let end = question_end(question).unwrap_or(question.len());
        if reply.len() < end || reply[12..end] != question[12..end] || u16::from(reply[2]) << 8 & QR == 0 {
            return Verdict::Wrong;
        }
        match reply[3] & 15 {
            0 if first_address(&reply[end..]) == Some(expected) => Verdict::Good,
            0 => Verdict::Wrong,
            code => Verdict::Code(code),
        }
    }
}

/// The first four octets of the data of the first record.
fn first_address(records: &[u8]) -> Option<[u8; 4]> {
    let mut at = 0;
    while *records.get(at)? != 0 && records[at] & 0xc0 == 0 {
        at += 1 + usize::from(records[at]);
    }
    at += if records[at] == 0 { 1 } else { 2 };
    records.get(at + 10..at + 14)?.try_into().ok()
}

fn question_end(wire: &[u8]) -> Option<usize> {
    let mut at = 12;
    while *wire.get(at)? != 0 {
        at += 1 + usize::from(wire[at]);
    }
    (at + 5 <= wire.len()).then_some(at + 5)
}

fn write_name(wire: &mut Vec<u8>, name: &str) {
    for label in name.split('.') {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
}

fn opt(wire: &mut Vec<u8>, dnssec_ok: bool) {
    wire.extend([0, 0, 41, 4, 208, 0, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
}

/// The address that well-meaning upstreams know.
pub const GOOD: [u8; 4] = [192, 0, 2, 1];
/// The one in forged replies.
pub const FORGED: [u8; 4] = [192, 0, 2, 66];

/// Types.
pub const A: u16 = 1;
pub const AAAA: u16 = 28;
/// Classes.
pub const IN: u16 = 1;
pub const HESIOD: u16 = 4;
/// Bits of the header.
pub const QR: u16 = 0x8000;
pub const TC: u16 = 0x0200;
const RD: u16 = 0x0100;
const RA: u16 = 0x0080;
const CD: u16 = 0x0010;

//! Whole messages: wire form to parts and back.

use super::codes::{class_from_text, class_text, type_from_text, type_text};
use super::name::Name;
use super::rdata;
use std::collections::HashMap;
use std::fmt;

/// A DNS message. The OPT and TSIG records stand apart from the additional section.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The message's number.
    pub id: u16,
    /// The second word of the header: [`flag`] bits, opcode, the low four bits of the response code.
    pub bits: u16,
    /// Usually one.
    pub questions: Vec<Question>,
    /// The answer section.
    pub answer: Vec<Record>,
    /// The authority section.
    pub authority: Vec<Record>,
    /// The additional section without OPT and TSIG.
    pub additional: Vec<Record>,
    /// The OPT record.
    pub edns: Option<Edns>,
    /// Whether a TSIG record is there. It is not checked.
    pub signed: bool,
}

/// Bits of [`Message::bits`].
pub mod flag {
    /// This is a reply.
    pub const QR: u16 = 0x8000;
    /// From an authority.
    pub const AA: u16 = 0x0400;
    /// Truncated.
    pub const TC: u16 = 0x0200;
    /// Recursion desired.
    pub const RD: u16 = 0x0100;
    /// Recursion available.
    pub const RA: u16 = 0x0080;
    /// Authentic data.
    pub const AD: u16 = 0x0020;
    /// Checking disabled.
    pub const CD: u16 = 0x0010;
    /// All with their words, as they are shown.
    pub const NAMES: [(u16, &str); 7] =
        [(QR, "qr"), (AA, "aa"), (TC, "tc"), (RD, "rd"), (RA, "ra"), (AD, "ad"), (CD, "cd")];
}

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name asked for.
    pub name: Name,
    /// The type asked for.
    pub rtype: u16,
    /// The class asked for.
    pub class: u16,
}

/// A record, its data without compression.
#[derive(Clone, Debug)]
pub struct Record {
    /// The owner.
    pub name: Name,
    /// The type.
    pub rtype: u16,
    /// The class.
    pub class: u16,
    /// Seconds; above 2^31 - 1 it is read as 0 (RFC 2181 8).
    pub ttl: u32,
    /// The data, uncompressed.
    pub data: Vec<u8>,
}

/// An OPT record (RFC 6891).
#[derive(Clone, Debug, Default)]
pub struct Edns {
    /// The sender's UDP payload size, octets.
    pub size: u16,
    /// The upper eight bits of the response code.
    pub extended_rcode: u8,
    /// The EDNS version.
    pub version: u8,
    /// Whether DO is set.
    pub dnssec_ok: bool,
    /// Options: code and data.
    pub options: Vec<(u16, Vec<u8>)>,
}

/// What is wrong with a message. Shown, it is dnspython's exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Below twelve octets.
    ShortHeader,
    /// Cut, or data that does not fit its type.
    FormError,
    /// Octets behind the last record.
    TrailingJunk,
    /// A second OPT record, or one in a wrong place.
    BadEdns,
    /// A TSIG record that is not the last one.
    BadTsig,
    /// A compression pointer forward.
    BadPointer,
    /// A label that is neither text nor pointer.
    BadLabelType,
}

impl Malformed {
    /// The name of dnspython's exception.
    pub fn name(self) -> &'static str {
        match self {
            Self::ShortHeader => "ShortHeader",
            Self::FormError => "FormError",
            Self::TrailingJunk => "TrailingJunk",
            Self::BadEdns => "BadEDNS",
            Self::BadTsig => "BadTSIG",
            Self::BadPointer => "BadPointer",
            Self::BadLabelType => "BadLabelType",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::ShortHeader => "The DNS packet passed to from_wire() is too short.",
            Self::FormError => "DNS message is malformed.",
            Self::TrailingJunk => "The DNS packet passed to from_wire() has extra junk at the end of it.",
            Self::BadEdns => "An OPT record occurred somewhere other than the additional data section.",
            Self::BadTsig => "A TSIG record occurred somewhere other than the end of the additional data section.",
            Self::BadPointer => "A DNS compression pointer points forward instead of backward.",
            Self::BadLabelType => "The label type in DNS name wire format is unknown.",
        };
        write!(f, "{}: {what}", self.name())
    }
}

impl Message {
    /// Reads a message, to its last octet.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(wire: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader { wire, at: 12 };
        let word = |i: usize| u16::from_be_bytes([wire[2 * i], wire[2 * i + 1]]);
        if wire.len() < 12 {
            return Err(Malformed::ShortHeader);
        }
        let mut m = Self { id: word(0), bits: word(1), ..Self::default() };
        for _ in 0..word(2) {
            m.questions.push(Question { name: r.name()?, rtype: r.word()?, class: r.word()? });
        }
        for section in 0..3 {
            for i in 0..word(3 + section) {
                m.read_record(&mut r, section, i + 1 == word(3 + section))?;
            }
        }
        if r.at == wire.len() { Ok(m) } else { Err(Malformed::TrailingJunk) }
    }

    fn read_record(&mut self, r: &mut Reader<'_>, section: usize, last: bool) -> Result<(), Malformed> {
        let (name, rtype, class) = (r.name()?, r.word()?, r.word()?);
        let ttl = u32::from(r.word()?) << 16 | u32::from(r.word()?);
        let size = usize::from(r.word()?);
        let start = r.at;
        r.bytes(size)?;
        match rtype {
            OPT if section != 2 || self.edns.is_some() || !name.is_root() => return Err(Malformed::BadEdns),
            OPT => self.edns = Some(Edns::read(class, ttl, &r.wire[start..r.at])?),
            TSIG if section != 2 || !last => return Err(Malformed::BadTsig),
            TSIG => self.signed = true,
            _ => {
                let data = rdata::read(r.wire, start, r.at, class, rtype)?;
                let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
                let record = Record { name, rtype, class, ttl, data };
                [&mut self.answer, &mut self.authority, &mut self.additional][section].push(record);
            }
        }
        Ok(())
    }

    /// What a client asks, without EDNS and with the number 0.
    ///
    /// # Panics
    /// `name` is none.
    pub fn query(name: &str, rtype: u16) -> Self {
        let questions = vec![Question { name: Name::from_text(name).expect("a name"), rtype, class: 1 }];
        Self { bits: flag::RD, questions, ..Self::default() }
    }

    /// The response code with its EDNS part.
    pub fn rcode(&self) -> u16 {
        self.bits & 15 | self.edns.as_ref().map_or(0, |e| u16::from(e.extended_rcode) << 4)
    }

    /// The message on the wire, names compressed without regard to case, as dnspython does it.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut w = Writer { out: Vec::with_capacity(512), names: HashMap::new() };
        let additional = self.additional.len() + usize::from(self.edns.is_some());
        let counts = [self.questions.len(), self.answer.len(), self.authority.len(), additional];
        for word in [self.id, self.bits].into_iter().chain(counts.map(|n| n as u16)) {
            w.word(word);
        }
        for q in &self.questions {
            w.name(&q.name);
            [q.rtype, q.class].into_iter().for_each(|word| w.word(word));
        }
        self.answer.iter().chain(&self.authority).chain(&self.additional).for_each(|r| w.record(r));
        if let Some(edns) = &self.edns {
            edns.write(&mut w.out);
        }
        w.out
    }
}

impl Record {
    /// Reads `NAME TTL CLASS TYPE DATA`, all names with a dot at their end.
    ///
    /// # Errors
    /// What cannot be read, of a type whose text form is not built included.
    pub fn from_text(line: &str) -> Result<Self, String> {
        let mut rest = line;
        let mut word = || {
            let (head, tail) = rest.trim_start().split_once(' ').ok_or_else(|| format!("record {line}: too short"))?;
            rest = tail;
            Ok::<&str, String>(head)
        };
        let (name, ttl, class, rtype) = (word()?, word()?, word()?, word()?);
        let unknown = |what: &str| format!("record {line}: unknown {what}");
        let rtype = type_from_text(rtype).ok_or_else(|| unknown("type"))?;
        let class = class_from_text(class).ok_or_else(|| unknown("class"))?;
        Ok(Self {
            name: Name::absolute(name)?,
            rtype,
            class,
            ttl: ttl.parse().map_err(|_| unknown("TTL"))?,
            data: rdata::from_text(class, rtype, rest.trim()).map_err(|e| format!("record {line}: {e}"))?,
        })
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, class_text(self.class), type_text(self.rtype))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rtype, class, ttl, data } = self;
        write!(f, "{name} {ttl} {} {} {}", class_text(*class), type_text(*rtype), rdata::text(*class, *rtype, data))
    }
}

impl Edns {
    fn read(class: u16, ttl: u32, mut data: &[u8]) -> Result<Self, Malformed> {
        let [extended_rcode, version, high, _] = ttl.to_be_bytes();
        let mut options = Vec::new();
        while let [c0, c1, n0, n1, rest @ ..] = data {
            let n = usize::from(u16::from_be_bytes([*n0, *n1]));
            let value = rest.get(..n).ok_or(Malformed::FormError)?;
            options.push((u16::from_be_bytes([*c0, *c1]), value.to_vec()));
            data = &rest[n..];
        }
        let whole = data.is_empty() && options.iter().all(|(code, value)| option_fits(*code, value));
        let edns = Self { size: class, extended_rcode, version, dnssec_ok: high & 0x80 != 0, options };
        whole.then_some(edns).ok_or(Malformed::FormError)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let options: Vec<u8> = self
            .options
            .iter()
            .flat_map(|(code, value)| [&code.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat())
            .collect();
        out.push(0);
        out.extend_from_slice(&OPT.to_be_bytes());
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend_from_slice(&[self.extended_rcode, self.version, if self.dnssec_ok { 0x80 } else { 0 }, 0]);
        out.extend_from_slice(&(options.len() as u16).to_be_bytes());
        out.extend_from_slice(&options);
    }
}

/// Whether an option has a length that it may have: a client subnet as its prefix says (RFC 7871 6), a cookie (RFC 7873 4).
fn option_fits(code: u16, value: &[u8]) -> bool {
    match (code, value) {
        (SUBNET, [0, family @ (1 | 2), prefix, _, address @ ..]) => {
            address.len() == usize::from(prefix.div_ceil(8)) && *prefix <= if *family == 1 { 32 } else { 128 }
        }
        (SUBNET, _) => false,
        (COOKIE, value) => value.len() == 8 || (16..=40).contains(&value.len()),
        _ => true,
    }
}

/// Reads on through a message.
struct Reader<'a> {
    wire: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn bytes(&mut self, n: usize) -> Result<&[u8], Malformed> {
        let got = self.wire.get(self.at..self.at + n).ok_or(Malformed::FormError)?;
        self.at += n;
        Ok(got)
    }

    fn word(&mut self) -> Result<u16, Malformed> {
        self.bytes(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    fn name(&mut self) -> Result<Name, Malformed> {
        let (name, end) = Name::read(self.wire, self.at)?;
        self.at = end;
        Ok(name)
    }
}

/// A message in the making, with the names it has, in lower case.
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
    names: HashMap<Vec<u8>, u16>,
}

impl Writer {
    fn word(&mut self, word: u16) {
        self.out.extend_from_slice(&word.to_be_bytes());
    }

    /// A name, from the first label on that is there already as a pointer.
    pub(super) fn name(&mut self, name: &Name) {
        for at in name.labels() {
            let suffix = name.as_bytes()[at..].to_ascii_lowercase();
            if let Some(&pointer) = self.names.get(&suffix) {
                return self.word(0xc000 | pointer);
            }
            if self.out.len() < 0x4000 {
                self.names.insert(suffix, self.out.len() as u16);
            }
            let n = usize::from(name.as_bytes()[at]);
            self.out.extend_from_slice(&name.as_bytes()[at..=at + n]);
        }
        self.out.push(0);
    }

    fn record(&mut self, r: &Record) {
        self.name(&r.name);
        [r.rtype, r.class, (r.ttl >> 16) as u16, r.ttl as u16, 0].into_iter().for_each(|word| self.word(word));
        let start = self.out.len();
        rdata::write(self, r.class, r.rtype, &r.data);
        let size = (self.out.len() - start) as u16;
        self.out[start - 2..start].copy_from_slice(&size.to_be_bytes());
    }
}

const OPT: u16 = 41;
const TSIG: u16 = 250;
const SUBNET: u16 = 8;
const COOKIE: u16 = 10;

#[cfg(test)]
mod tests {
    use super::{Edns, Malformed, Message, Record, flag};

    #[test]
    fn a_message_survives_the_wire() {
        let records = [
            "www.example.org. 30 IN CNAME A.example.org.",
            "a.example.org. 30 IN A 192.0.2.1",
            "example.org. 30 IN SOA ns.example.org. admin.example.org. 1 7200 900 86400 60",
        ];
        let answer: Vec<Record> = records.iter().map(|r| Record::from_text(r).expect(r)).collect();
        let edns = Edns { size: 1232, dnssec_ok: true, options: vec![(10, vec![1; 8])], ..Edns::default() };
        let wire = Message { id: 7, bits: flag::QR | 3, answer, edns: Some(edns), ..Message::default() }.to_wire();
        let m = Message::parse(&wire).expect("a message");
        let shown: Vec<String> = m.answer.iter().map(Record::to_string).collect();
        // The target's letters are those of the first place where the name stands.
        assert_eq!(shown, [records[0], "A.example.org. 30 IN A 192.0.2.1", records[2]]);
        assert_eq!((m.id, m.rcode(), m.edns.expect("an OPT").options.len()), (7, 3, 1));
        for cut in 0..wire.len() {
            assert!(Message::parse(&wire[..cut]).is_err(), "{cut}");
        }
        let junk = [&wire[..], &[0]].concat();
        assert_eq!(Message::parse(&junk).expect_err("too long"), Malformed::TrailingJunk);
    }
}

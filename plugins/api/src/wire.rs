//! Reading DNS messages octet by octet: names with compression, records, the shape of record data.

use crate::codes::{Class, RecordType};
use crate::name::{MAX_LABEL, MAX_NAME, NameRef};

/// Octets of a message header (RFC 1035 4.1.1).
pub const HEADER: usize = 12;
/// Octets of the longest message.
pub const MAX_MESSAGE: usize = 65_535;
/// Places from here on cannot be pointed to (RFC 1035 4.1.4).
pub const REACH: usize = 0x4000;

/// Bits of the second header word (RFC 1035 4.1.1, RFC 4035 3).
pub mod flag {
    #![expect(missing_docs, reason = "the mnemonics are the documentation")]
    pub const QR: u16 = 0x8000;
    pub const AA: u16 = 0x0400;
    pub const TC: u16 = 0x0200;
    pub const RD: u16 = 0x0100;
    pub const RA: u16 = 0x0080;
    pub const Z: u16 = 0x0040;
    pub const AD: u16 = 0x0020;
    pub const CD: u16 = 0x0010;
    pub const OPCODE: u16 = 0x7800;
    pub const RCODE: u16 = 0x000f;
}

/// A message, or a part of it, that breaks the rules of RFC 1035 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed message")
    }
}

impl std::error::Error for Malformed {}

/// The 16-bit number at `at`.
pub fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    bytes.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]])).ok_or(Malformed)
}

/// The 32-bit number at `at`.
pub fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).ok_or(Malformed)
}

/// The options of an OPT record (RFC 6891 6.1.2): each with its code, its data, and as a whole. What is cut short ends them.
pub fn edns_options(octets: &[u8]) -> impl Iterator<Item = EdnsOption<'_>> + Clone {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_first_chunk::<4>()?;
        let data = tail.get(..usize::from(u16::from_be_bytes([head[2], head[3]])))?;
        let (whole, after) = rest.split_at(4 + data.len());
        rest = after;
        Some(EdnsOption { code: u16::from_be_bytes([head[0], head[1]]), data, whole })
    })
}

/// An option of an OPT record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdnsOption<'a> {
    /// What it is.
    pub code: u16,
    /// What it says.
    pub data: &'a [u8],
    /// Code, length and data.
    pub whole: &'a [u8],
}

/// Reads the name at `at` in `message`, following compression pointers, each of which must point backwards.
///
/// Appends its uncompressed form to `out` and returns where reading goes on.
pub fn read_name(message: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, Malformed> {
    let start = out.len();
    let end = walk_name(message, at, |label| {
        out.push(label.len() as u8);
        out.extend_from_slice(label);
    });
    if end.is_err() {
        out.truncate(start);
    } else {
        out.push(0);
    }
    end
}

/// Whether the name at `at`, which has been checked, is the uncompressed `name`: each of its labels, with their lengths, as
/// `same` says.
pub fn same_name(message: &[u8], mut at: usize, mut name: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    loop {
        while let Some(high @ 0xc0..) = message.get(at) {
            at = usize::from(high & 0x3f) << 8 | usize::from(message.get(at + 1).copied().unwrap_or(0));
        }
        let n = message.get(at).map_or(0, |n| usize::from(*n)) + 1;
        if !message.get(at..at + n).zip(name.get(..n)).is_some_and(|(a, b)| same(a, b)) {
            return false;
        }
        if n == 1 {
            return true;
        }
        (at, name) = (at + n, &name[n..]);
    }
}

/// Checks the name at `at` and returns where reading goes on, and the octets of its uncompressed form.
pub fn skip_name(message: &[u8], at: usize) -> Result<(usize, usize), Malformed> {
    let mut plain = 1;
    let end = walk_name(message, at, |label| plain += label.len() + 1)?;
    Ok((end, plain))
}

/// Calls `label` with each label of the name at `at`; returns where reading goes on behind the name.
fn walk_name(message: &[u8], mut at: usize, mut label: impl FnMut(&[u8])) -> Result<usize, Malformed> {
    let mut end = None;
    let mut lowest = at; // a pointer has to point before everything read so far: no loops
    let mut plain = 1;
    loop {
        let n = *message.get(at).ok_or(Malformed)? as usize;
        match n {
            0 => return Ok(end.unwrap_or(at + 1)),
            1..=MAX_LABEL => {
                plain += n + 1;
                if plain > MAX_NAME {
                    return Err(Malformed);
                }
                label(message.get(at + 1..at + 1 + n).ok_or(Malformed)?);
                at += n + 1;
            }
            _ if n >= 0xc0 => {
                let target = usize::from(u16_at(message, at)? & 0x3fff);
                if target >= lowest {
                    return Err(Malformed);
                }
                end = end.or(Some(at + 2));
                (at, lowest) = (target, target);
            }
            _ => return Err(Malformed),
        }
    }
}

/// A record's fixed fields and where its parts stand in the message.
#[derive(Clone, Copy, Debug)]
pub struct RecordHead {
    /// Where the owner name begins.
    pub start: usize,
    /// Octets of the owner name without compression.
    pub owner_plain: usize,
    /// Record type.
    pub rtype: RecordType,
    /// Class (an OPT's UDP size).
    pub class: Class,
    /// Time to live in seconds (an OPT's extended flags).
    pub ttl: u32,
    /// Where the record data begins.
    pub rdata: usize,
    /// Where the record ends.
    pub end: usize,
}

/// Reads the record that begins at `start`.
pub fn read_record(message: &[u8], start: usize) -> Result<RecordHead, Malformed> {
    let (at, owner_plain) = skip_name(message, start)?;
    let rdata = at + 10;
    let end = rdata + usize::from(u16_at(message, at + 8)?);
    if end > message.len() {
        return Err(Malformed);
    }
    Ok(RecordHead {
        start,
        owner_plain,
        rtype: RecordType(u16_at(message, at)?),
        class: Class(u16_at(message, at + 2)?),
        ttl: u32_at(message, at + 4)?,
        rdata,
        end,
    })
}

/// A part of a record's data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// So many octets.
    Octets(usize),
    /// A character string (RFC 1035 3.3).
    Text,
    /// A name that may be compressed when it is sent (RFC 3597 4: types of RFC 1035 only).
    Name,
    /// A name that is understood when compressed, but sent without compression.
    PlainName,
}

/// The names in the data of a type, and what stands before them; what follows the last part is opaque.
pub fn layout(rtype: RecordType) -> &'static [Part] {
    use Part::{Name, Octets, PlainName, Text};
    match rtype.0 {
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 => &[Name],       // NS MD MF CNAME MB MG MR PTR
        6 => &[Name, Name, Octets(20)],                  // SOA
        14 => &[Name, Name],                             // MINFO
        15 => &[Octets(2), Name],                        // MX
        17 => &[PlainName, PlainName],                   // RP
        18 | 21 | 36 => &[Octets(2), PlainName],         // AFSDB RT KX
        24 | 46 => &[Octets(18), PlainName],             // SIG RRSIG
        26 => &[Octets(2), PlainName, PlainName],        // PX
        30 | 39 | 47 => &[PlainName],                    // NXT DNAME NSEC
        33 => &[Octets(6), PlainName],                   // SRV
        35 => &[Octets(4), Text, Text, Text, PlainName], // NAPTR
        64 | 65 => &[Octets(2), PlainName],              // SVCB HTTPS
        _ => &[],
    }
}

/// Calls `part` with each piece of a record's data in order: a name (where it begins), or octets as they stand.
pub fn walk_rdata(
    message: &[u8],
    rtype: RecordType,
    rdata: usize,
    end: usize,
    mut part: impl FnMut(Piece),
) -> Result<(), Malformed> {
    let mut at = rdata;
    for &p in layout(rtype) {
        let next = match p {
            Part::Octets(n) => at + n,
            Part::Text => at + 1 + usize::from(*message.get(at).ok_or(Malformed)?),
            Part::Name | Part::PlainName => skip_name(message, at)?.0,
        };
        if next > end {
            return Err(Malformed);
        }
        part(match p {
            Part::Name => Piece::Name { at, compress: true },
            Part::PlainName => Piece::Name { at, compress: false },
            _ => Piece::Octets(at, next),
        });
        at = next;
    }
    if at < end {
        part(Piece::Octets(at, end));
    }
    Ok(())
}

/// A piece of record data; see [`walk_rdata`].
#[derive(Clone, Copy, Debug)]
pub enum Piece {
    /// Octets from the first to before the second place in the message.
    Octets(usize, usize),
    /// A name.
    Name {
        /// Where it begins in the message.
        at: usize,
        /// Whether it may be compressed when it is sent.
        compress: bool,
    },
}

/// Octets of record data once its names are uncompressed.
pub fn plain_rdata_len(message: &[u8], rtype: RecordType, rdata: usize, end: usize) -> Result<usize, Malformed> {
    if layout(rtype).is_empty() {
        return Ok(end - rdata);
    }
    let mut plain = 0;
    let mut ok = Ok(());
    walk_rdata(message, rtype, rdata, end, |piece| match piece {
        Piece::Octets(from, to) => plain += to - from,
        Piece::Name { at, .. } => match skip_name(message, at) {
            Ok((_, n)) => plain += n,
            Err(e) => ok = Err(e),
        },
    })?;
    ok.map(|()| plain)
}

/// Appends record data with its names uncompressed to `out`.
pub fn read_rdata(
    message: &[u8],
    rtype: RecordType,
    rdata: usize,
    end: usize,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let mut ok = Ok(());
    walk_rdata(message, rtype, rdata, end, |piece| match piece {
        Piece::Octets(from, to) => out.extend_from_slice(&message[from..to]),
        Piece::Name { at, .. } => ok = ok.and(read_name(message, at, out).map(drop)),
    })?;
    ok
}

/// The uncompressed name at the start of `wire`; what follows it does not matter.
pub fn plain_name(wire: &[u8]) -> Result<NameRef<'_>, Malformed> {
    NameRef::read(wire).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_go_backwards_only() {
        let message = b"\x03com\0\x01a\xc0\x00\xc0\x07\xc0\x0b\xc0\x0d";
        let mut out = Vec::new();
        assert_eq!(read_name(message, 5, &mut out), Ok(9));
        assert_eq!(out, b"\x01a\x03com\0");
        assert_eq!(read_name(message, 9, &mut out), Ok(11), "a pointer to a pointer");
        assert_eq!(read_name(message, 11, &mut out), Err(Malformed), "a pointer to itself");
        assert_eq!(read_name(message, 13, &mut out), Err(Malformed), "a pointer to itself");
        assert_eq!(out.len(), 7 + 5, "what failed leaves nothing behind");
    }

    #[test]
    fn no_name_is_longer_than_255_octets() {
        let mut message = Vec::new();
        for _ in 0..5 {
            message.extend_from_slice(&[50; 51]);
        }
        message.push(0);
        assert_eq!(message.len(), 256);
        assert_eq!(skip_name(&message, 0), Err(Malformed));
        assert_eq!(skip_name(&message, 51), Ok((256, 205)));
    }
}

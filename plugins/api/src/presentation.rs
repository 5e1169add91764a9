//! Records in presentation form (RFC 1035 5.1, RFC 3597 5), as they stand in zone files and templates.

use crate::codes::{Class, RecordType};
use crate::name::{Name, NameRef};
use crate::reply::{Owner, Reply, Section};
use hickory_proto::rr::RData;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use std::fmt::Write;

/// TTL of a record that says none, in seconds.
const DEFAULT_TTL: u32 = 3600;

/// A record of its own, as text has it: nothing of it depends on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextRecord {
    /// The owner.
    pub owner: Name,
    /// The type.
    pub rtype: RecordType,
    /// The class.
    pub class: Class,
    /// Time to live in seconds.
    pub ttl: u32,
    /// The data in wire form, names uncompressed.
    pub data: Vec<u8>,
}

impl TextRecord {
    /// Reads the first record of `text`. Names without a dot at the end are below the root, which is also what `@` stands for.
    ///
    /// # Errors
    /// What is wrong, and where; `no record` where there is none.
    pub fn parse(text: &str) -> Result<TextRecord, String> {
        let line = first_line(text);
        let [owner, rest @ ..] = &line[..] else { return Err("no record".into()) };
        let (mut ttl, mut class, mut rest) = (DEFAULT_TTL, Class::IN, rest);
        let rtype = loop {
            let Some((word, after)) = rest.split_first() else {
                return Err(format!("unexpected end of record at line: 1:{}", text.len() + 1));
            };
            rest = after;
            let upper = word.text.to_ascii_uppercase();
            if let Some(given) = type_of(&upper) {
                break given;
            } else if let Some(given) = class_of(&upper) {
                class = given;
            } else {
                let not_one = || format!("not a TTL: \"{}\" at line: 1:{}", word.text, word.end + 1);
                ttl = seconds(word.text).ok_or_else(not_one)?;
            }
        };
        let owner = name(owner.text).map_err(|e| format!("bad owner name: \"{}\": {e}", owner.text))?;
        let data = data(rtype, rest)?;
        if data.len() > usize::from(u16::MAX) {
            return Err(format!("bad {rtype} record: {} octets of data", data.len()));
        }
        Ok(TextRecord { owner, rtype, class, ttl, data })
    }

    /// Appends the record to a reply.
    pub fn push(&self, reply: &mut Reply, section: Section) {
        let owner = Owner::Name(self.owner());
        reply.push_class(section, owner, (self.rtype, self.class), self.ttl, |d| d.octets(&self.data));
    }

    /// Octets that it takes in a message, without compression.
    pub fn plain_len(&self) -> usize {
        self.owner.as_bytes().len() + 10 + self.data.len()
    }

    /// The owner.
    pub fn owner(&self) -> NameRef<'_> {
        self.owner.as_ref()
    }
}

/// A word of a line, and where it ends in the text.
#[derive(Clone, Copy)]
struct Word<'a> {
    /// With its quotes, if it has any.
    text: &'a str,
    end: usize,
}

/// The words of the first line that has any. A line goes on inside parentheses; a semicolon begins a comment.
fn first_line(text: &str) -> Vec<Word<'_>> {
    let (mut words, mut depth) = (Vec::new(), 0);
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'\n' if depth == 0 && !words.is_empty() => break,
            b'(' => depth += 1,
            b')' => depth -= 1,
            b';' => {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
                continue;
            }
            b if b.is_ascii_whitespace() => (),
            _ => {
                let end = at + word_len(&bytes[at..]);
                words.push(Word { text: &text[at..end], end });
                at = end;
                continue;
            }
        }
        at += 1;
    }
    words
}

/// Octets of the word that `rest` begins with.
fn word_len(rest: &[u8]) -> usize {
    let (mut quoted, mut at) = (false, 0);
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 1,
            b'"' if quoted => return at + 1,
            b'"' if at == 0 => quoted = true,
            b'"' => return at,
            b if !quoted && (b.is_ascii_whitespace() || matches!(b, b'(' | b')' | b';')) => return at,
            _ => (),
        }
        at += 1;
    }
    rest.len()
}

fn name(text: &str) -> Result<Name, crate::name::NameError> {
    if text == "@" { Ok(Name::root()) } else { Name::from_text(text) }
}

/// A mnemonic, or `TYPE123` (RFC 3597 5).
fn type_of(text: &str) -> Option<RecordType> {
    text.parse().ok().or_else(|| text.strip_prefix("TYPE")?.parse().ok().map(RecordType))
}

fn class_of(text: &str) -> Option<Class> {
    text.parse().ok().or_else(|| text.strip_prefix("CLASS")?.parse().ok().map(Class))
}

/// Seconds, or numbers with units: `1h30m`.
fn seconds(text: &str) -> Option<u32> {
    let (mut total, mut number) = (0u32, 0u32);
    for b in text.bytes() {
        let unit = match b.to_ascii_lowercase() {
            b'0'..=b'9' => {
                number = number.checked_mul(10)?.checked_add(u32::from(b - b'0'))?;
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 60 * 60,
            b'd' => 24 * 60 * 60,
            b'w' => 7 * 24 * 60 * 60,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        number = 0;
    }
    total.checked_add(number).filter(|_| !text.is_empty())
}

/// The data of a record in wire form.
fn data(rtype: RecordType, words: &[Word<'_>]) -> Result<Vec<u8>, String> {
    let failed = |why: String| format!("bad {rtype} record: {why}");
    match words {
        [mark, length, hex @ ..] if mark.text == "\\#" => {
            let digits: String = hex.iter().map(|w| w.text).collect();
            let octets = octets(&digits).filter(|o| length.text.parse() == Ok(o.len()));
            octets.ok_or_else(|| failed("length and hexadecimal digits do not agree".into()))
        }
        words if rtype == RecordType::TXT => texts(words).map_err(failed),
        words if !shape(rtype).is_empty() => fields(shape(rtype), words).map_err(failed),
        words => {
            let text: Vec<&str> = words.iter().map(|w| if w.text == "@" { "." } else { w.text }).collect();
            let data = RData::try_from_str(rtype.0.into(), &text.join(" ")).map_err(|e| failed(e.to_string()))?;
            let mut out = Vec::new();
            let mut encoder = BinEncoder::new(&mut out);
            encoder.set_name_encoding(NameEncoding::Uncompressed);
            data.emit(&mut encoder).map_err(|e| failed(e.to_string()))?;
            Ok(out)
        }
    }
}

/// Character strings (RFC 1035 3.3): at least one.
fn texts(words: &[Word<'_>]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for word in words {
        let text = unescape(word.text)?;
        let length = u8::try_from(text.len()).map_err(|_| format!("a text of {} octets", text.len()))?;
        out.push(length);
        out.extend_from_slice(&text);
    }
    if out.is_empty() { Err("no text".into()) } else { Ok(out) }
}

/// A word without its quotes and escapes: `\X`, `\DDD`.
fn unescape(word: &str) -> Result<Vec<u8>, String> {
    let inner = word.strip_prefix('"').map_or(word, |rest| rest.strip_suffix('"').unwrap_or(rest));
    let bad = || format!("bad escape in {word}");
    let (mut out, mut rest) = (Vec::new(), inner.as_bytes());
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet != b'\\' {
            out.push(octet);
        } else if let Some(digits) = rest.first_chunk::<3>().filter(|d| d.iter().all(u8::is_ascii_digit)) {
            let number = digits.iter().fold(0u32, |n, d| n * 10 + u32::from(d - b'0'));
            out.push(u8::try_from(number).map_err(|_| bad())?);
            rest = &rest[3..];
        } else {
            let (&escaped, after) = rest.split_first().ok_or_else(bad)?;
            out.push(escaped);
            rest = after;
        }
    }
    Ok(out)
}

/// The fields of the data of types with names in it: `n`ames, numbers of 16 bits, `t`imes. (The library changes the case of
/// names.) Empty for other types.
fn shape(rtype: RecordType) -> &'static str {
    match rtype {
        RecordType::NS | RecordType::CNAME | RecordType::PTR => "n",
        RecordType::MX => "2n",
        RecordType::SRV => "222n",
        RecordType::SOA => "nnttttt",
        _ => "",
    }
}

fn fields(shape: &str, words: &[Word<'_>]) -> Result<Vec<u8>, String> {
    if words.len() != shape.len() {
        return Err(format!("{} fields expected, {} found", shape.len(), words.len()));
    }
    let mut out = Vec::new();
    for (field, word) in shape.bytes().zip(words) {
        let bad = |why: &str| format!("\"{}\": {why}", word.text);
        match field {
            b'n' => out.extend_from_slice(name(word.text).map_err(|e| bad(e.0))?.as_bytes()),
            b'2' => {
                let number: u16 = word.text.parse().map_err(|_| bad("not a number of 16 bits"))?;
                out.extend_from_slice(&number.to_be_bytes());
            }
            _ => {
                let number = seconds(word.text).ok_or_else(|| bad("not a number of seconds"))?;
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
    }
    Ok(out)
}

/// The octets that hexadecimal digits stand for; `None` where they do not.
pub(crate) fn octets(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let octet = |pair: &[u8]| {
        let [high, low] = *<&[u8; 2]>::try_from(pair).ok()?;
        let digit = |b: u8| char::from(b).to_digit(16);
        Some((digit(high)? << 4 | digit(low)?) as u8)
    };
    pairs.map(octet).collect()
}

/// Octets as hexadecimal digits, in lower case.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(2 * octets.len()), |mut digits, octet| {
        let _infallible = write!(digits, "{octet:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, u32, String, RecordType, Vec<u8>) {
        let r = TextRecord::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        (r.owner.to_string(), r.ttl, r.class.to_string(), r.rtype, r.data)
    }

    #[test]
    fn records() {
        let a = |n| vec![1, 2, 3, n];
        for (text, want) in [
            ("a.test. 60 IN A 1.2.3.4", ("a.test.", 60, "IN", RecordType::A, a(4))),
            ("A.test IN 1h A 1.2.3.4 ; comment", ("A.test.", 3600, "IN", RecordType::A, a(4))),
            ("@ A 1.2.3.4\nb A 1.2.3.5", (".", 3600, "IN", RecordType::A, a(4))),
            ("; first\n\na. 5 CH TXT \"x y\" z", ("a.", 5, "CH", RecordType::TXT, b"\x03x y\x01z".to_vec())),
            ("a. 5 NS (\n B.ns )", ("a.", 5, "IN", RecordType::NS, b"\x01B\x02ns\0".to_vec())),
            ("a. 5 TYPE65280 \\# 3 0102 03", ("a.", 5, "IN", RecordType(65280), vec![1, 2, 3])),
            ("a. 5 TXT \"b\\\\c\" \\100\\.", ("a.", 5, "IN", RecordType::TXT, b"\x03b\\c\x02d.".to_vec())),
            ("a. 5 MX 10 @", ("a.", 5, "IN", RecordType::MX, vec![0, 10, 0])),
            ("a. 5 SRV 1 2 3 b.", ("a.", 5, "IN", RecordType::SRV, b"\0\x01\0\x02\0\x03\x01b\0".to_vec())),
        ] {
            let want = (want.0.to_owned(), want.1, want.2.to_owned(), want.3, want.4);
            assert_eq!(parsed(text), want, "{text}");
        }
    }

    #[test]
    fn mistakes() {
        for (text, want) in [
            ("not an rr", "not a TTL: \"an\" at line: 1:7"),
            ("", "no record"),
            ("; only a comment", "no record"),
            ("a.test.", "unexpected end of record at line: 1:8"),
            ("a..b 5 A 1.2.3.4", "bad owner name: \"a..b\": empty label"),
            ("a. 5 TXT", "bad TXT record: no text"),
            ("a. 5 TYPE1 \\# 1 +1", "bad A record: length and hexadecimal digits do not agree"),
            ("a. 5 TYPE5000 \\# 3 01", "bad TYPE5000 record: length and hexadecimal digits do not agree"),
        ] {
            assert_eq!(TextRecord::parse(text).unwrap_err(), want, "{text}");
        }
        assert!(TextRecord::parse("a. 5 A 1.2.3.400").unwrap_err().starts_with("bad A record: "));
    }
}

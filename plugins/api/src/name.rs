//! Domain names in wire form: what a query carries, what zones are compared with.

use std::fmt;
use std::net::IpAddr;

/// Octets of the longest name, its root label included (RFC 1035 2.3.4).
pub const MAX_NAME: usize = 255;
/// Octets of the longest label (RFC 1035 2.3.4).
pub const MAX_LABEL: usize = 63;

/// A domain name in uncompressed wire form, borrowed; compared and hashed octet by octet, so in the case it has.
///
/// Always valid: labels of 1 to 63 octets, a root label at the end, at most 255 octets.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameRef<'a>(&'a [u8]);

impl<'a> NameRef<'a> {
    /// The root.
    pub const ROOT: NameRef<'static> = NameRef(&[0]);

    /// Reads the uncompressed name at the start of `wire`; `None` where there is none.
    pub fn read(wire: &'a [u8]) -> Option<NameRef<'a>> {
        let mut at = 0;
        loop {
            match *wire.get(at)? as usize {
                0 => return Some(NameRef(&wire[..=at])),
                n if n > MAX_LABEL || at + n + 2 > MAX_NAME => return None,
                n => at += n + 1,
            }
        }
    }

    /// The octets, the root label included.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The labels from left to right, without the root label.
    pub fn labels(self) -> Labels<'a> {
        Labels(self.0)
    }

    /// Whether this is the root.
    pub fn is_root(self) -> bool {
        self.0.len() == 1
    }

    /// The name without its first label; the root's parent is the root.
    pub fn parent(self) -> NameRef<'a> {
        let skip = match self.0[0] as usize {
            0 => 0,
            n => n + 1,
        };
        NameRef(&self.0[skip..])
    }

    /// What stands in front of `zone`, in octets, where this name is `zone` or below it. Case matters.
    pub fn below(self, zone: NameRef<'_>) -> Option<usize> {
        let prefix = self.0.len().checked_sub(zone.0.len())?;
        if zone.is_root() {
            return Some(prefix);
        }
        if !same_octets(&self.0[prefix..], zone.0) {
            return None;
        }
        self.has_label_at(prefix).then_some(prefix)
    }

    /// Whether a label begins `offset` octets into this name.
    pub fn has_label_at(self, offset: usize) -> bool {
        let mut at = 0;
        while at < offset {
            at += self.0[at] as usize + 1;
        }
        at == offset
    }

    /// Whether this name is `zone` or below it. Case matters.
    #[inline]
    pub fn is_below(self, zone: NameRef<'_>) -> bool {
        zone.is_root() || self.below(zone).is_some()
    }

    /// The address that this name, in lower case, is the reverse of (RFC 1035 3.5, RFC 3596 2.5). An IPv4 address inside of an
    /// IPv6 one is given as the former.
    pub fn reverse_address(self) -> Option<IpAddr> {
        let mut labels = self.labels();
        if let Some(prefix) = self.below(IN_ADDR_ARPA) {
            let mut octets = [0; 4];
            octets.iter_mut().rev().try_for_each(|o| labels.next().and_then(octet).map(|n| *o = n))?;
            return (labels.0.len() + prefix == self.0.len()).then(|| IpAddr::from(octets));
        }
        let prefix = self.below(IP6_ARPA)?;
        let mut address = 0;
        for shift in (0..128).step_by(4) {
            address |= u128::from(nibble(labels.next()?)?) << shift;
        }
        (labels.0.len() + prefix == self.0.len()).then(|| IpAddr::from(address.to_be_bytes()).to_canonical())
    }

    /// The name that begins `offset` octets into this one; `offset` must be the start of a label.
    pub fn suffix(self, offset: usize) -> NameRef<'a> {
        debug_assert!(NameRef::read(&self.0[offset..]).is_some());
        NameRef(&self.0[offset..])
    }

    /// An owned copy.
    pub fn to_name(self) -> Name {
        Name(self.0.into())
    }

    /// An owned copy in lower case.
    pub fn to_lower(self) -> Name {
        Name(self.0.iter().map(u8::to_ascii_lowercase).collect())
    }

    /// Whether both names are the same but for the case of ASCII letters.
    pub fn eq_ignore_case(self, other: NameRef<'_>) -> bool {
        same_letters(self.0, other.0)
    }
}

/// Whether two lists of octets are the same but for the case of ASCII letters. Most are the same with it.
pub fn same_letters(a: &[u8], b: &[u8]) -> bool {
    same_octets(a, b) || a.eq_ignore_ascii_case(b)
}

/// Whether two lists of octets are the same. Those as long as most names are compared in place: the call of `==` costs more.
pub fn same_octets(a: &[u8], b: &[u8]) -> bool {
    let ends = |a: &[u8]| -> Option<[u64; 2]> {
        Some([u64::from_ne_bytes(*a.first_chunk()?), u64::from_ne_bytes(*a.last_chunk()?)])
    };
    let long_ends = |a: &[u8]| -> Option<[u128; 2]> {
        Some([u128::from_ne_bytes(*a.first_chunk()?), u128::from_ne_bytes(*a.last_chunk()?)])
    };
    match a.len() {
        len if len != b.len() => false,
        8..=16 => ends(a) == ends(b),
        17..=32 => long_ends(a) == long_ends(b),
        _ => a == b,
    }
}

const IN_ADDR_ARPA: NameRef<'static> = NameRef(b"\x07in-addr\x04arpa\0");
const IP6_ARPA: NameRef<'static> = NameRef(b"\x03ip6\x04arpa\0");

/// A label of decimal digits without leading zeros, up to 255.
fn octet(label: &[u8]) -> Option<u8> {
    let digit = |digit: u8| digit.is_ascii_digit().then(|| u16::from(digit - b'0'));
    let number = match *label {
        [a] => digit(a)?,
        [b'0', ..] => return None,
        [a, b] => digit(a)? * 10 + digit(b)?,
        [a, b, c] => (digit(a)? * 10 + digit(b)?) * 10 + digit(c)?,
        _ => return None,
    };
    u8::try_from(number).ok()
}

/// A label of one hexadecimal digit.
fn nibble(label: &[u8]) -> Option<u8> {
    let [digit] = label else { return None };
    char::from(*digit).to_digit(16).map(|n| n as u8)
}

/// Presentation form with a dot at the end (RFC 1035 5.1): `\.` for special characters, `\DDD` for unprintable ones.
impl fmt::Display for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            let mut rest = label;
            while let Some(at) = rest.iter().position(|&b| !is_plain(b)) {
                f.write_str(text(&rest[..at]))?;
                match rest[at] {
                    b @ b' '..=b'~' => write!(f, "\\{}", b as char)?,
                    b => write!(f, "\\{b:03}")?,
                }
                rest = &rest[at + 1..];
            }
            f.write_str(text(rest))?;
            f.write_str(".")?;
        }
        Ok(())
    }
}

/// Whether an octet of a label is printed as it is.
fn is_plain(b: u8) -> bool {
    matches!(b, b'!'..=b'~') && !matches!(b, b'.' | b'\'' | b'@' | b';' | b'(' | b')' | b'"' | b'\\')
}

/// Octets that are printed as they are, all of them ASCII.
fn text(plain: &[u8]) -> &str {
    std::str::from_utf8(plain).unwrap_or_default()
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The labels of a name; see [`NameRef::labels`].
#[derive(Clone)]
pub struct Labels<'a>(&'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let n = self.0[0] as usize;
        if n == 0 {
            return None;
        }
        let label = &self.0[1..=n];
        self.0 = &self.0[n + 1..];
        Some(label)
    }
}

/// A domain name of its own; see [`NameRef`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// The root.
    pub fn root() -> Name {
        NameRef::ROOT.to_name()
    }

    /// Reads presentation form; a missing dot at the end is supplied, escapes `\X` and `\DDD` are understood.
    ///
    /// # Errors
    /// Says what is wrong: an empty label, a label over 63 or a name over 255 octets, a broken escape.
    pub fn from_text(text: &str) -> Result<Name, NameError> {
        if text == "." {
            return Ok(Name::root());
        }
        let mut wire = vec![0];
        let mut label = 0; // where the length of the current label stands
        let mut bytes = text.bytes();
        while let Some(b) = bytes.next() {
            match b {
                b'.' => label = close_label(&mut wire, label)?,
                b'\\' => wire.push(unescape(&mut bytes)?),
                _ => wire.push(b),
            }
        }
        if wire.len() - label > 1 {
            close_label(&mut wire, label)?;
        }
        if wire.len() == 1 {
            return Err(NameError("empty name"));
        }
        if wire.len() > MAX_NAME { Err(NameError("name longer than 255 octets")) } else { Ok(Name(wire.into())) }
    }

    /// The name as a reference.
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef(&self.0)
    }

    /// The octets, the root label included.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name in lower case.
    pub fn to_lower(&self) -> Name {
        self.as_ref().to_lower()
    }

    /// The labels of `prefix` (wire form without a root label) in front of `suffix`; `None` where that is too long.
    pub fn join(prefix: &[u8], suffix: NameRef<'_>) -> Option<Name> {
        let wire = [prefix, suffix.0].concat();
        (NameRef::read(&wire)?.0.len() == wire.len()).then(|| Name(wire.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

/// Why a text is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError(pub &'static str);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NameError {}

/// Ends the label that began at `label` and begins the next one, whose place is returned.
fn close_label(wire: &mut Vec<u8>, label: usize) -> Result<usize, NameError> {
    match wire.len() - label - 1 {
        0 => Err(NameError("empty label")),
        n if n > MAX_LABEL => Err(NameError("label longer than 63 octets")),
        n => {
            wire[label] = n as u8;
            wire.push(0);
            Ok(wire.len() - 1)
        }
    }
}

/// The octet that `\X` or `\DDD` stands for; the backslash has been read.
fn unescape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    const BROKEN: NameError = NameError("broken escape");
    let first = bytes.next().ok_or(BROKEN)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(BROKEN)?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| BROKEN)
}

/// A name in a fixed buffer: no allocation, cheap to overwrite.
#[derive(Clone)]
pub struct NameBuf {
    /// Room for the name, in whole chunks.
    octets: [u8; MAX_NAME.next_multiple_of(CHUNK)],
    len: u8,
}

/// Octets that are made lower-case at once.
const CHUNK: usize = 16;

impl NameBuf {
    /// The name.
    pub fn get(&self) -> NameRef<'_> {
        NameRef(&self.octets[..self.len as usize])
    }

    /// Overwrites the name.
    pub fn set(&mut self, name: NameRef<'_>) {
        self.octets[..name.0.len()].copy_from_slice(name.0);
        self.len = name.0.len() as u8;
    }

    /// Overwrites the name with `labels`, in wire form without a root label, in front of `suffix`; `None` where that makes no valid
    /// name.
    pub fn join(&mut self, labels: &[&[u8]], suffix: NameRef<'_>) -> Option<NameRef<'_>> {
        self.len = 1;
        self.octets[0] = 0;
        let mut len = 0;
        for part in labels.iter().copied().chain([suffix.0]) {
            self.octets.get_mut(len..len + part.len())?.copy_from_slice(part);
            len += part.len();
        }
        let name = NameRef::read(&self.octets[..len]).filter(|name| name.0.len() == len);
        if name.is_none() {
            self.octets[0] = 0;
            return None;
        }
        self.len = len as u8;
        Some(self.get())
    }

    /// Overwrites the name with `name` in lower case.
    pub fn set_lower(&mut self, name: NameRef<'_>) {
        self.set(name);
        // What stands behind the name in its last chunk counts for nothing; octets one by one cost more.
        let (chunks, _) = self.octets.as_chunks_mut::<CHUNK>();
        chunks.iter_mut().take(name.0.len().div_ceil(CHUNK)).for_each(|chunk| chunk.make_ascii_lowercase());
    }
}

impl Default for NameBuf {
    fn default() -> Self {
        NameBuf { octets: [0; _], len: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_the_same_or_not_whatever_their_number() {
        for len in 0..70 {
            let a: Vec<u8> = (0..len).collect();
            assert!(same_octets(&a, &a.clone()));
            assert!(!same_octets(&a, &[&a[..], b"x"].concat()));
            for at in 0..a.len() {
                let mut b = a.clone();
                b[at] ^= 0x80;
                assert!(!same_octets(&a, &b), "{len} {at}");
            }
        }
    }

    #[test]
    fn names_of_any_length_are_made_lower_case() {
        let mut buffer = NameBuf::default();
        for len in (3..=MAX_NAME).rev() {
            let first = if len % 2 == 0 { &b"\x02XX"[..] } else { b"\x01X" };
            let wire = [first, &b"\x01X".repeat((len - 1 - first.len()) / 2), b"\0"].concat();
            let name = NameRef::read(&wire).expect("a name");
            buffer.set_lower(name);
            assert_eq!((buffer.get(), wire.len()), (name.to_lower().as_ref(), len));
        }
    }

    #[test]
    fn names_are_put_together() {
        let mut space = NameBuf::default();
        let zone = Name::from_text("example.org").unwrap();
        let joined = space.join(&[b"\x01a", b"\x01b"], zone.as_ref()).map(|name| name.to_string());
        assert_eq!(joined.as_deref(), Some("a.b.example.org."));
        assert_eq!(space.join(&[], zone.as_ref()), Some(zone.as_ref()));
        let label = [[63].as_slice(), &[b'x'; 63]].concat();
        for bad in [&[&label[..], &label, &label, &label][..], &[b"\x05a"], &[b"\x01a\0"]] {
            assert!(space.join(bad, zone.as_ref()).is_none() && space.get().is_root());
        }
    }

    #[test]
    fn text_and_wire() {
        for (text, wire) in [
            (".", &b"\0"[..]),
            ("a.Example", b"\x01a\x07Example\0"),
            ("a\\.b.c.", b"\x03a.b\x01c\0"),
            ("\\065\\000.", b"\x02A\0\0"),
        ] {
            let name = Name::from_text(text).unwrap();
            assert_eq!(name.as_bytes(), wire, "{text}");
            assert_eq!(Name::from_text(&name.to_string()).unwrap(), name, "{text}");
        }
    }

    #[test]
    fn what_is_no_name() {
        let long = format!("{}.", "a".repeat(64));
        let longest = "abcdefghi.".repeat(26);
        for text in ["", "..", "a..b", ".a", "a\\", "a\\25", "a\\999", &long, &longest] {
            assert!(Name::from_text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reading_stops_at_what_is_malformed() {
        assert!(NameRef::read(b"").is_none());
        assert!(NameRef::read(b"\x03ab").is_none());
        assert!(NameRef::read(b"\xc0\x0c").is_none());
        assert_eq!(NameRef::read(b"\x01a\0rest").unwrap().as_bytes(), b"\x01a\0");
        let longest = [[&[49u8][..], &[b'a'; 49]].concat().repeat(5), vec![3, b'a', b'b', b'c', 0]].concat();
        assert_eq!(longest.len(), MAX_NAME);
        assert!(NameRef::read(&longest).is_some());
        let longer = [[&[49u8][..], &[b'a'; 49]].concat().repeat(5), vec![4, b'a', b'b', b'c', b'd', 0]].concat();
        assert!(NameRef::read(&longer).is_none());
    }

    #[test]
    fn zones_are_matched_at_label_borders() {
        let name = Name::from_text("www.example.org").unwrap();
        let below = |zone: &str| name.as_ref().below(Name::from_text(zone).unwrap().as_ref());
        assert_eq!(below("example.org"), Some(4));
        assert_eq!(below("."), Some(16));
        assert_eq!(below("www.example.org"), Some(0));
        assert_eq!(below("ample.org"), None);
        assert_eq!(below("a.www.example.org"), None);
    }

    #[test]
    fn reverse_names() {
        let v6 = |tail: &str| format!("{}{tail}", "0.".repeat(20));
        for (name, address) in [
            ("1.0.0.10.in-addr.arpa", Some("10.0.0.1")),
            ("0.0.0.255.in-addr.arpa", Some("255.0.0.0")),
            ("1.0.0.0.10.in-addr.arpa", None),
            ("0.0.10.in-addr.arpa", None),
            ("01.0.0.10.in-addr.arpa", None),
            ("256.0.0.10.in-addr.arpa", None),
            ("+1.0.0.10.in-addr.arpa", None),
            ("in-addr.arpa", None),
            (&v6("0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"), Some("2001:db8::")),
            (&format!("1.0.0.0.0.0.a.0.f.f.f.f.{}ip6.arpa", "0.".repeat(20)), Some("10.0.0.1")),
            (&v6("0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"), None),
            (&v6("0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"), None),
            (&v6("0.0.0.0.8.b.d.0.1.0.0.g.ip6.arpa"), None),
            ("example.org", None),
        ] {
            let expected: Option<IpAddr> = address.map(|a| a.parse().unwrap());
            assert_eq!(Name::from_text(name).unwrap().as_ref().reverse_address(), expected, "{name}");
        }
    }
}

//! Record data by its shape, one letter per field; text to data is in `parse.rs`.
//!
//! | letter | field | shown as |
//! |---|---|---|
//! | `n`, `N` | name; `n` may be compressed | itself |
//! | `b` `s` `l` | number of 8, 16, 32 bits | decimal |
//! | `4` `6` `8` | address, 64-bit locator | itself |
//! | `q`, `Q`, `g` | string of up to 255 octets; all to the end; one shown bare | `"text"` |
//! | `u` | the rest | `"text"` |
//! | `t`, `T` | record type; time | word; `YYYYMMDDHHMMSS` |
//! | `B` `C` `H` `-` | the rest | base64 in chunks of 32, in one; hex in chunks of 128; `xx-xx` |
//! | `x`, `z` | length and octets | hex or `-`; base32hex |
//! | `W` | windows of a type bitmap | words |
//! | `k`, `a` | type of a certificate, algorithm | word |
//! | `V` `L` `P` `I` | service parameters; the whole of LOC, APL, HIP | see the functions |

mod parse;

pub(super) use parse::from_text;

use super::codes::{algorithm_text, certificate_text, shape, type_text};
use super::message::{Malformed, Writer};
use super::name::Name;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The data between `start` and `end` of a message, without compression.
///
/// # Errors
/// Data that does not have its type's shape.
pub(super) fn read(wire: &[u8], start: usize, end: usize, class: u16, rtype: u16) -> Result<Vec<u8>, Malformed> {
    let Some(shape) = shape(class, rtype) else { return Ok(wire[start..end].to_vec()) };
    let (mut at, mut out) = (start, Vec::new());
    for field in shape.chars() {
        if matches!(field, 'n' | 'N') {
            let (name, next) = Name::read(&wire[..end], at)?;
            out.extend_from_slice(name.as_bytes());
            at = next;
        } else {
            let n = width(field, &wire[at..end]).ok_or(Malformed::FormError)?;
            out.extend_from_slice(wire[at..end].get(..n).ok_or(Malformed::FormError)?);
            at += n;
        }
    }
    if at == end { Ok(out) } else { Err(Malformed::FormError) }
}

/// Writes data, with the names of the old types compressed.
pub(super) fn write(w: &mut Writer, class: u16, rtype: u16, data: &[u8]) {
    let mut rest = data;
    for field in shape(class, rtype).unwrap_or_default().chars() {
        let Some(n) = width(field, rest) else { break };
        let (head, tail) = rest.split_at(n);
        match (field, Name::read(head, 0)) {
            ('n', Ok((name, _))) => w.name(&name),
            _ => w.out.extend_from_slice(head),
        }
        rest = tail;
    }
    w.out.extend_from_slice(rest);
}

/// Data in presentation form; unknown types, and data that is not what its type says, as RFC 3597 5.
pub(super) fn text(class: u16, rtype: u16, data: &[u8]) -> String {
    let known = shape(class, rtype).and_then(|shape| {
        let mut rest = data;
        let mut words = Vec::new();
        for field in shape.chars() {
            let (head, tail) = rest.split_at_checked(width(field, rest)?)?;
            words.push(show(field, head)?);
            rest = tail;
        }
        words.retain(|w| !w.is_empty());
        rest.is_empty().then(|| words.join(" "))
    });
    known.unwrap_or_else(|| format!("\\# {} {}", data.len(), chunks(&hex(data), 128)))
}

/// How many octets the field at the head of `data` has.
fn width(field: char, data: &[u8]) -> Option<usize> {
    Some(match field {
        'b' | 'a' => 1,
        's' | 't' | 'k' => 2,
        'l' | '4' | 'T' => 4,
        '8' => 8,
        '6' => 16,
        'q' | 'g' | 'x' | 'z' => usize::from(*data.first()?) + 1,
        'n' | 'N' => Name::read(data, 0).ok()?.1,
        _ => data.len(),
    })
}

fn show(field: char, data: &[u8]) -> Option<String> {
    Some(match field {
        'n' | 'N' => Name::read(data, 0).ok()?.0.to_string(),
        'b' | 's' | 'l' => number(data).to_string(),
        '4' => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).to_string(),
        '6' => ipv6(data)?,
        '8' => data.chunks(2).map(hex).collect::<Vec<_>>().join(":"),
        'q' => quoted(data.get(1..)?),
        'g' => escaped(data.get(1..)?),
        'u' => quoted(data),
        'Q' => strings(data)?.into_iter().map(quoted).collect::<Vec<_>>().join(" "),
        't' => type_text(number(data) as u16).into_owned(),
        'T' => time(number(data)),
        'B' => chunks(&BASE64_STANDARD.encode(data), 32),
        'C' => BASE64_STANDARD.encode(data),
        'H' => chunks(&hex(data), 128),
        '-' => data.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join("-"),
        'x' if data.len() == 1 => "-".into(),
        'x' => hex(&data[1..]),
        'z' => base32hex(&data[1..]),
        'W' => bitmap(data)?,
        'k' => certificate_text(number(data) as u16),
        'a' => algorithm_text(number(data) as u8),
        'V' => service_parameters(data)?,
        'L' => location(data)?,
        'P' => prefixes(data)?,
        'I' => host_identity(data)?,
        _ => return None,
    })
}

fn number(data: &[u8]) -> u32 {
    data.iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

/// Octets as hexadecimal digits, in lower case.
pub fn hex(data: &[u8]) -> String {
    data.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

fn chunks(text: &str, size: usize) -> String {
    let pieces: Vec<&str> = text.as_bytes().chunks(size).filter_map(|c| std::str::from_utf8(c).ok()).collect();
    pieces.join(" ")
}

fn escaped(data: &[u8]) -> String {
    data.iter().fold(String::new(), |mut out, &c| {
        let _ = match c {
            b'"' | b'\\' => write!(out, "\\{}", char::from(c)),
            0x20..=0x7e => write!(out, "{}", char::from(c)),
            _ => write!(out, "\\{c:03}"),
        };
        out
    })
}

fn quoted(data: &[u8]) -> String {
    format!("\"{}\"", escaped(data))
}

/// Strings with a length before each, to the end.
fn strings(mut data: &[u8]) -> Option<Vec<&[u8]>> {
    let mut out = Vec::new();
    while let [n, rest @ ..] = data {
        let (head, tail) = rest.split_at_checked(usize::from(*n))?;
        out.push(head);
        data = tail;
    }
    Some(out)
}

/// As RFC 5952 has it, and addresses with 96 zero bits in dotted form, as dnspython shows them.
fn ipv6(data: &[u8]) -> Option<String> {
    let a = Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?);
    let dotted = data[..12] == [0; 12] && data[12..14] != [0, 0];
    Some(if dotted { format!("::{}", Ipv4Addr::from(number(&data[12..]))) } else { a.to_string() })
}

/// A time of a signature (RFC 4034 3.2), from seconds of the epoch: days to a date by Howard Hinnant's method.
fn time(seconds: u32) -> String {
    let (days, s) = (i64::from(seconds / 86_400) + 719_468, seconds % 86_400);
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", s / 3600, s / 60 % 60, s % 60)
}

fn base32hex(data: &[u8]) -> String {
    let mut out = String::new();
    for group in data.chunks(5) {
        let bits = group.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)) << (8 * (5 - group.len()));
        for i in 0..(group.len() * 8).div_ceil(5) {
            let digit = (bits >> (35 - 5 * i)) & 31;
            out.push(char::from(b"0123456789abcdefghijklmnopqrstuv"[digit as usize]));
        }
    }
    out
}

fn bitmap(mut data: &[u8]) -> Option<String> {
    let mut words = Vec::new();
    while let [window, n, rest @ ..] = data {
        let (bits, tail) = rest.split_at_checked(usize::from(*n))?;
        let set = (0..bits.len() * 8).filter(|i| bits[i / 8] & (0x80 >> (i % 8)) != 0);
        words.extend(set.map(|i| type_text(u16::from(*window) << 8 | i as u16)));
        data = tail;
    }
    data.is_empty().then(|| words.join(" "))
}

/// `key="value" …` (RFC 9460 2.1).
fn service_parameters(mut data: &[u8]) -> Option<String> {
    let mut words = Vec::new();
    while let [k0, k1, n0, n1, rest @ ..] = data {
        let (value, tail) = rest.split_at_checked(usize::from(u16::from_be_bytes([*n0, *n1])))?;
        let key = u16::from_be_bytes([*k0, *k1]);
        let shown = match key {
            0 => Some(value.chunks(2).map(|k| parameter_text(number(k) as u16)).collect::<Vec<_>>().join(",")),
            1 => Some(strings(value)?.into_iter().map(escaped).collect::<Vec<_>>().join(",")),
            2 => None,
            3 => Some(number(value).to_string()),
            4 => Some(value.chunks(4).filter_map(|a| show('4', a)).collect::<Vec<_>>().join(",")),
            5 => Some(BASE64_STANDARD.encode(value)),
            6 => Some(value.chunks(16).filter_map(ipv6).collect::<Vec<_>>().join(",")),
            _ => (!value.is_empty()).then(|| escaped(value)),
        };
        let key = parameter_text(key);
        words.push(shown.map_or_else(|| key.clone(), |v| format!("{key}=\"{v}\"")));
        data = tail;
    }
    Some(words.join(" "))
}

fn parameter_text(key: u16) -> String {
    PARAMETERS.get(usize::from(key)).map_or_else(|| format!("key{key}"), |k| (*k).to_owned())
}

const PARAMETERS: [&str; 7] = ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"];

/// LOC (RFC 1876); sizes are left out where all have their defaults.
fn location(data: &[u8]) -> Option<String> {
    let [_, sizes @ .., _, _, _, _, _, _, _, _, _, _, _, _] = data else { return None };
    let angle = |at: usize, sides: [char; 2]| {
        let offset = i64::from(number(&data[at..at + 4])) - (1 << 31);
        let n = offset.unsigned_abs();
        let (degrees, minutes, ms) = (n / 3_600_000, n / 60_000 % 60, n % 60_000);
        format!("{degrees} {minutes} {}.{:03} {}", ms / 1000, ms % 1000, sides[usize::from(offset < 0)])
    };
    let size = |b: u8| f64::from(b >> 4) * 10f64.powi(i32::from(b & 15)) / 100.0;
    let altitude = (f64::from(number(&data[12..])) - 10_000_000.0) / 100.0;
    let mut out = format!("{} {} {altitude:.2}m", angle(4, ['N', 'S']), angle(8, ['E', 'W']));
    if sizes != [0x12, 0x16, 0x13] {
        out.extend(sizes.iter().map(|s| format!(" {:.2}m", size(*s))));
    }
    Some(out)
}

/// APL (RFC 3123).
fn prefixes(mut data: &[u8]) -> Option<String> {
    let mut words = Vec::new();
    while let [f0, f1, prefix, n, rest @ ..] = data {
        let (address, tail) = rest.split_at_checked(usize::from(n & 0x7f))?;
        let family = u16::from_be_bytes([*f0, *f1]);
        let mut full = address.to_vec();
        full.resize(if family == 1 { 4 } else { 16 }, 0);
        let address = if family == 1 { show('4', &full)? } else { ipv6(&full)? };
        words.push(format!("{}{family}:{address}/{prefix}", if n & 0x80 != 0 { "!" } else { "" }));
        data = tail;
    }
    data.is_empty().then(|| words.join(" "))
}

/// HIP (RFC 8005): algorithm, identity tag, key, rendezvous servers.
fn host_identity(data: &[u8]) -> Option<String> {
    let [hit, algorithm, k0, k1, rest @ ..] = data else { return None };
    let (tag, rest) = rest.split_at_checked(usize::from(*hit))?;
    let (key, mut rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*k0, *k1])))?;
    let mut words = vec![algorithm.to_string(), hex(tag), BASE64_STANDARD.encode(key)];
    while !rest.is_empty() {
        let (name, end) = Name::read(rest, 0).ok()?;
        words.push(name.to_string());
        rest = &rest[end..];
    }
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::{from_text, text};
    use crate::dns::type_from_text;

    #[test]
    fn presentation_form_and_back() {
        for (rtype, line) in [
            ("A", "192.0.2.1"),
            ("AAAA", "2001:db8::1"),
            ("SOA", "ns.a. admin.a. 1 7200 900 86400 60"),
            ("TXT", r#""a b" "q\"\\" "\000\255" """#),
            ("SRV", "0 100 80 web.a."),
            ("MX", "10 mx.a."),
            ("RRSIG", "A 8 3 300 20400101000000 20200229235959 1 example.org. AAAA"),
            ("TYPE65400", r"\# 3 010203"),
            ("CAA", r#"0 issue "ca.test""#),
            ("DS", "12345 8 2 0123456789abcdef"),
            ("HTTPS", r#"1 . alpn="h2,h3" port="443""#),
        ] {
            let code = type_from_text(rtype).expect(rtype);
            let data = from_text(1, code, line).expect(line);
            assert_eq!(text(1, code, &data), line);
        }
    }

    #[test]
    fn a_wrong_shape_is_shown_as_octets() {
        assert_eq!(text(1, 1, &[1, 2, 3]), r"\# 3 010203");
        assert_eq!(text(1, 16, &[9, 1]), r"\# 2 0901");
        assert!(from_text(1, 1, "192.0.2").is_err());
        assert!(from_text(1, 1, "192.0.2.1 more").is_err());
    }
}

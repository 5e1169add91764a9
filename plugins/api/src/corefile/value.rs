//! Arguments of directives that are zones, networks or addresses. Numbers and durations are in [`crate::gotext`].

use super::Transport;
use crate::gotext::{parse_int, quote};
use crate::name::Name;
use std::fmt;
use std::net::IpAddr;

/// The zones that a plugin's argument stands for: one, or the reverse zones of a network; in lower case, with a dot at the
/// end. A transport and a port are cut off. What is no zone stands for none, as CoreDNS has it: only `forward`, `grpc` and
/// `kubernetes` refuse it.
pub fn zones(argument: &str) -> Vec<String> {
    zones_and_port(Transport::split(argument).1).map(|(zones, _)| zones).unwrap_or_default()
}

/// The zones that all `arguments` stand for, as names in lower case; see [`zones`].
pub fn names(arguments: &[&str]) -> Vec<Name> {
    let zones = arguments.iter().flat_map(|argument| zones(argument));
    zones.filter_map(|zone| Name::from_text(&zone).ok()).map(|name| name.to_lower()).collect()
}

/// Why a text is no `ZONE[:PORT]`; shown in CoreDNS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneError {
    /// There is nothing, or nothing behind the last colon.
    NothingBehindColon(String),
    /// So many octets are more than a name has.
    TooLong(usize),
    /// Labels that are empty or too long, or a broken escape.
    NoName(String),
    /// A network whose text begins with zeros.
    LeadingZero(String),
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZoneError::NothingBehindColon(text) => write!(f, "expecting data after last colon: {}", quote(text)),
            ZoneError::TooLong(octets) => write!(f, "specified zone is too long: {octets} > {MAX_ZONE}"),
            ZoneError::NoName(text) => write!(f, "zone is not a valid domain name: {text}"),
            ZoneError::LeadingZero(text) => write!(f, "invalid CIDR {text}"),
        }
    }
}

/// Octets of a zone in presentation form.
const MAX_ZONE: usize = 255;

/// Reads `ZONE[:PORT]`: the zones (never none), and the port where the text behind the last colon is a decimal integer of any
/// size; otherwise the colon belongs to the zone.
///
/// # Errors
/// It is neither the name of a zone nor a network.
pub fn zones_and_port(text: &str) -> Result<(Vec<String>, Option<i64>), ZoneError> {
    if text.is_empty() || text.ends_with(':') {
        return Err(ZoneError::NothingBehindColon(text.to_owned()));
    }
    let port = text.rsplit_once(':').and_then(|(zone, port)| Some((zone, parse_int(port).ok()?)));
    let (text, port) = port.map_or((text, None), |(zone, port)| (zone, Some(port)));
    if text.len() > MAX_ZONE {
        return Err(ZoneError::TooLong(text.len()));
    }
    if !is_name(text) {
        return Err(ZoneError::NoName(text.to_owned()));
    }
    let Some((address, length)) = parse_cidr(text) else {
        let zone = with_dot(text);
        let long = zone.len() > MAX_ZONE;
        return if long { Err(ZoneError::TooLong(zone.len())) } else { Ok((vec![lower(&zone)], port)) };
    };
    if text.starts_with(':') || (text.starts_with('0') && text.contains(':')) {
        return Err(ZoneError::LeadingZero(text.to_owned()));
    }
    Ok((reverse_zones(address, length), port))
}

/// In lower case, each character for itself.
fn lower(text: &str) -> String {
    text.chars().filter_map(|c| c.to_lowercase().next()).collect()
}

/// Reads a network as Go does: an address, a slash, and a decimal length that may have leading zeros. Octets of IPv4 addresses
/// have none. The address is returned as it stands, host bits included.
pub fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let length = length.parse().ok().filter(|&length| digits && length <= bits(address))?;
    Some((address, length))
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The reverse zones of a network: one if its length is that of whole labels, else those of all networks of the next such length.
pub fn reverse_zones(address: IpAddr, length: u8) -> Vec<String> {
    let (value, width, per_label) = match address {
        IpAddr::V4(a) => (u128::from(u32::from(a)), 32u32, 8),
        IpAddr::V6(a) => (u128::from(a), 128, 4),
    };
    let length = u32::from(length).min(width);
    let wanted = length.next_multiple_of(per_label);
    let first = value.checked_shr(width - length).unwrap_or(0) << (wanted - length);
    (0..1u128 << (wanted - length)).map(|i| reverse_zone(first + i, wanted / per_label, address.is_ipv4())).collect()
}

/// The reverse zone of a network that is `labels` labels long and has the value `prefix`.
fn reverse_zone(prefix: u128, labels: u32, ipv4: bool) -> String {
    let mut zone = String::new();
    for label in 0..labels {
        match ipv4 {
            true => zone.push_str(&format!("{}.", (prefix >> (8 * label)) & 0xff)),
            false => zone.push_str(&format!("{:x}.", (prefix >> (4 * label)) & 0xf)),
        }
    }
    zone.push_str(if ipv4 { "in-addr.arpa." } else { "ip6.arpa." });
    zone
}

/// Whether a text is a domain name as Go's DNS library understands it: labels of up to 63 octets, none empty, of any
/// characters; `\DDD` and `\X` are one octet.
fn is_name(text: &str) -> bool {
    if text == "." {
        return true;
    }
    let text = with_dot(text);
    let mut octets = text.as_bytes().iter();
    let mut label = 0;
    while let Some(octet) = octets.next() {
        match octet {
            b'.' if !(1..=63).contains(&label) => return false,
            b'.' => {
                label = 0;
                continue;
            }
            b'\\' => {
                let escaped = octets.as_slice();
                let digits = escaped.len() >= 3 && escaped[..3].iter().all(u8::is_ascii_digit);
                if octets.nth(if digits { 2 } else { 0 }).is_none() {
                    return false;
                }
            }
            _ => (),
        }
        label += 1;
    }
    label == 0
}

/// The text with a dot at the end, unless there is one that is not escaped.
fn with_dot(text: &str) -> String {
    let absolute = text.strip_suffix('.').is_some_and(|t| (t.len() - t.trim_end_matches('\\').len()).is_multiple_of(2));
    format!("{text}{}", if absolute { "" } else { "." })
}

/// The number of a port as Go's resolver understands it: decimal, or the name of a service; empty is 0.
///
/// # Errors
/// In Go's words: `address 99999: invalid port`, `lookup tcp/x: unknown port`.
pub fn port(text: &str) -> Result<u16, String> {
    super::address::port(text)
}

/// Splits `HOST:PORT` as Go does (`net.SplitHostPort`): an IPv6 host stands in brackets, both may be empty.
///
/// # Errors
/// In Go's words: `address x: missing port in address`, `too many colons in address`, and those about brackets.
pub fn split_host_port(text: &str) -> Result<(&str, &str), String> {
    let fault = |why: &str| Err(if text.is_empty() { why.to_owned() } else { format!("address {text}: {why}") });
    let Some(colon) = text.rfind(':') else { return fault("missing port in address") };
    let (host, opened, closed) = match text.strip_prefix('[') {
        None if text[..colon].contains(':') => return fault("too many colons in address"),
        None => (&text[..colon], text, text),
        Some(inside) => {
            let Some((host, behind)) = inside.split_once(']') else { return fault("missing ']' in address") };
            match behind.find(':') {
                Some(0) if behind.rfind(':') == Some(0) => (host, inside, behind),
                Some(0) => return fault("too many colons in address"),
                _ => return fault("missing port in address"),
            }
        }
    };
    if opened.contains('[') {
        return fault("unexpected '[' in address");
    }
    if closed.contains(']') {
        return fault("unexpected ']' in address");
    }
    Ok((host, &text[colon + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_ports() {
        let long = format!("{}.{}.{}.{}", "x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(63));
        for (text, want) in [
            (".", Ok((vec!["."], None))),
            ("Example.ORG", Ok((vec!["example.org."], None))),
            ("a.org.:53", Ok((vec!["a.org."], Some(53)))),
            ("a.org:+053", Ok((vec!["a.org."], Some(53)))),
            ("a.org:-1", Ok((vec!["a.org."], Some(-1)))),
            ("a.org:x", Ok((vec!["a.org:x."], None))),
            ("a.org:53:53", Ok((vec!["a.org:53."], Some(53)))),
            ("a\\.", Ok((vec!["a\\.."], None))),
            ("\\046", Ok((vec!["\\046."], None))),
            ("10.0.0.0/23:53", Ok((vec!["0.0.10.in-addr.arpa.", "1.0.10.in-addr.arpa."], Some(53)))),
            ("10.0.0.0/08", Ok((vec!["10.in-addr.arpa."], None))),
            ("1.2.3.4/0", Ok((vec!["in-addr.arpa."], None))),
            ("10.0.0.0/33", Ok((vec!["10.0.0.0/33."], None))),
            ("010.0.0.0/8", Ok((vec!["010.0.0.0/8."], None))),
            ("2001:DB8::/32", Ok((vec!["8.b.d.0.1.0.0.2.ip6.arpa."], None))),
            ("1::/0", Ok((vec!["ip6.arpa."], None))),
            ("", Err("expecting data after last colon: \"\"".to_owned())),
            ("a.org:", Err("expecting data after last colon: \"a.org:\"".to_owned())),
            (":53", Err("zone is not a valid domain name: ".to_owned())),
            ("a..org", Err("zone is not a valid domain name: a..org".to_owned())),
            (".a", Err("zone is not a valid domain name: .a".to_owned())),
            ("\\", Err("zone is not a valid domain name: \\".to_owned())),
            ("::/0", Err("invalid CIDR ::/0".to_owned())),
            (&long, Err("specified zone is too long: 256 > 255".to_owned())),
        ] {
            let want = want.map(|(z, port)| (z.into_iter().map(str::to_owned).collect(), port));
            assert_eq!(zones_and_port(text).map_err(|e| e.to_string()), want, "{text}");
        }
        for (text, count) in
            [("10.0.0.0/27", 32), ("10.0.0.0/1", 128), ("2001:db8::/33", 8), ("fe80::/10", 4), ("10.0.0.1/32", 1)]
        {
            assert_eq!(zones(text).len(), count, "{text}");
        }
        assert_eq!(zones("dns://A.org:53"), ["a.org."]);
        assert!(zones("a..org").is_empty());
    }

    #[test]
    fn hosts_and_ports() {
        for (text, want) in [
            (":8080", Ok(("", "8080"))),
            ("127.0.0.1:80", Ok(("127.0.0.1", "80"))),
            ("[::1]:x", Ok(("::1", "x"))),
            ("a:", Ok(("a", ""))),
            ("a", Err("missing port in address")),
            ("[::1]", Err("missing port in address")),
            ("::1:80", Err("too many colons in address")),
            ("[::1]:8:0", Err("too many colons in address")),
            ("[::1:80", Err("missing ']' in address")),
            ("a[:80", Err("unexpected '[' in address")),
            ("a:80]", Err("unexpected ']' in address")),
        ] {
            assert_eq!(split_host_port(text), want.map_err(|why| format!("address {text}: {why}")), "{text}");
        }
    }
}

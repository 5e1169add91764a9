//! The keys of a server block: `[SCHEME://]ZONE[:PORT]`, and what they mean.

use super::value;
use super::{ConfigError, Place, Token};
use std::fmt;
use std::sync::Arc;

/// One zone of a server block, on one transport and port.
#[derive(Clone, Debug)]
pub struct Key {
    /// How it is served.
    pub transport: Transport,
    /// The zone, in lower case, with a dot at the end.
    pub zone: String,
    /// The port; 0 lets the system choose. Also 0 where the port cannot be used, which `check_overlaps` reports.
    pub port: u16,
    /// The address in the Corefile.
    pub token: Token,
    /// CoreDNS's words for a port that cannot be used.
    pub(super) bad_port: Option<Arc<str>>,
}

/// How queries for a zone arrive. In the order of [`Transport::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Plain DNS: UDP and TCP.
    Dns,
    /// gRPC.
    Grpc,
    /// DNS over HTTPS (HTTP/1.1 and HTTP/2).
    Https,
    /// DNS over HTTP/3.
    Https3,
    /// DNS over QUIC.
    Quic,
    /// DNS over TLS.
    Tls,
    /// A word that CoreDNS knows and opens no socket for.
    Unix,
}

impl Transport {
    const ALL: [Transport; 7] = {
        use Transport::*;
        [Dns, Grpc, Https, Https3, Quic, Tls, Unix]
    };

    /// The scheme of addresses: `dns`, `tls`, …
    pub fn name(self) -> &'static str {
        match self {
            Transport::Dns => "dns",
            Transport::Grpc => "grpc",
            Transport::Https => "https",
            Transport::Https3 => "https3",
            Transport::Quic => "quic",
            Transport::Tls => "tls",
            Transport::Unix => "unix",
        }
    }

    /// Cuts the scheme off; without a known one the transport is plain DNS.
    pub fn split(address: &str) -> (Transport, &str) {
        let known = |t: Transport| Some((t, address.strip_prefix(t.name())?.strip_prefix("://")?));
        Transport::ALL.into_iter().find_map(known).unwrap_or((Transport::Dns, address))
    }

    /// The port of addresses that name none (server.md 1.5); `dns` is that of plain DNS.
    fn default_port(self, dns: &str) -> Result<u16, String> {
        match self {
            Transport::Dns => port(dns),
            Transport::Tls | Transport::Quic => Ok(853),
            Transport::Grpc | Transport::Https | Transport::Https3 => Ok(443),
            Transport::Unix => Ok(0),
        }
    }
}

impl Key {
    /// Where the address stands.
    pub fn place(&self) -> Place {
        self.token.place()
    }
}

impl fmt::Display for Key {
    /// `dns://a.org.:53`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.transport.name(), self.zone, self.port)
    }
}

/// The keys that the addresses of a block stand for. Networks take several; all take from `room`.
pub(super) fn keys(
    addresses: &[Token],
    dns_port: &str,
    room: &mut usize,
    mistakes: &mut Vec<ConfigError>,
    warnings: &mut Vec<ConfigError>,
) -> Vec<Key> {
    let (mut keys, mut expanded) = (Vec::new(), Vec::new());
    for token in addresses {
        let (transport, address) = Transport::split(&token.text);
        let (zones, port) = match value::zones_and_port(address) {
            Ok(found) => found,
            Err(e) => {
                let mistake = ConfigError::bare(Some(token), format!("error inspecting server blocks: {e}"));
                mistakes.push(mistake.coded("address"));
                continue;
            }
        };
        if zones.len() > *room {
            mistakes.push(ConfigError::bare(Some(token), "too many zones in all server blocks").coded("limit"));
            break;
        }
        *room -= zones.len();
        warnings.extend(doubt(token, &zones[0]));
        let port = port.map_or_else(
            || transport.default_port(dns_port),
            |port| port_number(port).ok_or_else(|| invalid(&port.to_string())),
        );
        let mut zones = zones.into_iter().map(|zone| Key {
            transport,
            zone,
            port: *port.as_ref().unwrap_or(&0),
            token: token.clone(),
            bad_port: port.as_ref().err().map(|e| e.as_str().into()),
        });
        keys.extend(zones.next());
        expanded.extend(zones);
    }
    keys.append(&mut expanded);
    keys
}

/// What makes one doubt that the address at `token` is meant as it is understood.
fn doubt(token: &Token, zone: &str) -> Option<ConfigError> {
    let why = if let Some((scheme, _)) = zone.split_once("://") {
        format!("there is no transport '{scheme}'")
    } else if zone.contains(':') {
        "what stands behind its last colon is no port".to_owned()
    } else if zone.contains('/') {
        "it is no network in CIDR notation".to_owned()
    } else if zone.contains(['{', '}']) {
        "braces have to stand alone".to_owned()
    } else if zone.contains(',') {
        "commas have to be followed by a blank".to_owned()
    } else {
        return None;
    };
    let words = format!("'{}' is served as a zone of this name: {why}", token.text.escape_debug());
    Some(ConfigError::bare(Some(token), words).coded("doubtful-address"))
}

/// The number of a port as Go's resolver understands it: decimal, or the name of a service, of which this machine may know more
/// than everybody does; empty is 0.
pub(super) fn port(text: &str) -> Result<u16, String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let number = text.parse().ok().or(unsigned.is_empty().then_some(0));
        return number.and_then(port_number).ok_or_else(|| invalid(text));
    }
    let known = match text.to_ascii_lowercase().as_str() {
        "domain" => Some(53),
        "http" => Some(80),
        "https" => Some(443),
        // A machine without the file knows no more names.
        name => service(&std::fs::read_to_string("/etc/services").unwrap_or_default(), name),
    };
    known.ok_or_else(|| format!("lookup tcp/{text}: unknown port"))
}

/// The port of a service over TCP in a text like `/etc/services`: lines of a name, `PORT/tcp` and further names (services(5)).
fn service(services: &str, name: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let (first, rest) = line.split('#').next()?.trim().split_once(char::is_whitespace)?;
        let mut rest = rest.split_whitespace();
        let port = rest.next()?.strip_suffix("/tcp")?.parse().ok()?;
        (first == name || rest.any(|alias| alias == name)).then_some(port)
    })
}

fn port_number(port: i64) -> Option<u16> {
    u16::try_from(port).ok()
}

fn invalid(port: &str) -> String {
    format!("address {port}: invalid port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_names() {
        let services = "# comment\nsmtp\t25/tcp mail # too\nntp 123/udp\nhttp-alt 8080/tcp webcache\nbad x/tcp\n\nhttp-alt 8080/udp";
        for (name, port) in [("smtp", Some(25)), ("mail", Some(25)), ("webcache", Some(8080)), ("http-alt", Some(8080))]
        {
            assert_eq!(service(services, name), port, "{name}");
        }
        for name in ["ntp", "too", "comment", "#", "bad", ""] {
            assert_eq!(service(services, name), None, "{name}");
        }
        for (text, number) in [("HTTP", Ok(80)), ("+053", Ok(53)), ("", Ok(0)), ("65535", Ok(65535))] {
            assert_eq!(port(text), number, "{text}");
        }
        assert_eq!(port("65536").unwrap_err(), "address 65536: invalid port");
        assert_eq!(port("no such").unwrap_err(), "lookup tcp/no such: unknown port");
    }
}

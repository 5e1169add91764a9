//! What TO says: addresses of upstreams, files that name them, host names.

use crate::resolve::Resolvers;
use crate::servers;
use api::Name;
use api::corefile::Transport;
use api::corefile::value::split_host_port;
use api::gotext::quote;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `HOST:PORT`, as metrics label it.
    pub label: String,
    /// Its address; or why it has none and can never be asked, in the words of Go's library.
    pub address: Result<SocketAddr, String>,
    /// How it is asked: [`Transport::Dns`], [`Transport::Tls`] or [`Transport::Https`].
    pub transport: Transport,
    /// The name that its certificate is to have, where its address says so.
    pub server_name: String,
}

/// The most arguments of TO.
const MAX_ARGUMENTS: usize = 15;

/// All upstreams that TO names, each once, and the number of arguments that name some.
///
/// # Errors
/// An argument is neither address, file nor name; or there is no upstream.
pub fn targets(to: &[&str], resolvers: &Resolvers) -> Result<(Vec<Target>, usize), String> {
    to.iter().try_for_each(|to| no_path(to))?;
    let arguments: Vec<Argument<'_>> =
        to.iter().filter_map(|to| Argument::read(to).transpose()).collect::<Result<_, _>>()?;
    let mut found: Vec<Target> = Vec::new();
    for argument in &arguments {
        for (transport, label, zone) in argument.upstreams(resolvers)? {
            let target = check(transport, label, zone)?;
            if !found.contains(&target) {
                found.push(target);
            }
        }
    }
    if found.is_empty() {
        return Err("no valid upstream addresses found".to_owned());
    }
    Ok((found, arguments.len()))
}

/// CoreDNS's words for too many arguments.
pub fn too_many(arguments: usize) -> Option<String> {
    (arguments > MAX_ARGUMENTS).then(|| format!("more than {MAX_ARGUMENTS} TOs configured: {arguments}"))
}

/// Refuses a path in the address of an upstream over HTTPS.
fn no_path(argument: &str) -> Result<(), String> {
    match Transport::split(argument) {
        (Transport::Https, address) if address.contains('/') => Err(format!(
            "paths are not allowed in HTTPS upstream addresses (the /dns-query path is used by default): {argument}"
        )),
        _ => Ok(()),
    }
}

/// One argument of TO.
enum Argument<'a> {
    /// `HOST:PORT`, with the zone that stood in it.
    Address(Transport, String, String),
    /// The name servers of a file.
    File(Vec<String>),
    Host {
        transport: Transport,
        name: &'a str,
        port: &'a str,
    },
}

impl<'a> Argument<'a> {
    /// What an argument is; `None` for a file that names no server.
    fn read(argument: &'a str) -> Result<Option<Argument<'a>>, String> {
        let (transport, address) = Transport::split(argument);
        if address.is_empty() {
            return Err(format!("invalid address: {}", quote(argument)));
        }
        if transport == Transport::Unix {
            return Ok(Some(Argument::Address(transport, address.to_owned(), String::new())));
        }
        let (host, port) =
            split_host_port(address).map_or_else(|_| (trim_brackets(address), None), |(h, p)| (h, Some(p)));
        let (ip, zone) = host.rsplit_once('%').unwrap_or((host, ""));
        if ip.parse::<IpAddr>().is_ok() {
            if transport == Transport::Https3 && port.is_none() {
                // CoreDNS makes an upstream without an address of it.
                return Ok(Some(Argument::Address(Transport::Dns, String::new(), String::new())));
            }
            let port = port.unwrap_or(default_port(transport));
            return Ok(Some(Argument::Address(transport, join(ip, port), zone.to_owned())));
        }
        let file = if port.is_some() { address } else { host };
        match servers::of_file(file) {
            Some(servers) => Ok(Some(servers).filter(|servers| !servers.is_empty()).map(Argument::File)),
            None => Argument::host(argument, transport, address).map(Some),
        }
    }

    fn host(argument: &'a str, transport: Transport, address: &'a str) -> Result<Argument<'a>, String> {
        let (name, port) = split_host_port(address).unwrap_or((address, default_port(transport)));
        let name = trim_brackets(name);
        let known = matches!(transport, Transport::Dns | Transport::Tls | Transport::Https);
        if !known || Name::from_text(name).is_err() {
            return Err(format!("not an IP address, file, or valid domain: {}", quote(argument)));
        }
        Ok(Argument::Host { transport, name, port })
    }

    /// Transport, `HOST:PORT` and zone of each upstream.
    fn upstreams(&self, resolvers: &Resolvers) -> Result<Vec<(Transport, String, String)>, String> {
        match self {
            Argument::Address(transport, label, zone) => Ok(vec![(*transport, label.clone(), zone.clone())]),
            Argument::File(servers) => {
                let server = |server: &String| {
                    let (host, zone) = server.rsplit_once('%').unwrap_or((server, ""));
                    (Transport::Dns, join(host, "53"), zone.to_owned())
                };
                Ok(servers.iter().map(server).collect())
            }
            Argument::Host { transport, name, port } => {
                let addresses =
                    resolvers.addresses(name).map_err(|why| format!("failed to resolve {}: {why}", quote(name)))?;
                Ok(addresses.iter().map(|a| (*transport, join(&a.to_string(), port), String::new())).collect())
            }
        }
    }
}

/// The upstream at an address, if its transport is one to forward over.
fn check(transport: Transport, label: String, zone: String) -> Result<Target, String> {
    match transport {
        Transport::Dns => {
            let address = address(&label, &zone);
            Ok(Target { label, address, transport, server_name: String::new() })
        }
        Transport::Tls | Transport::Https => {
            let address = address(&label, "");
            let server_name = if transport == Transport::Tls { zone } else { String::new() };
            Ok(Target { label, address, transport, server_name })
        }
        _ => {
            let name = transport.name();
            Err(format!("'{name}' is not supported as a destination protocol in forward: {name}://{label}"))
        }
    }
}

/// Ports of addresses that name none.
fn default_port(transport: Transport) -> &'static str {
    match transport {
        Transport::Tls | Transport::Quic => "853",
        Transport::Grpc | Transport::Https | Transport::Https3 => "443",
        Transport::Dns | Transport::Unix => "53",
    }
}

fn trim_brackets(text: &str) -> &str {
    text.trim_matches(['[', ']'])
}

/// `HOST:PORT`; a host with a colon stands in brackets.
fn join(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The address that `label` says, or why there is none.
fn address(label: &str, zone: &str) -> Result<SocketAddr, String> {
    let (host, port) = split_host_port(label)?;
    let ip: IpAddr = host.parse().map_err(|_| format!("lookup {host}: no such host"))?;
    let port = match (port, port.parse::<i64>()) {
        ("", _) => 0,
        ("domain", _) => 53,
        (_, Ok(number)) => u16::try_from(number).map_err(|_| format!("address {port}: invalid port"))?,
        _ => return Err(format!("lookup udp/{port}: unknown port")),
    };
    match ip {
        IpAddr::V6(ip) if !zone.is_empty() => {
            let missing = || format!("no network interface {}", quote(zone));
            // Other addresses mean the same everywhere.
            let everywhere = (!ip.is_unicast_link_local()).then_some(0);
            let interface = interface(zone).or(everywhere).ok_or_else(missing)?;
            Ok(SocketAddrV6::new(ip, port, 0, interface).into())
        }
        ip => Ok(SocketAddr::new(ip, port)),
    }
}

/// The number of a network interface that is there now.
fn interface(zone: &str) -> Option<u32> {
    let named = || std::fs::read_to_string(format!("/sys/class/net/{zone}/ifindex")).ok()?.trim().parse().ok();
    let plain = !zone.contains('/') && zone != "..";
    zone.parse().ok().or_else(|| named().filter(|_| plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Clock;

    fn found(to: &[&str]) -> Result<Vec<String>, String> {
        let targets = targets(to, &Resolvers::new(&[], Clock::system()))?.0;
        let text = |t: Target| match t.address {
            Ok(address) if address.to_string() == t.label => t.label,
            address => format!("{} {address:?}", t.label),
        };
        Ok(targets.into_iter().map(text).collect())
    }

    #[test]
    fn addresses() {
        for (to, want) in [
            ("127.0.0.1", "127.0.0.1:53"),
            ("dns://127.0.0.1:5353", "127.0.0.1:5353"),
            ("::1", "[::1]:53"),
            ("[::1]", "[::1]:53"),
            ("[::1]:54", "[::1]:54"),
            ("fe80::1%7", "[fe80::1]:53 Ok([fe80::1%7]:53)"),
            ("[fe80::1%7]:54", "[fe80::1]:54 Ok([fe80::1%7]:54)"),
            ("fe80::1%nosuch", "[fe80::1]:53 Err(\"no network interface \\\"nosuch\\\"\")"),
            ("2001:db8::1%nosuch", "[2001:db8::1]:53"),
            ("127.0.0.1:", "127.0.0.1: Ok(127.0.0.1:0)"),
            ("127.0.0.1:x", "127.0.0.1:x Err(\"lookup udp/x: unknown port\")"),
            ("127.0.0.1:99999", "127.0.0.1:99999 Err(\"address 99999: invalid port\")"),
            ("tls://127.0.0.1", "127.0.0.1:853"),
            ("tls://::1%a.example", "[::1]:853"),
            ("https://127.0.0.1%a.example", "127.0.0.1:443"),
            ("https3://127.0.0.1", " Err(\"missing port in address\")"),
        ] {
            assert_eq!(found(&[to]), Ok(vec![want.to_owned()]), "{to}");
        }
        assert_eq!(found(&["tls://[::1%a]:1", "tls://[::1%b]:1", "[::1]:1"]).map(|found| found.len()), Ok(3));
        assert_eq!(found(&["fe80::1%7", "fe80::1%8"]).map(|found| found.len()), Ok(2), "on two networks");
        assert_eq!(found(&["::1", "127.0.0.1", "[::1]:53"]), Ok(vec!["[::1]:53".into(), "127.0.0.1:53".into()]));
    }

    #[test]
    fn refusals() {
        for (to, why) in [
            ("", "invalid address: \"\""),
            ("tls://", "invalid address: \"tls://\""),
            ("a..b", "not an IP address, file, or valid domain: \"a..b\""),
            ("grpc://127.0.0.1", "'grpc' is not supported as a destination protocol in forward: grpc://127.0.0.1:443"),
            ("unix:///s", "'unix' is not supported as a destination protocol in forward: unix:///s"),
            ("1.2.3", "failed to resolve \"1.2.3\": lookup 1.2.3: no such host"),
            ("/", "no valid upstream addresses found"),
            (
                "https://127.0.0.1/x",
                "paths are not allowed in HTTPS upstream addresses (the /dns-query path is used by default): https://127.0.0.1/x",
            ),
        ] {
            assert_eq!(found(&[to]), Err(why.into()), "{to}");
        }
        assert_eq!(too_many(16), Some("more than 15 TOs configured: 16".into()));
        assert_eq!(too_many(15), None);
    }

    #[test]
    fn servers_of_files() {
        let file = Argument::File(vec!["fe80::1%9".into(), "127.0.0.1:54".into()]);
        let want = [
            (Transport::Dns, "[fe80::1]:53".into(), "9".into()),
            (Transport::Dns, "[127.0.0.1:54]:53".into(), String::new()),
        ];
        assert_eq!(file.upstreams(&Resolvers::new(&[], Clock::system())), Ok(want.to_vec()));
        assert_eq!(address("[127.0.0.1:54]:53", ""), Err("lookup 127.0.0.1:54: no such host".into()));
    }
}

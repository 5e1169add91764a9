//! Host names of upstreams, looked up once, when the configuration is read.

use crate::lookup::{self, Asking};
use api::corefile::value::split_host_port;
use api::gotext::quote;
use api::{Clock, Name, task};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Who is asked for the addresses of hosts.
pub struct Resolvers {
    asked: Asked,
    clock: Clock,
    /// When the last one is given up.
    until: Instant,
}

/// Who knows the addresses.
enum Asked {
    /// The system.
    System,
    /// These, in this order.
    These(Vec<String>),
    /// Nobody: any name has a stand-in for an address.
    Nobody,
}

/// How long all names of a stanza may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the system may take for a name.
const SYSTEM: Duration = Duration::from_secs(5);
/// How long a resolver is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

impl Resolvers {
    /// These resolvers, for the names of one stanza; the system, if there are none.
    pub fn new(asked: &[String], clock: Clock) -> Resolvers {
        let asked = if asked.is_empty() { Asked::System } else { Asked::These(asked.to_vec()) };
        Resolvers { asked, until: clock.now() + LIMIT, clock }
    }

    /// For a configuration that is looked at and not served: names are not looked up.
    pub fn nobody(clock: Clock) -> Resolvers {
        Resolvers { asked: Asked::Nobody, until: clock.now(), clock }
    }

    /// The addresses of a host, of both families.
    ///
    /// # Errors
    /// There are none, in CoreDNS's words.
    pub fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        match &self.asked {
            Asked::System => self.ask_system(name),
            Asked::These(resolvers) => self.ask_resolvers(resolvers, name),
            Asked::Nobody => Ok(vec![Ipv4Addr::UNSPECIFIED.into()]),
        }
    }

    fn ask_system(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        let unknown = || format!("lookup {name}: no such host");
        // What ends in a number is an address to C's library, which takes `127.1` for one.
        let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        if last.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(unknown());
        }
        let host = name.to_owned();
        let ask = move || (host, 0).to_socket_addrs().map(|found| found.map(|a| a.ip()).collect::<Vec<IpAddr>>());
        let left = self.until.saturating_duration_since(self.clock.now()).min(SYSTEM);
        let found = task::within(left, ask).ok_or_else(|| format!("lookup {name}: i/o timeout"))?;
        Ok(each_once(found.map_err(|_| unknown())?))
    }

    fn ask_resolvers(&self, resolvers: &[String], name: &str) -> Result<Vec<IpAddr>, String> {
        let none = |why: &str| format!("no addresses found for {}{why}", quote(name));
        let question = Name::from_text(name).map_err(|e| none(&format!(": {e}")))?;
        let mut why = String::new();
        for resolver in resolvers {
            let until = self.until.min(self.clock.now() + PATIENCE);
            let asking = |to| Asking { resolver: to, name: question.as_ref(), clock: &self.clock, until };
            match address(resolver).and_then(|to| lookup::addresses(&asking(to))) {
                Ok(found) if !found.is_empty() => return Ok(each_once(found)),
                Ok(_) => (),
                Err(e) => why = format!(": {e}"),
            }
        }
        Err(none(&why))
    }
}

fn each_once(mut found: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut seen = std::collections::HashSet::new();
    found.retain(|address| seen.insert(*address));
    found
}

/// The address of a resolver.
fn address(resolver: &str) -> io::Result<SocketAddr> {
    let (host, port) = split_host_port(resolver).unwrap_or((resolver, "53"));
    let bad = || io::Error::from(ErrorKind::InvalidInput);
    let ip: IpAddr = host.parse().map_err(|_| bad())?;
    let port = port.parse().map_err(|_| bad())?;
    Ok(SocketAddr::new(ip, port))
}

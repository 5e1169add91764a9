//! The bind directive: the addresses that a server block listens on.

use api::corefile::{ConfigError, Cursor};
use api::{PluginDef, Setup};
use std::net::{IpAddr, Ipv6Addr};

/// The directive. It adds no plugin: the server opens the sockets.
pub static PLUGIN: PluginDef = PluginDef { name: "bind", properties: PROPERTIES, metrics: &[], setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["except"];

/// Adds up the addresses of all lines, each without what its block excepts.
fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut all = Vec::new();
    while c.next() {
        let args = c.remaining_args();
        if args.is_empty() {
            return Err(c.bare("at least one address or interface name is expected"));
        }
        let mut excepted = Vec::new();
        while c.next_block() {
            excepted.extend(except(&mut c)?);
        }
        let (listened, excepted) = (addresses(&c, &args)?, addresses(&c, &excepted)?);
        all.extend(listened.into_iter().filter(|a| !excepted.contains(a)));
    }
    setup.options().bind = Some(all);
    Ok(())
}

fn except<'a>(c: &mut Cursor<'a>) -> Result<Vec<&'a str>, ConfigError> {
    if c.val() != "except" {
        return Err(c.bare(format!("invalid option \"{}\"", c.val())));
    }
    let args = c.remaining_args();
    if args.is_empty() {
        return Err(c.bare("at least one address or interface must be given to except subdirective"));
    }
    Ok(args)
}

/// The addresses that arguments stand for: those of an interface, or an address as it is written.
fn addresses(c: &Cursor<'_>, args: &[&str]) -> Result<Vec<String>, ConfigError> {
    let interfaces = if_addrs::get_if_addrs()
        .map_err(|e| c.bare(format!("failed to get interfaces list: {}", api::os_words(&e))))?;
    let mut found = Vec::new();
    for arg in args {
        let of_interface = interfaces.iter().filter(|i| i.name == *arg).map(|i| with_zone(i.ip(), &i.name));
        let before = found.len();
        found.extend(of_interface);
        if found.len() == before {
            let valid = arg.parse::<IpAddr>().is_ok();
            valid.then(|| found.push((*arg).to_owned())).ok_or_else(|| {
                c.bare(format!("not a valid IP address or interface name: {}", api::gotext::quote(arg)))
            })?;
        }
    }
    Ok(found)
}

/// An address of an interface; a link-local one of IPv6 means nothing without the interface.
fn with_zone(ip: IpAddr, interface: &str) -> String {
    match ip {
        IpAddr::V6(v6) if is_link_local(v6) => format!("{v6}%{interface}"),
        ip => ip.to_string(),
    }
}

/// fe80::/10 (RFC 4291 2.5.6).
fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

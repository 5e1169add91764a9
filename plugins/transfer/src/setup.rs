//! The lines of the directive.

use crate::{Rule, Transfers, notify};
use api::Setup;
use api::corefile::{ConfigError, Cursor, value};
use api::gotext::quote;
use api::services::Announce;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The port of servers that are named without one.
const PORT: &str = "53";

/// Adds one plugin with the rules of all lines, and what tells other servers of changes.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut rules = Vec::new();
    while c.next() {
        rules.push(rule(setup, &mut c)?);
    }
    let rules: Arc<[Rule]> = rules.into();
    let (announcer, zones) = notify::channel();
    setup.offer::<Arc<dyn Announce>>(Arc::new(announcer));
    let told = rules.clone();
    setup.task("notifications", move |stop| notify::announce(told, zones, stop));
    let sources = setup.offered();
    setup.add(Transfers { rules, sources, running: Arc::default() });
    Ok(())
}

/// `transfer [ZONE…] { to ADDRESS…; source ADDRESS }`
fn rule(setup: &Setup<'_>, c: &mut Cursor<'_>) -> Result<Rule, ConfigError> {
    let zones = setup.names_or(&c.remaining_args()).into();
    let (mut everybody, mut to, mut source) = (false, Vec::new(), None);
    while c.next_block() {
        match c.val() {
            "to" => {
                let arguments = c.remaining_args();
                if arguments.is_empty() {
                    return Err(c.arg_err());
                }
                for argument in arguments {
                    match argument {
                        "*" => everybody = true,
                        _ => to.push(target(c, argument)?),
                    }
                }
            }
            "source" => {
                let [argument] = *c.remaining_args() else { return Err(c.arg_err()) };
                if source.is_some() {
                    return Err(twice_named(c.err("source already specified")));
                }
                let failed = |_| twice_named(c.err(format!("invalid source address {}", quote(argument))));
                source = Some(argument.parse::<IpAddr>().map_err(failed)?);
            }
            unknown => return Err(twice_named(c.err(format!("unknown property {}", quote(unknown))))),
        }
    }
    if !everybody && to.is_empty() {
        return Err(twice_named(c.err("'to' is required")));
    }
    Ok(Rule { zones, everybody, to: to.into(), source })
}

/// CoreDNS names the directive twice in these.
fn twice_named(mistake: ConfigError) -> ConfigError {
    mistake.prefix("plugin/transfer: ")
}

/// An address that may have a port. What is no port is accepted, as CoreDNS does, but nobody can be told there.
fn target(c: &Cursor<'_>, argument: &str) -> Result<(IpAddr, Option<SocketAddr>), ConfigError> {
    let (host, port) = value::split_host_port(argument).unwrap_or((argument, PORT));
    let plain = host.split_once('%').map_or(host, |(address, _zone)| address);
    let address: IpAddr = plain.parse().map_err(|_| c.bare(format!("must specify an IP address: `{host}'")))?;
    let port = if port.is_empty() { PORT } else { port };
    let target = port.parse().ok().map(|port: u16| SocketAddr::from((address, port)));
    if target.is_none() {
        tracing::warn!("transfer: {argument} is not told of changes: {port} is no port");
    }
    Ok((address, target))
}

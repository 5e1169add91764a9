//! The lines of the directive.

use crate::prefer::Network;
use crate::weights::{Fault, WeightFile};
use crate::{RoundRobin, Weighted};
use api::Setup;
use api::corefile::{ConfigError, Cursor, value};
use api::gotext::{GoDuration, quote};

/// How often the file of weights is read, in seconds.
const DEFAULT_RELOAD: i64 = 30;

/// What a line says.
enum Policy {
    RoundRobin { preferred: Vec<Network> },
    Weighted { path: String, reload: GoDuration },
}

/// Adds the policy of the last line.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut policy = Policy::RoundRobin { preferred: Vec::new() };
    while c.next() {
        policy = line(&mut c)?;
    }
    match policy {
        Policy::RoundRobin { preferred } => setup.add(RoundRobin { preferred: preferred.into() }),
        Policy::Weighted { path, reload } => add_weighted(setup, &c, setup.path(&path), reload)?,
    }
    Ok(())
}

/// Adds the policy, and the work that reads its file again.
fn add_weighted(setup: &mut Setup<'_>, c: &Cursor<'_>, path: String, reload: GoDuration) -> Result<(), ConfigError> {
    let mut file = WeightFile::new(path);
    let interval = reload.unsigned().filter(|interval| !interval.is_zero());
    match file.refresh() {
        Ok(()) => (),
        Err(Fault::Open(why)) if interval.is_some() => {
            tracing::warn!("Failed to open weight file:{why}. Will try again in {reload}");
        }
        Err(fault) => return Err(c.bare(fault.to_string())),
    }
    setup.add(Weighted { weights: file.weights() });
    if let Some(interval) = interval {
        setup.task("watch the weight file", move |stop| file.watch(interval, stop));
    }
    Ok(())
}

/// `loadbalance [round_robin | weighted FILE]`
fn line(c: &mut Cursor<'_>) -> Result<Policy, ConfigError> {
    match c.remaining_args()[..] {
        [] | ["round_robin"] => round_robin(c),
        ["round_robin", ..] => Err(c.err("unknown property for round_robin")),
        ["weighted"] => Err(c.err("missing weight file argument")),
        ["weighted", path] => weighted(c, path),
        ["weighted", ..] => Err(c.err("unexpected argument(s)")),
        [other, ..] => Err(c.bare(format!("unknown policy: {other}"))),
    }
}

fn round_robin(c: &mut Cursor<'_>) -> Result<Policy, ConfigError> {
    let mut preferred = Vec::new();
    while c.next_block() {
        if c.val() != "prefer" {
            return Err(c.err(format!("unknown property '{}'", c.val())));
        }
        for arg in c.remaining_args() {
            let invalid = || c.err(format!("invalid CIDR {}: invalid CIDR address: {arg}", quote(arg)));
            let (address, length) = value::parse_cidr(arg).ok_or_else(invalid)?;
            preferred.push(Network::new(address, length));
        }
    }
    Ok(Policy::RoundRobin { preferred })
}

fn weighted(c: &mut Cursor<'_>, path: &str) -> Result<Policy, ConfigError> {
    let mut reload = GoDuration::from_secs(DEFAULT_RELOAD);
    while c.next_block() {
        if c.val() != "reload" {
            return Err(c.err(format!("unknown property '{}'", c.val())));
        }
        reload = match c.remaining_args()[..] {
            [] => return Err(c.err("reload duration value is missing")),
            [arg] => {
                // CoreDNS panics on a negative one.
                let parsed = GoDuration::parse(arg).ok().filter(|d| d.unsigned().is_some());
                parsed.ok_or_else(|| c.err(format!("invalid reload duration '{arg}'")))?
            }
            _ => return Err(c.err("unexpected argument")),
        };
    }
    Ok(Policy::Weighted { path: path.to_owned(), reload })
}

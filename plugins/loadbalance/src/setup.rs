//! The lines of the directive.

use crate::RoundRobin;
use crate::prefer::Network;
use api::Setup;
use api::corefile::{ConfigError, Cursor, value};
use api::gotext::quote;

/// Adds the policy of the last line.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut preferred = Vec::new();
    while c.next() {
        preferred = line(&mut c)?;
    }
    setup.add(RoundRobin { preferred: preferred.into() });
    Ok(())
}

/// `loadbalance [round_robin | weighted FILE]`
fn line(c: &mut Cursor<'_>) -> Result<Vec<Network>, ConfigError> {
    match c.remaining_args()[..] {
        [] | ["round_robin"] => (),
        ["round_robin", ..] => return Err(c.err("unknown property for round_robin")),
        ["weighted"] => return Err(c.err("missing weight file argument")),
        ["weighted", _] => return Err(c.err("policy 'weighted' is not supported yet")),
        ["weighted", ..] => return Err(c.err("unexpected argument(s)")),
        [other, ..] => return Err(c.bare(format!("unknown policy: {other}"))),
    }
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
    Ok(preferred)
}

//! The lines of the directive.

use crate::{Local, REQUESTS};
use api::Setup;
use api::corefile::{ConfigError, Cursor};
use api::gotext::quote;

/// Adds the plugin; of several lines the last word counts.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let mut prefix = true;
    while c.next() {
        if !c.remaining_args().is_empty() {
            return Err(c.arg_err());
        }
        while c.next_block() {
            prefix = property(&mut c)?;
        }
    }
    setup.add(Local { prefix, requests: REQUESTS.with(&[]) });
    Ok(())
}

/// `localhost_prefix on|off`
fn property(c: &mut Cursor<'_>) -> Result<bool, ConfigError> {
    if c.val() != "localhost_prefix" {
        return Err(c.err(format!("unknown property '{}'", c.val())));
    }
    match c.remaining_args()[..] {
        ["on"] => Ok(true),
        ["off"] => Ok(false),
        [other] => Err(c.err(format!("localhost_prefix expects 'on' or 'off', got {}", quote(other)))),
        _ => Err(c.arg_err()),
    }
}

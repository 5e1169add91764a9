//! The line of the directive.

use crate::Collector;
use api::corefile::{ConfigError, value};
use api::{Name, Setup};
use std::sync::Arc;

/// `metadata [ZONES…]`, once, without a block.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    c.next();
    let arguments = c.remaining_args();
    if c.next_block() || c.next() {
        return Err(c.arg_err());
    }
    let zones = match &arguments[..] {
        [] => setup.zones().to_vec(),
        _ => arguments.iter().flat_map(|a| value::zones(a)).filter_map(|z| Name::from_text(&z).ok()).collect(),
    };
    let zones = zones.iter().map(Name::to_lower).collect();
    let collector = Arc::new(Collector { zones, providers: setup.offered() });
    setup.describe(collector.clone());
    setup.add(collector);
    Ok(())
}

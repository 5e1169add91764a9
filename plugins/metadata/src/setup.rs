//! The line of the directive.

use crate::Collector;
use api::Setup;
use api::corefile::ConfigError;
use std::sync::Arc;

/// `metadata [ZONES…]`, once, without a block.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    c.next();
    let arguments = c.remaining_args();
    if c.next_block() || c.next() {
        return Err(c.arg_err());
    }
    let zones = setup.names_or(&arguments).into();
    let collector = Arc::new(Collector { zones, providers: setup.offered() });
    setup.describe(collector.clone());
    setup.add(collector);
    Ok(())
}

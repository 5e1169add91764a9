//! The debug directive: debug log lines, and panics that end the process.

use api::corefile::ConfigError;
use api::{PluginDef, Result, Setup};

/// The directive. It adds no plugin: the server knows what to do.
pub static PLUGIN: PluginDef = PluginDef { name: "debug", properties: &[], metrics: &[], setup };

fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    while c.next() {
        if c.next_arg() {
            return Err(c.arg_err());
        }
    }
    setup.options().debug = true;
    Ok(())
}

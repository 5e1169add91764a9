//! The minimal directive: leaves out of a reply what the client need not know.

use api::PluginDef;
use api::corefile::ConfigError;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef {
    name: "minimal",
    metrics: &[],
    setup: |setup| {
        let mut c = setup.cursor();
        c.next();
        c.token().map_or(Ok(()), |token| Err(ConfigError::not_supported("minimal", token)))
    },
};

//! The health directive: says over HTTP that the process runs; lame duck.

use api::PluginDef;
use api::corefile::ConfigError;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef {
    name: "health",
    metrics: &[],
    setup: |setup| {
        let mut c = setup.cursor();
        c.next();
        c.token().map_or(Ok(()), |token| Err(ConfigError::not_supported("health", token)))
    },
};

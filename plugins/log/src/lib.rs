//! The log directive: logs queries.

use api::PluginDef;
use api::corefile::ConfigError;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef {
    name: "log",
    metrics: &[],
    setup: |setup| {
        let mut c = setup.cursor();
        c.next();
        c.token().map_or(Ok(()), |token| Err(ConfigError::not_supported("log", token)))
    },
};

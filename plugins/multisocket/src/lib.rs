//! The multisocket directive: how many sockets an address has.

use api::PluginDef;
use api::corefile::ConfigError;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef {
    name: "multisocket",
    metrics: &[],
    setup: |setup| {
        let mut c = setup.cursor();
        c.next();
        c.token().map_or(Ok(()), |token| Err(ConfigError::not_supported("multisocket", token)))
    },
};

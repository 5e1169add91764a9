//! The nsid directive: the server's name in replies (RFC 5001).

use api::PluginDef;
use api::corefile::ConfigError;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef {
    name: "nsid",
    metrics: &[],
    setup: |setup| {
        let mut c = setup.cursor();
        c.next();
        c.token().map_or(Ok(()), |token| Err(ConfigError::not_supported("nsid", token)))
    },
};

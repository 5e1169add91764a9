//! The kubernetes directive: names of a cluster's services, endpoints and pods, answered from a live index.
#![expect(dead_code, reason = "the parts that use the index come next")]

mod connect;
mod index;
mod manifests;
mod metrics;
mod objects;
mod selector;
mod watch;

use api::PluginDef;
use api::corefile::ConfigError;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef {
    name: "kubernetes",
    metrics: metrics::ALL,
    setup: |setup| {
        let mut c = setup.cursor();
        c.next();
        c.token().map_or(Ok(()), |token| Err(ConfigError::not_supported("kubernetes", token)))
    },
};

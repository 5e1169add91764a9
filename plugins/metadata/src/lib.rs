//! The metadata directive: values about queries, which plugins know and others print or compare.
//!
//! Nothing is gathered: who wants a value asks for it (`Query::metadata`), and then the plugins that know some are asked.

mod setup;

use api::services::Metadata;
use api::setup::Offered;
use api::{Name, Plugin, PluginDef, Query};
use std::sync::Arc;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "metadata", properties: &[], metrics: &[], setup: setup::setup };

/// What the plugins of a block know about queries for names in some zones.
struct Collector {
    zones: Box<[Name]>,
    providers: Offered<Arc<dyn Metadata>>,
}

impl Metadata for Collector {
    fn value(&self, q: &Query, label: &str) -> Option<String> {
        let asked = q.asked_question();
        let covered = self.zones.iter().any(|zone| asked.name().is_below(zone.as_ref()));
        if covered { self.providers.iter().find_map(|provider| provider.value(q, label)) } else { None }
    }
}

/// The directive is a plugin of the chain so that a block with nothing else is not without plugins (CoreDNS behaviour).
impl Plugin for Collector {}

#[cfg(test)]
mod tests;

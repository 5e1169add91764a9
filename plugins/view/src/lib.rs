//! The view directive: the server block answers only queries for which conditions hold.
//!
//! The router asks the conditions before it chooses a block; in the chain the view does nothing.

mod setup;

use api::expr::{Expression, Facts, Value};
use api::services::Metadata;
use api::{Clock, Plugin, PluginDef, Query};

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "view", properties: PROPERTIES, metrics: &[], setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["expr"];

/// A view of a server block.
struct View {
    name: String,
    clock: Clock,
    conditions: Box<[Expression]>,
}

impl View {
    /// Whether all conditions are true. One that is no truth value, or has no value for this query, is not (CoreDNS behaviour).
    fn holds(&self, q: &Query) -> bool {
        let facts = Facts::new(q, &self.clock);
        self.conditions.iter().all(|condition| match condition.evaluate(&facts, &[]) {
            Ok(value) => matches!(value, Value::Bool(true)),
            Err(failure) => {
                let (name, rtype, view) = (q.name(), q.rtype(), &self.name);
                tracing::debug!("plugin/view: no value for {name} {rtype} in view {view}: {failure}");
                false
            }
        })
    }
}

/// `view/name`
impl Metadata for View {
    fn value(&self, _q: &Query, label: &str) -> Option<String> {
        (label == "view/name").then(|| self.name.clone())
    }
}

/// A view is a plugin of the chain so that a block with nothing else is not without plugins (CoreDNS behaviour).
impl Plugin for View {}

#[cfg(test)]
mod tests;

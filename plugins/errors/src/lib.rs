//! The errors directive: logs why queries could not be answered, and lets clients be told.

mod consolidate;
mod setup;

use api::{Plugin, PluginDef, Query, Result, Step, Ways};
use consolidate::Pattern;
use std::sync::Arc;

/// The directive.
pub static PLUGIN: PluginDef = PluginDef { name: "errors", properties: PROPERTIES, metrics: &[], setup: setup::setup };

/// What may begin a line of its block.
const PROPERTIES: &[&str] = &["stacktrace", "consolidate", "ede"];

/// Logs the error that a plugin below left in the reply, or counts it with others of its kind.
struct Errors {
    patterns: Arc<[Pattern]>,
    /// Clients are told why, too (RFC 8914).
    ede: bool,
}

impl Plugin for Errors {
    fn ways(&self) -> Ways {
        if self.ede { Ways::Both } else { Ways::Up }
    }

    fn query(&self, q: &mut Query) -> Result<Step> {
        q.explains = self.ede;
        Ok(Step::Next)
    }

    fn reply(&self, q: &mut Query) -> Result<Step> {
        if q.reply.error().is_some() {
            self.report(q);
        }
        Ok(Step::Done)
    }
}

impl Errors {
    #[cold]
    fn report(&self, q: &Query) {
        let Some(error) = q.reply.error() else { return };
        let text = error.to_string();
        let pattern = self.patterns.iter().find(|p| p.matches(&text));
        if pattern.is_none_or(Pattern::count) {
            let level = pattern.map_or(consolidate::Level::Error, Pattern::level);
            let (code, name, rtype) = (error.rcode().0, q.name(), q.rtype());
            match error.context() {
                "" => level.log(format_args!("{code} {name} {rtype}: {text}")),
                context => level.log(format_args!("{code} {name} {rtype}: {text} ({context})")),
            }
        }
    }
}

#[cfg(test)]
mod tests;

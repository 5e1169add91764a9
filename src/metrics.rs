//! What the server itself counts: queries that reach no plugin, panics, work that is refused.

use api::Query;
use std::io;
use std::sync::Arc;

/// The metrics of one listener.
pub struct Listener {
    label: Arc<str>,
}

impl Listener {
    /// For the listener called `label` (`dns://:53`).
    pub fn new(label: &Arc<str>) -> Listener {
        Listener { label: label.clone() }
    }

    /// A query that no server block answers.
    pub fn dropped(&self, _q: &Query) {}

    /// A plugin panicked with this query.
    pub fn panicked(&self, _q: &Query, _stacktrace: bool) {
        tracing::error!("Recovered from panic in server: \"{}\"", self.label);
    }
}

/// A query was refused because a limit was reached.
pub fn shed(_q: &Query, _reason: &'static str) {}

/// A connection was closed at once because a limit was reached.
pub fn refused_connection(_router: &crate::route::Router) {}

/// A reply could not be sent.
pub fn unsent(e: &io::Error) {
    tracing::debug!("a reply could not be sent: {e}");
}

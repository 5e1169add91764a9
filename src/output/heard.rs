//! Warnings that are gathered instead of being printed: `poddns check` shows them with their place.

use super::{Words, is_wanted};
use std::cell::RefCell;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// From now on no log event is printed, and warnings are gathered.
pub fn listen() {
    // Who embeds this and has a log of its own sees them there.
    let _ = tracing_subscriber::registry().with(Ear).try_init();
}

/// Until what is returned is dropped, the warnings of this thread are gathered.
#[cfg(test)]
pub fn listen_here() -> tracing::subscriber::DefaultGuard {
    tracing_subscriber::registry().with(Ear).set_default()
}

/// The warnings of this thread since the last call.
pub fn heard() -> Vec<String> {
    HEARD.take()
}

thread_local! {
    static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Ear;

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if *event.metadata().level() <= Level::WARN && is_wanted(event.metadata()) {
            let mut words = Words::default();
            event.record(&mut words);
            HEARD.with_borrow_mut(|heard| heard.push(words.message));
        }
    }
}

//! Log lines that belong to queries: written past the events of `tracing`, which cost too much for a line per query.

use std::sync::OnceLock;

/// Takes a line of level INFO that names no plugin.
pub type Sink = fn(&str);

static SINK: OnceLock<Sink> = OnceLock::new();

/// For the daemon: where the lines go. Once for a process; until then they are events with the target `plain`.
pub fn install(sink: Sink) {
    let _first = SINK.set(sink);
}

/// Logs a line of level INFO that names no plugin (the directive `log`). It does not wait for whoever reads the log.
pub fn write(line: &str) {
    match SINK.get() {
        Some(sink) => sink(line),
        None => tracing::info!(target: "plain", "{line}"),
    }
}

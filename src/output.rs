//! The log: lines on standard output as CoreDNS prints them, `[LEVEL] plugin/NAME: words`, or as JSON objects.
//!
//! The plugin's name is that of the crate an event comes from; events with the target `plain` have none (the lines of the
//! directive `log`). The system around the process adds the time to text lines.

use crate::cli::LogFormat;
use api::Clock;
use std::fmt::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

/// Begins to print log events.
pub fn init(format: LogFormat) {
    let (filter, handle) = reload::Layer::new(wanted(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().event_format(Lines(format)).with_writer(std::io::stdout);
    // A process that embeds the server may have a log of its own: then ours is not needed.
    if tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().is_ok() {
        let _first = FILTER.set(handle);
    }
}

/// Switches lines of level DEBUG on or off.
pub fn set_debug(on: bool) {
    let level = if on { LevelFilter::DEBUG } else { LevelFilter::INFO };
    if let Some(filter) = FILTER.get() {
        // An error means that the log is gone, with nobody to tell it to.
        let _ = filter.reload(wanted(level));
    }
}

/// Says why the process ends, which it then does with the status returned.
pub fn fatal(text: &str) -> ExitCode {
    tracing::error!(fatal = true, "{text}");
    ExitCode::from(1)
}

/// Events of this level; none of libraries, whose callers say what is wrong, once and in words for operators.
fn wanted(level: LevelFilter) -> Targets {
    let all = Targets::new().with_default(level);
    LIBRARIES.iter().fold(all, |all, library| all.with_target(*library, LevelFilter::OFF))
}

const LIBRARIES: [&str; 8] = ["h2", "hickory_proto", "hyper", "hyper_util", "kube", "rustls", "tokio", "tower"];

static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Writes an event as a line.
struct Lines(LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut words = Words::default();
        event.record(&mut words);
        let level = match *event.metadata().level() {
            _ if words.fatal => "FATAL",
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "INFO",
            _ => "DEBUG",
        };
        let plugin = plugin(event.metadata().target());
        match self.0 {
            LogFormat::Text => text(&mut out, level, plugin, &words.message),
            LogFormat::Json => json(&mut out, level, plugin, &words.message),
        }
    }
}

/// The plugin whose crate an event comes from.
fn plugin(target: &str) -> Option<&str> {
    target.strip_prefix("poddns_").and_then(|rest| rest.split("::").next())
}

fn text(out: &mut Writer<'_>, level: &str, plugin: Option<&str>, message: &str) -> fmt::Result {
    write!(out, "[{level}] ")?;
    if let Some(plugin) = plugin {
        write!(out, "plugin/{plugin}: ")?;
    }
    writeln!(out, "{message}")
}

fn json(out: &mut Writer<'_>, level: &str, plugin: Option<&str>, message: &str) -> fmt::Result {
    let now = Clock::system().unix();
    write!(out, "{{\"time\":{}.{:06},\"level\":\"{level}\"", now.as_secs(), now.subsec_micros())?;
    if let Some(plugin) = plugin {
        write!(out, ",\"plugin\":\"{plugin}\"")?;
    }
    writeln!(out, ",\"message\":{}}}", serde_json::Value::from(message))
}

/// What an event says.
#[derive(Default)]
struct Words {
    message: String,
    fatal: bool,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string cannot fail.
            let _ = write!(self.message, "{value:?}");
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fatal |= value && field.name() == "fatal";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(write: fn(&mut Writer<'_>, &str, Option<&str>, &str) -> fmt::Result, target: &str, text: &str) -> String {
        let mut out = String::new();
        write(&mut Writer::new(&mut out), "INFO", plugin(target), text).unwrap();
        out
    }

    #[test]
    fn lines_name_the_plugin() {
        assert_eq!(line(text, "poddns_reload::setup", "a \"b\""), "[INFO] plugin/reload: a \"b\"\n");
        assert_eq!(line(text, "poddns::running", "Reloading"), "[INFO] Reloading\n");
        assert_eq!(line(text, "plain", "x"), "[INFO] x\n");
    }

    #[test]
    fn json_lines_are_objects() {
        let object: serde_json::Value = serde_json::from_str(&line(json, "poddns_log", "a \"b\"\n")).unwrap();
        assert_eq!((&object["plugin"], &object["message"]), (&"log".into(), &"a \"b\"\n".into()));
        assert!(object["time"].as_f64().is_some_and(|t| t > 1.7e9));
    }
}

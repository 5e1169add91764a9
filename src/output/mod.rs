//! The log: lines on standard output as CoreDNS prints them, `[LEVEL] plugin/NAME: words`, or as JSON objects.
//!
//! The plugin's name is that of the crate an event comes from; events with the target `plain` have none (the lines of the
//! directive `log`). The system around the process adds the time to text lines.

mod buffer;
mod heard;

pub use buffer::{collect, finish};
#[cfg(test)]
pub use heard::listen_here;
pub use heard::{heard, listen};

use crate::cli::LogFormat;
use api::{Clock, lines};
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins to print log events.
///
/// # Errors
/// No thread can be had that writes them.
pub fn init(format: LogFormat) -> io::Result<()> {
    let filter = dynamic_filter_fn(|event, _context| is_wanted(event)).with_max_level_hint(LevelFilter::DEBUG);
    let lines = tracing_subscriber::fmt::layer().event_format(Lines(format)).with_writer(|| Out);
    // A process that embeds the server may have a log of its own: then ours is not needed.
    if tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().is_ok() {
        lines::install(match format {
            LogFormat::Text => |line| buffer::append(|out| text(out, "INFO", None, line)),
            LogFormat::Json => |line| buffer::append(|out| json(out, "INFO", None, line)),
        });
        buffer::start()?;
    }
    Ok(())
}

/// Switches lines of level DEBUG on or off.
pub fn set_debug(on: bool) {
    DEBUG.store(on, Relaxed);
}

/// Says why the process ends, which it then does with the status returned.
pub fn fatal(text: &str) -> ExitCode {
    tracing::error!(fatal = true, "{text}");
    ExitCode::from(1)
}

/// Whether an event is printed: none of libraries is, whose callers say what is wrong, once and in words for operators.
fn is_wanted(event: &Metadata<'_>) -> bool {
    let level = if DEBUG.load(Relaxed) { Level::DEBUG } else { Level::INFO };
    let library = event.target().split("::").next().unwrap_or_default();
    *event.level() <= level && !LIBRARIES.contains(&library)
}

const LIBRARIES: [&str; 8] = ["h2", "hickory_proto", "hyper", "hyper_util", "kube", "rustls", "tokio", "tower"];

/// Lines of level DEBUG are printed.
static DEBUG: AtomicBool = AtomicBool::new(false);

/// Takes the lines of this thread.
struct Out;

impl Write for Out {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        buffer::append(|out| out.extend_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

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
        let mut line = Vec::new();
        match self.0 {
            LogFormat::Text => text(&mut line, level, plugin, &words.message),
            LogFormat::Json => json(&mut line, level, plugin, &words.message),
        }
        out.write_str(&String::from_utf8_lossy(&line))
    }
}

/// The plugin whose crate an event comes from.
fn plugin(target: &str) -> Option<&str> {
    target.strip_prefix("poddns_").and_then(|rest| rest.split("::").next())
}

fn text(out: &mut Vec<u8>, level: &str, plugin: Option<&str>, message: &str) {
    let mut put = |parts: &[&str]| parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    put(&["[", level, "] "]);
    if let Some(plugin) = plugin {
        put(&["plugin/", plugin, ": "]);
    }
    put(&[message, "\n"]);
}

fn json(out: &mut Vec<u8>, level: &str, plugin: Option<&str>, message: &str) {
    let now = Clock::system().unix();
    // Writing to a vector cannot fail.
    let _ = write!(out, "{{\"time\":{}.{:06},\"level\":\"{level}\"", now.as_secs(), now.subsec_micros());
    if let Some(plugin) = plugin {
        let _ = write!(out, ",\"plugin\":\"{plugin}\"");
    }
    out.extend_from_slice(b",\"message\":");
    let _ = serde_json::to_writer(&mut *out, message);
    out.extend_from_slice(b"}\n");
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

    fn line(write: fn(&mut Vec<u8>, &str, Option<&str>, &str), target: &str, text: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, "INFO", plugin(target), text);
        String::from_utf8(out).unwrap()
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

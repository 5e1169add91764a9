//! The lines of the directive.

use crate::Errors;
use crate::consolidate::{Level, Pattern};
use api::corefile::{ConfigError, Cursor};
use api::gotext::GoDuration;
use api::{Setup, expression};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::Notify;

/// Characters of the longest expression (CoreDNS's limit).
const MAX_EXPRESSION: usize = 10_000;

/// Adds the plugin, and for each pattern the work that logs its summaries.
pub fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    let (mut patterns, mut ede) = (Vec::new(), false);
    while c.next_once()? {
        match c.remaining_args()[..] {
            [] | ["stdout"] => (),
            [file] => return Err(c.err(format!("invalid log file: {file}"))),
            _ => return Err(c.arg_err()),
        }
        while c.next_block() {
            match c.val() {
                "stacktrace" => setup.options().stacktrace = true,
                "consolidate" => patterns.push(consolidate(&mut c)?),
                "ede" if c.remaining_args().is_empty() => ede = true,
                "ede" => return Err(c.arg_err()),
                other => return Err(c.syntax_err(&format!("Unknown field {other}"))),
            }
        }
    }
    let patterns: Arc<[Pattern]> = patterns.into();
    for i in 0..patterns.len() {
        let patterns = patterns.clone();
        setup.task("summaries of errors", move |stop| async move {
            patterns[i].summarize(stop).await;
            Ok(())
        });
    }
    setup.add(Errors { patterns, ede });
    Ok(())
}

/// `consolidate DURATION REGEXP [LEVEL] [show_first]`
fn consolidate(c: &mut Cursor<'_>) -> Result<Pattern, ConfigError> {
    let args = c.remaining_args();
    let [period, pattern, options @ ..] = &args[..] else { return Err(c.arg_err()) };
    if options.len() > 2 {
        return Err(c.arg_err());
    }
    let period = GoDuration::parse(period).map_err(|words| c.err(words))?;
    if pattern.len() > MAX_EXPRESSION {
        return Err(c.err(format!("regex pattern too long: {} > {MAX_EXPRESSION}", pattern.len())));
    }
    let expression = expression::compile(pattern).map_err(|words| c.err(words))?;
    let (level, show_first) = levels(c, options)?;
    Ok(Pattern {
        expression,
        period: period.unsigned().unwrap_or_default(),
        shown_period: period.to_string(),
        level: level.unwrap_or(Level::Error),
        show_first,
        seen: AtomicU64::new(0),
        begun: Notify::new(),
    })
}

fn levels(c: &Cursor<'_>, options: &[&str]) -> Result<(Option<Level>, bool), ConfigError> {
    let (mut level, mut show_first) = (None, false);
    for option in options {
        let given = match *option {
            "show_first" => {
                show_first = true;
                continue;
            }
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warning" => Level::Warning,
            "error" => Level::Error,
            other => return Err(c.err(format!("unknown option in consolidate: {other}"))),
        };
        if show_first {
            return Err(c.err("log level must come before show_first in consolidate"));
        }
        if level.replace(given).is_some() {
            return Err(c.err("multiple log levels specified in consolidate"));
        }
    }
    Ok((level, show_first))
}

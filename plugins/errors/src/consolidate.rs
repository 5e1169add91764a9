//! Errors that are counted for a while and logged as one line.

use api::expression::Regex;
use api::task::Stop;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;

/// A kind of errors that is logged once in a while.
pub struct Pattern {
    /// What the errors look like.
    pub expression: Regex,
    /// From the first of them to the line that tells how many there were.
    pub period: Duration,
    /// The period as it is logged.
    pub shown_period: String,
    /// Level of the line.
    pub level: Level,
    /// The first of each period is logged as it comes.
    pub show_first: bool,
    /// Errors of this period.
    pub seen: AtomicU64,
    /// A period begins.
    pub begun: Notify,
}

/// Level of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// `[DEBUG]`, logged with the directive `debug` only.
    Debug,
    /// `[INFO]`
    Info,
    /// `[WARNING]`
    Warning,
    /// `[ERROR]`
    Error,
}

impl Level {
    /// Logs a line of this level.
    pub fn log(self, words: fmt::Arguments<'_>) {
        match self {
            Level::Debug => tracing::debug!("{words}"),
            Level::Info => tracing::info!("{words}"),
            Level::Warning => tracing::warn!("{words}"),
            Level::Error => tracing::error!("{words}"),
        }
    }
}

impl Pattern {
    /// Whether an error is of this kind.
    pub fn matches(&self, error: &str) -> bool {
        self.expression.is_match(error)
    }

    /// Counts an error; whether it is to be logged now.
    pub fn count(&self) -> bool {
        let first = self.seen.fetch_add(1, Relaxed) == 0;
        if first {
            self.begun.notify_one();
        }
        first && self.show_first
    }

    /// The level of its lines.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Logs at the end of each period how many errors there were, until `stop`, which ends a period at once.
    pub async fn summarize(&self, mut stop: Stop) {
        while stop.or(self.begun.notified()).await.is_some() {
            let _ended = stop.or(tokio::time::sleep(self.period)).await;
            self.tell();
        }
        self.tell();
    }

    fn tell(&self) {
        let seen = self.seen.swap(0, Relaxed);
        if seen > u64::from(self.show_first) {
            let (like, last) = (self.expression.as_str(), &self.shown_period);
            self.level.log(format_args!("{seen} errors like '{like}' occurred in last {last}"));
        }
    }
}

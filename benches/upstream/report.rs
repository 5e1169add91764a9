//! The table of what was measured, and the bars.

use crate::tally::Tally;
use std::time::Duration;

/// One line: a scenario, a server.
pub struct Row {
    scenario: String,
    server: String,
    figures: String,
    notes: Vec<String>,
    bars: Vec<Bar>,
}

struct Bar {
    what: String,
    figure: String,
    holds: bool,
}

impl Row {
    /// With the figures of a load.
    pub fn new(scenario: &str, server: &str, tally: &Tally) -> Row {
        let other = tally.asked - tally.good - tally.servfail() - tally.lost;
        let figures = format!(
            "{:>7} {:>7} {:>8} {:>7} {:>7} {:>8} {:>8} {:>8}",
            tally.asked,
            share(tally.good, tally.asked),
            tally.servfail(),
            other,
            tally.lost,
            milliseconds(tally.latency(0.5)),
            milliseconds(tally.latency(0.99)),
            milliseconds(tally.latency(0.999)),
        );
        let row =
            Row { scenario: scenario.into(), server: server.into(), figures, notes: Vec::new(), bars: Vec::new() };
        if tally.late < LATE { row } else { row.note(format!("load up to {} ms late", milliseconds(tally.late))) }
    }

    /// Without figures: it could not be measured.
    pub fn none(scenario: &str, server: &str, why: &str) -> Row {
        let figures = " ".repeat(67);
        Row { scenario: scenario.into(), server: server.into(), figures, notes: vec![why.into()], bars: Vec::new() }
            .bar("can be measured", why, false)
    }

    /// Adds a figure that has no column.
    pub fn note(mut self, note: impl Into<String>) -> Row {
        self.notes.push(note.into());
        self
    }

    /// Adds what must be so.
    pub fn bar(mut self, what: &str, figure: impl ToString, holds: bool) -> Row {
        self.bars.push(Bar { what: what.into(), figure: figure.to_string(), holds });
        self
    }

    /// Adds that there is none of something.
    pub fn none_of(self, what: &str, number: usize) -> Row {
        self.bar(&format!("no {what}"), number, number == 0)
    }

    /// Adds that something takes less than so long.
    pub fn at_most(self, what: &str, took: Duration, limit: Duration) -> Row {
        let what = format!("{what} at most {} ms", milliseconds(limit));
        self.bar(&what, format!("{} ms", milliseconds(took)), took <= limit)
    }

    /// Prints it; the bars below where they are to be seen.
    pub fn print(&self, bars: Bars) {
        println!("{:<19} {:<9} {}  {}", self.scenario, self.server, self.figures, self.notes.join(", "));
        if bars == Bars::Hidden {
            return;
        }
        for bar in &self.bars {
            println!("    {} {}: {}", if bar.holds { "holds" } else { "FAILS" }, bar.what, bar.figure);
        }
    }

    /// How many bars hold, and which do not.
    pub fn judge(&self) -> (usize, Vec<String>) {
        let fails = self.bars.iter().filter(|bar| !bar.holds);
        let fails = fails.map(|bar| format!("{}: {} ({})", self.scenario, bar.what, bar.figure)).collect::<Vec<_>>();
        (self.bars.len() - fails.len(), fails)
    }
}

/// A load that is later than that says little about the server.
const LATE: Duration = Duration::from_millis(25);

/// Whether bars are printed below a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bars {
    Shown,
    Hidden,
}

/// The line above the table.
pub fn head() {
    println!(
        "{:<19} {:<9} {:>7} {:>7} {:>8} {:>7} {:>7} {:>8} {:>8} {:>8}",
        "scenario", "server", "asked", "good %", "SERVFAIL", "other", "lost", "p50 ms", "p99 ms", "p999 ms"
    );
}

/// Parts of a hundred.
pub fn share(part: usize, all: usize) -> String {
    format!("{:.2}", part as f64 * 100.0 / all.max(1) as f64)
}

/// A duration in milliseconds.
pub fn milliseconds(duration: Duration) -> String {
    if duration == Duration::MAX {
        return "more than all".into();
    }
    let all = duration.as_secs_f64() * 1e3;
    if all < 10.0 { format!("{all:.2}") } else { format!("{all:.0}") }
}

//! The table of what was measured, and the bars.

use std::time::Duration;
use testkit::Tally;

/// One line: a scenario, a server.
pub struct Row {
    figures: String,
    name: String,
    notes: Vec<String>,
    bars: Vec<(String, bool)>,
    tally: Tally,
}

impl Row {
    /// With the figures of a load.
    pub fn new(scenario: &str, server: &str, times: usize, took: Duration, tally: &Tally) -> Row {
        let Tally { good, servfail, other, lost, closed, refused, reset, crossed, slowest } = *tally;
        let rate = good as f64 / took.as_secs_f64();
        let figures = format!(
            "{scenario:<10} {server:<9} {times:>5} {good:>9} {rate:>8.0} {lost:>6} {servfail:>8} {other:>6} {closed:>7} {refused:>7} {reset:>6} {crossed:>7} {:>8.1}",
            slowest as f64 / 1e3
        );
        let row = Row { figures, name: scenario.into(), notes: Vec::new(), bars: Vec::new(), tally: *tally };
        row.exactly("lost", lost, 0)
            .exactly("SERVFAIL", servfail, 0)
            .exactly("other", other, 0)
            .exactly("reset", reset, 0)
    }

    /// There must have been a socket all the time.
    pub fn open_all_the_time(self) -> Row {
        let (closed, refused) = (self.tally.closed, self.tally.refused);
        self.exactly("no socket", closed, 0).exactly("refused", refused, 0)
    }

    /// So many requests for pages failed.
    pub fn pages(self, failed: usize) -> Row {
        self.exactly("failed HTTP requests", failed, 0)
    }

    /// A figure that must be this one; it is noted where it has no column.
    pub fn exactly<T: PartialEq + ToString + Copy>(mut self, what: &str, figure: T, must_be: T) -> Row {
        if !COLUMNS.contains(&what) {
            self.notes.push(format!("{what} {}", figure.to_string()));
        }
        self.bar(&format!("{what}: {}, must be {}", figure.to_string(), must_be.to_string()), figure == must_be)
    }

    /// Something that must be so.
    pub fn bar(mut self, what: &str, holds: bool) -> Row {
        self.bars.push((what.into(), holds));
        self
    }

    /// A figure without a bar.
    pub fn note(mut self, note: String) -> Row {
        self.notes.push(note);
        self
    }

    /// Prints it.
    pub fn print(&self) {
        println!("{}  {}", self.figures, self.notes.join(", "));
    }

    /// The bars that are not reached.
    pub fn fails(&self) -> Vec<String> {
        self.bars.iter().filter(|(_, holds)| !holds).map(|(what, _)| format!("{}: {what}", self.name)).collect()
    }
}

const COLUMNS: [&str; 6] = ["lost", "SERVFAIL", "other", "reset", "no socket", "refused"];

/// The line above the table.
pub fn head() {
    println!(
        "{:<10} {:<9} {:>5} {:>9} {:>8} {:>6} {:>8} {:>6} {:>7} {:>7} {:>6} {:>7} {:>8}",
        "scenario",
        "server",
        "times",
        "answered",
        "rate /s",
        "lost",
        "SERVFAIL",
        "other",
        "no sock",
        "refused",
        "reset",
        "crossed",
        "slow ms"
    );
}

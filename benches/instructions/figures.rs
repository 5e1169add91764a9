//! What is measured, beside the figures on record: a line for each case and profile, in `figures.txt`.

use crate::profile;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How much a figure may grow, in percent.
const TOLERANCE: u64 = 5;

/// What was measured of a query, or of a part of its way.
pub struct Measured {
    /// What it is called on record.
    pub name: &'static str,
    /// What it executes.
    pub instructions: u64,
    /// How long that takes.
    pub time: Duration,
}

/// The figures of one build profile.
pub struct Figures {
    path: PathBuf,
    profile: String,
    /// Profile, instructions and name, of all profiles.
    lines: Vec<(String, u64, String)>,
    measured: Vec<Measured>,
}

impl Figures {
    /// Those of the profile that this program was built with. Prints the head of the table.
    pub fn of_this_build() -> Figures {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/figures.txt"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(read).collect();
        let profile = profile::profile();
        let title = format!("a query ({profile})");
        println!("{title:<34} {:>8} {:>12} {:>10} {:>8}", "ns", "instructions", "on record", "change");
        Figures { path, profile, lines, measured: Vec::new() }
    }

    /// Takes what was measured, and prints it beside what is on record.
    pub fn take(&mut self, measured: Measured) {
        let Measured { name, instructions, time } = measured;
        let (shown, change) = self.on_record(name).map_or_else(Default::default, |before| {
            (before.to_string(), format!("{:+.1} %", (instructions as f64 / before as f64 - 1.0) * 100.0))
        });
        println!("{name:<34} {:>8} {instructions:>12} {shown:>10} {change:>8}", time.as_nanos());
        self.measured.push(measured);
    }

    /// Fails where a figure has grown too much.
    pub fn judge(self) -> ExitCode {
        let has_grown = |m: &&Measured| {
            self.on_record(m.name).is_some_and(|before| m.instructions * 100 > before * (100 + TOLERANCE))
        };
        let grown = self.measured.iter().filter(has_grown).count();
        if grown > 0 {
            println!("{grown} grew by more than {TOLERANCE} %: mend that, or say why and put it on record (--record)");
        }
        if grown > 0 || self.measured.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    /// Puts on record what was measured.
    pub fn record(mut self) -> ExitCode {
        for Measured { name, instructions, .. } in std::mem::take(&mut self.measured) {
            match self.lines.iter_mut().find(|line| line.0 == self.profile && line.2 == name) {
                Some(line) => line.1 = instructions,
                None => self.lines.push((self.profile.clone(), instructions, name.into())),
            }
        }
        self.write();
        ExitCode::SUCCESS
    }

    fn on_record(&self, name: &str) -> Option<u64> {
        self.lines.iter().find(|line| line.0 == self.profile && line.2 == name).map(|line| line.1)
    }

    fn write(&self) {
        let mut text =
            String::from("# Instructions per query, written by `cargo bench --bench instructions -- --record`.\n");
        for (profile, number, name) in &self.lines {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{profile} {number} {name}");
        }
        std::fs::write(&self.path, text).expect("figures.txt can be written");
    }
}

fn read(line: &str) -> Option<(String, u64, String)> {
    let mut words = line.splitn(3, ' ');
    Some((words.next()?.into(), words.next()?.parse().ok()?, words.next()?.into()))
}

//! The figures on record: a line for each kind of queries and profile, in `figures.txt`.

use crate::profile;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// How much a figure may grow, in percent.
const TOLERANCE: u64 = 5;

/// The figures of one build profile.
pub struct Figures {
    path: PathBuf,
    profile: String,
    /// Profile, instructions and kind, of all profiles.
    lines: Vec<(String, u64, String)>,
}

impl Figures {
    /// Those of the profile that this program was built with.
    pub fn of_this_build() -> Figures {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/figures.txt"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(read).collect();
        Figures { path, profile: profile::profile(), lines }
    }

    /// Prints what was counted beside what is on record; fails where a figure has grown too much.
    pub fn judge(mut self, counted: &[(&'static str, u64)], record: bool) -> ExitCode {
        println!(
            "{:<34} {:>12} {:>10} {:>8}",
            format!("instructions per query ({})", self.profile),
            "now",
            "on record",
            "change"
        );
        let mut grown = 0;
        for &(name, now) in counted {
            let before = self.find(name).map(|line| line.1);
            let (shown, change) = before.map_or_else(Default::default, |before| {
                (before.to_string(), format!("{:+.1} %", (now as f64 / before as f64 - 1.0) * 100.0))
            });
            println!("{name:<34} {now:>12} {shown:>10} {change:>8}");
            grown += usize::from(before.is_some_and(|before| now * 100 > before * (100 + TOLERANCE)));
            if record {
                self.set(name, now);
            }
        }
        if record {
            self.write();
            return ExitCode::SUCCESS;
        }
        if grown > 0 {
            println!("{grown} grew by more than {TOLERANCE} %: mend that, or say why and put it on record (--record)");
        }
        if grown > 0 || counted.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn find(&mut self, name: &str) -> Option<&mut (String, u64, String)> {
        let profile = &self.profile;
        self.lines.iter_mut().find(|line| line.0 == *profile && line.2 == name)
    }

    fn set(&mut self, name: &str, now: u64) {
        match self.find(name) {
            Some(line) => line.1 = now,
            None => self.lines.push((self.profile.clone(), now, name.into())),
        }
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

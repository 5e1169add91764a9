//! What clients notice of upstreams that lose, lie, stall or die.
//!
//! ```text
//! cargo bench --bench upstream                                        # this build
//! cargo bench --bench upstream -- --seconds 2 --only loss,dead        # a short look
//! cargo bench --bench upstream -- NAME=BINARY …                       # other servers that take CoreDNS's flags, in the same run
//! ```
//!
//! Each server forwards to simulated upstreams and is asked at fixed rates, whatever becomes of its replies. The exit status
//! is 1 when a server called `poddns` does not reach one of the bars.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints what it found"
)]

#[path = "../common/cores.rs"]
mod cores;
mod load;
#[path = "../common/memory.rs"]
mod memory;
mod message;
mod report;
mod scenarios;
mod server;
mod stream;
mod tally;
mod upstream;

use cores::Cores;
use report::{Bars, Row};
use scenarios::Scenario;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A server that is measured.
pub struct Subject {
    name: String,
    binary: PathBuf,
}

/// What all scenarios need.
pub struct Bench {
    runtime: Runtime,
    cores: Cores,
    /// How long one part of a scenario takes.
    part: Duration,
}

struct Arguments {
    only: Vec<String>,
    seconds: u64,
    subjects: Vec<Subject>,
}

impl Arguments {
    fn read() -> Arguments {
        let mut all = Arguments { only: Vec::new(), seconds: 5, subjects: Vec::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match &*word {
                "--only" => all.only = words.next().expect("names").split(',').map(str::to_owned).collect(),
                "--seconds" => all.seconds = words.next().and_then(|n| n.parse().ok()).expect("a number"),
                "--bench" => (),
                other => {
                    let (name, path) = other.split_once('=').expect("NAME=BINARY");
                    let binary = std::fs::canonicalize(path).expect("a binary");
                    all.subjects.push(Subject { name: name.into(), binary });
                }
            }
        }
        if all.subjects.is_empty() {
            all.subjects.push(Subject { name: OURS.into(), binary: env!("CARGO_BIN_EXE_poddns").into() });
        }
        all
    }

    fn scenarios(&self) -> Vec<&'static Scenario> {
        let known = |name: &String| scenarios::ALL.iter().any(|scenario| scenario.name == name);
        if let Some(name) = self.only.iter().find(|name| !known(name)) {
            let names: Vec<&str> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
            panic!("{name} is none of {}", names.join(","));
        }
        let wanted = |s: &&Scenario| self.only.is_empty() || self.only.iter().any(|name| name == s.name);
        scenarios::ALL.iter().filter(wanted).collect()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let cores = Cores::share_out();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let bench = Bench { runtime, cores, part: Duration::from_secs(arguments.seconds) };
    let mut ours = Vec::new();
    report::head();
    for scenario in arguments.scenarios() {
        for subject in &arguments.subjects {
            let rows = (scenario.run)(&bench, subject)
                .unwrap_or_else(|why| vec![Row::none(scenario.name, &subject.name, &why)]);
            let is_ours = subject.name == OURS;
            rows.iter().for_each(|row| row.print(if is_ours { Bars::Shown } else { Bars::Hidden }));
            ours.extend(rows.into_iter().filter(|_| is_ours));
        }
    }
    judge(&ours)
}

/// Says which bars are not reached.
fn judge(ours: &[Row]) -> ExitCode {
    let judged: Vec<(usize, Vec<String>)> = ours.iter().map(Row::judge).collect();
    let fails: Vec<&String> = judged.iter().flat_map(|(_, fails)| fails).collect();
    if !ours.is_empty() {
        println!("\n{OURS}: {} bars hold, {} do not", judged.iter().map(|j| j.0).sum::<usize>(), fails.len());
    }
    fails.iter().for_each(|fail| println!("    FAILS {fail}"));
    if fails.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The name of the server that has to reach the bars.
const OURS: &str = "poddns";

//! What a query costs over loopback, beside the limit and beside other servers.
//!
//! ```text
//! cargo bench --bench speed                                    # this build and the peers that are installed, about ten minutes
//! cargo bench --bench speed -- --only cluster,tcp --rounds 1   # a short look
//! cargo bench --bench speed -- NAME=BINARY …                   # other servers that take CoreDNS's flags, in the same run
//! ```
//!
//! Every server runs alone, on one core; the load has the others. The exit status is 1 when a server called `poddns` is not ahead
//! of a peer in the same table. README.md says how to read the tables.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints what it found"
)]

#[path = "../common/cores.rs"]
mod cores;
mod cost;
mod datagrams;
mod dnsperf;
mod latency;
mod machine;
#[path = "../common/median.rs"]
mod median;
#[path = "../common/memory.rs"]
mod memory;
#[path = "../common/objects.rs"]
#[expect(dead_code, reason = "another benchmark changes the cluster too")]
mod objects;
#[path = "../common/profile.rs"]
mod profile;
mod questions;
mod report;
mod server;
mod stage;
mod subjects;
mod wire;
mod works;
mod zone;

use cores::Cores;
use cost::Cost;
use latency::Latency;
use report::{Figures, Row};
use server::Server;
use stage::{Stage, Surroundings};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use subjects::{Kind, Subject};
use works::{Figure, Work};

struct Arguments {
    only: Vec<String>,
    seconds: u64,
    rounds: usize,
    servers: Vec<(String, PathBuf)>,
    /// It is to be the echo on this port.
    echo: Option<u16>,
}

impl Arguments {
    fn read() -> Arguments {
        let mut all = Arguments { only: Vec::new(), seconds: 3, rounds: 3, servers: Vec::new(), echo: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("a value");
            match &*word {
                "--only" => all.only = value().split(',').map(str::to_owned).collect(),
                "--seconds" => all.seconds = value().parse().expect("a number"),
                "--rounds" => all.rounds = value().parse().expect("a number"),
                "--echo" => all.echo = Some(value().parse().expect("a port")),
                "--bench" => (),
                other => {
                    let (name, path) = other.split_once('=').expect("NAME=BINARY");
                    all.servers.push((name.into(), std::fs::canonicalize(path).expect("a binary")));
                }
            }
        }
        assert!(all.seconds > 0 && all.rounds > 0, "at least one second and one round");
        if !all.servers.iter().any(|(name, _)| name == OURS) {
            all.servers.insert(0, (OURS.into(), env!("CARGO_BIN_EXE_poddns").into()));
        }
        all
    }

    fn works(&self) -> Vec<&'static Work> {
        let known = |name: &String| works::ALL.iter().any(|work| work.name == name);
        if let Some(name) = self.only.iter().find(|name| !known(name)) {
            let names: Vec<&str> = works::ALL.iter().map(|work| work.name).collect();
            panic!("{name} is none of {}", names.join(","));
        }
        let wanted = |work: &&Work| self.only.is_empty() || self.only.iter().any(|name| name == work.name);
        works::ALL.iter().filter(wanted).collect()
    }

    /// The echo, those that take a Corefile, and the peers.
    fn subjects(&self) -> Vec<Subject> {
        let mut all = vec![Subject { name: "echo".into(), kind: Kind::Echo }];
        all.extend(self.servers.iter().map(|(name, binary)| {
            let kind = Kind::Corefile(binary.clone());
            Subject { name: name.clone(), kind }
        }));
        all.extend(subjects::peers());
        all
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::read();
    if let Some(port) = arguments.echo {
        datagrams::echo(port).expect("a port and a socket that works");
        return ExitCode::SUCCESS;
    }
    if subjects::find("dnsperf").is_none() {
        println!("skipped: dnsperf is not installed (Debian: apt-get install dnsperf)");
        return ExitCode::SUCCESS;
    }
    let cores = Cores::share_out();
    machine::show(&arguments.servers);
    let bench = Bench { cores, subjects: arguments.subjects(), seconds: arguments.seconds, rounds: arguments.rounds };
    let mut surroundings = Surroundings::new();
    let mut behind = Vec::new();
    for work in arguments.works() {
        let stage = surroundings.stage(work, bench.seconds);
        behind.extend(bench.run(work, &stage));
    }
    judge(&behind)
}

fn judge(behind: &[String]) -> ExitCode {
    println!();
    if behind.is_empty() {
        println!("{OURS} is ahead of all peers");
        return ExitCode::SUCCESS;
    }
    behind.iter().for_each(|line| println!("FAILS {line}"));
    ExitCode::FAILURE
}

/// What stays the same for all kinds of load.
struct Bench {
    cores: Cores,
    subjects: Vec<Subject>,
    /// How long a server is measured in each round.
    seconds: u64,
    rounds: usize,
}

impl Bench {
    /// Measures all servers at one kind of load; whom this one is not ahead of.
    fn run(&self, work: &Work, stage: &Stage) -> Vec<String> {
        match work.figure {
            Figure::Cost => self.table(work, |subject| {
                let server = Server::start(&self.cores, subject, work, stage)?;
                Cost::measure(&server, subject, work, stage, self.seconds)
            }),
            Figure::Latency => match self.peak(work, stage) {
                Ok(peak) => self.table(work, |subject| {
                    let server = Server::start(&self.cores, subject, work, stage)?;
                    dnsperf::run(server.address(), &stage.warm(), 1, work.transport)?;
                    let time = Duration::from_secs(self.seconds);
                    Latency::measure(server.address(), stage, peak / 10.0, time)
                }),
                Err(why) => vec![format!("{}: the echo {why}", work.name)],
            },
        }
    }

    /// What the echo answers a second.
    fn peak(&self, work: &Work, stage: &Stage) -> Result<f64, String> {
        let echo = Subject { name: "echo".into(), kind: Kind::Echo };
        let server = Server::start(&self.cores, &echo, work, stage)?;
        Ok(dnsperf::run(server.address(), &stage.warm(), 1, work.transport)?.rate)
    }

    /// Measures the servers in turn, so that a machine that gets slower does so for all.
    fn table<F: Figures>(&self, work: &Work, measure: impl Fn(&Subject) -> Result<F, String>) -> Vec<String> {
        let subjects = self.subjects.iter().filter(|subject| subject.can_do(work));
        let mut rows: Vec<Row<'_, F>> = subjects.map(Row::new).collect();
        for _ in 0..self.rounds {
            rows.iter_mut().for_each(|row| row.round(&measure));
        }
        report::show(work, &rows)
    }
}

/// The name of the server that has to be ahead.
const OURS: &str = "poddns";

//! What a second worker adds: as far as workers share nothing on the way of an answer, two of them answer twice as much as one.
//!
//! ```text
//! cargo bench --bench scaling                   # half a minute; exit 1 where two workers answer less than 1.9 times as much as one
//! cargo bench --bench scaling -- --rounds 5     # a short look
//! ```
//!
//! Workers answer in this process, each on a thread and a core of its own (`poddns::inprocess`: all of the server but its sockets), so
//! that there is no load to share the cores with. In each round there are, one after the other, one worker, two workers of one server
//! and, to see what the machine allows, two workers of servers that have nothing to do with each other. They are compared by what they
//! answer in a second of their CPU time, which depends little on what else the machine does; the table has the medians of all rounds.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints what it found"
)]

#[path = "../common/cluster.rs"]
#[expect(dead_code, reason = "another benchmark asks for more than addresses")]
mod cluster;
#[path = "../common/median.rs"]
mod median;
#[path = "../common/objects.rs"]
#[expect(dead_code, reason = "another benchmark changes the cluster too")]
mod objects;
mod workers;

use cluster::{A, Cluster, SERVICES, host, service};
use median::median;
use poddns::inprocess::{InProcess, Served};
use poddns::plugins::standard;
use rustix::thread::{CpuSet, sched_getaffinity};
use std::process::ExitCode;
use workers::{Rate, answer, run};

/// What two workers have to answer, as a multiple of what one does.
const BAR: f64 = 1.9;
/// Rounds, unless the command line says how many.
const ROUNDS: usize = 25;

/// What is asked.
struct Questions {
    title: &'static str,
    name: fn(usize) -> String,
    names: usize,
}

const ALL: [Questions; 2] = [
    Questions { title: "names of the cluster", name: service, names: SERVICES },
    Questions { title: "hits of the cache", name: host, names: 2_000 },
];

/// Who answers, by the number of the server that each worker is of.
const ARRANGEMENTS: [(&str, &[usize]); 3] =
    [("one worker", &[0]), ("two workers of one server", &[0, 0]), ("two workers of two servers", &[0, 1])];

fn main() -> ExitCode {
    let (rounds, cores) = (rounds(), cores());
    if cores.len() < 2 {
        println!("skipped: there is one core only");
        return ExitCode::SUCCESS;
    }
    let cluster = Cluster::new();
    let short: Vec<&Questions> =
        ALL.iter().filter(|questions| measure(questions, &cluster, &cores, rounds) < BAR).collect();
    for Questions { title, .. } in &short {
        println!("FAILS {title}: two workers of one server answer less than {BAR} times as much as one");
    }
    if short.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rounds() -> usize {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match &*words {
        [] => ROUNDS,
        [option, rounds] if option == "--rounds" => rounds.parse().expect("a number"),
        _ => panic!("--rounds N, or nothing"),
    }
}

/// The cores that this program may use, each by itself.
fn cores() -> Vec<CpuSet> {
    let all = sched_getaffinity(None).expect("the cores of this process");
    let only = |core| {
        let mut set = CpuSet::new();
        set.set(core);
        set
    };
    (0..CpuSet::MAX_CPU).filter(|&core| all.is_set(core)).map(only).collect()
}

/// Prints what workers answer, alone and together; how many times as much as one two of a server do.
fn measure(questions: &Questions, cluster: &Cluster, cores: &[CpuSet], rounds: usize) -> f64 {
    let messages: Vec<Vec<u8>> = (0..questions.names).map(|n| cluster::question(&(questions.name)(n), A)).collect();
    let mut servers = [(); 2].map(|()| InProcess::start(&standard(), &cluster.corefile("")).expect("a server"));
    servers.iter_mut().for_each(|server| answer(server, &messages));
    let served = servers.each_ref().map(InProcess::served);
    let mut rates = ARRANGEMENTS.map(|_| Vec::new());
    for _ in 0..rounds {
        for ((_, workers), rates) in ARRANGEMENTS.iter().zip(&mut rates) {
            let workers: Vec<&Served> = workers.iter().map(|&server| &served[server]).collect();
            rates.push(run(&workers, cores, &messages));
        }
    }
    show(questions.title, &rates)
}

/// Prints the table of what was asked; how many times as much as one worker two of a server answer.
fn show(title: &str, rates: &[Vec<Rate>; 3]) -> f64 {
    println!("{title:<28} {:>18} {:>7} {:>18} {:>7}", "queries/CPU second", "of one", "queries/second", "of one");
    let [one, together, _] = rates;
    for ((name, _), own) in ARRANGEMENTS.iter().zip(rates) {
        let columns = |by: fn(&Rate) -> f64| {
            let (rate, times) = (median(own.iter().map(by)), times(own, one, by));
            format!("{rate:>18.0} {times:>7.2}")
        };
        println!("{name:<28} {} {}", columns(|rate| rate.by_cpu), columns(|rate| rate.by_clock));
    }
    println!();
    times(together, one, |rate| rate.by_cpu)
}

/// How many times as much as `one` workers answer, in the middle of all rounds.
fn times(workers: &[Rate], one: &[Rate], by: fn(&Rate) -> f64) -> f64 {
    median(workers.iter().zip(one).map(|(workers, one)| by(workers) / by(one)))
}
